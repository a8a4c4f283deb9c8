"""What the gateways said of a change, put together: names of all of them, and who did not answer."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from fleet.filtering.models import FilterNode
from fleet.filtering.previews import applying, asking
from fleet.filtering.previews.models import FilterPreview, PreviewAnswer, PreviewOutcome, PreviewState
from fleet.filtering.previews.naming import profile_names

LATE = (
    "L’essai n’est toujours pas préparé après un quart d’heure : l’ouvrier ne tourne pas, ou fait autre chose. Voyez "
    "s’il tourne, et son journal."
)
MOST_CHANGES = 500
"""Names that one result tells, of each direction."""
AT_A_TIME = 10
"""Answers that are read at once."""


class Change(msgspec.Struct, frozen=True):
    """A changed name as one filter tells it and as the database keeps it."""

    name: str
    blocked: bool
    queries: int
    clients: int
    profiles: list[str]
    """Slugs."""
    rule: str
    category: str | None = None
    lists: list[str] = []
    suffix: str | None = None
    layer: str = ""


CHANGES = msgspec.json.Decoder(list[Change])


@dataclass(frozen=True, slots=True)
class FilterSaid:
    """One filter's answer."""

    name: str
    outcome: PreviewOutcome
    judged: int
    """Names that it judged."""
    withheld: int
    truncated: bool
    answered_at: datetime


@dataclass(frozen=True, slots=True)
class ChangedName:
    """A name whose verdict changes, over all filters that tell it."""

    name: str
    blocked: bool
    """By the change; False: it was blocked and no longer would be."""
    queries: int
    devices: int
    """The sum over filters: a device that moved from one to the other counts twice."""
    filters: tuple[str, ...]
    """Names of the filters, in alphabetical order."""
    profiles: tuple[str, ...]
    """What people call the profiles: « Élémentaire, École Jean Macé »."""
    rule: str
    """Why it is blocked, after or before: a rule's stable name (filter.policy), as in `explain`."""
    category: str | None
    lists: tuple[str, ...]
    suffix: str | None
    """The name that a list or a person wrote, when it is not the very name."""
    layer: str
    """Who set it: « Aisne », « École Jean Macé »; "" when nobody in particular did."""


@dataclass(frozen=True, slots=True)
class PreviewResult:
    """What is known of a preview by now."""

    preview: FilterPreview
    state: PreviewState
    """As of now: `preview.state` may still say that filters are being asked when their time is over."""
    awaited: tuple[str, ...]
    """Filters that were asked: those heard of in the hour before, and whoever answered."""
    answered: tuple[FilterSaid, ...]
    silent: tuple[str, ...]
    """Those of `awaited` that have not answered."""
    changes: tuple[ChangedName, ...]
    """The most asked for first, at most MOST_CHANGES in each direction."""
    judged: int
    """Names judged, added up over the filters."""
    withheld: int
    """Names that change and are not told because too few devices asked for them, added up."""
    truncated: bool
    """Whether there is more than is told."""
    lists_changed: bool
    """Whether other lists were published since, so that the answers compare with those before."""
    settings_changed: bool
    """Whether other settings were published since, lessons apart: answers may not compare with the same."""

    @property
    def reason(self) -> str:
        """French: why it failed, or why there was nothing to ask."""
        return self.preview.reason or (LATE if self.state is PreviewState.FAILED else "")

    @property
    def outcomes(self) -> Mapping[PreviewOutcome, int]:
        """Outcome -> how many filters."""
        return Counter(each.outcome for each in self.answered)

    def newly(self, *, blocked: bool) -> list[ChangedName]:
        """The names that the change blocks, or those that it opens."""
        return [change for change in self.changes if change.blocked is blocked]


def put_together(session: Session, preview: FilterPreview, now: datetime) -> PreviewResult:
    """All that filters answered by now; the question is closed when there is nothing left to wait for."""
    asking.settle(session, preview, now)
    state = preview.state_at(now)
    answered = list_answers(session, preview)
    names = {each.name for each in answered}
    awaited = {node.name for node in asking.list_awaited(session, preview)} | names
    told = list(read_changes(session, preview))
    merged = merge(told, profile_names(session, {slug for _, change in told for slug in change.profiles}))
    kept = keep_most_asked(merged)
    return PreviewResult(
        preview=preview,
        state=state,
        awaited=tuple(sorted(awaited)),
        answered=answered,
        silent=tuple(sorted(awaited - names)),
        changes=tuple(kept),
        judged=sum(each.judged for each in answered),
        withheld=sum(each.withheld for each in answered),
        truncated=len(kept) < len(merged) or any(each.truncated for each in answered),
        lists_changed=applying.lists_changed(session, preview),
        settings_changed=applying.settings_changed(session, preview),
    )


def list_answers(session: Session, preview: FilterPreview) -> tuple[FilterSaid, ...]:
    """Who answered, by name, without the names that change."""
    said = PreviewAnswer
    columns = (FilterNode.name, said.outcome, said.judged, said.withheld, said.truncated, said.answered_at)
    query = select(*columns).join(FilterNode, FilterNode.id == said.filter_id).where(said.preview_id == preview.id)
    return tuple(FilterSaid(*row) for row in session.execute(query.order_by(FilterNode.name)))


def read_changes(session: Session, preview: FilterPreview) -> Iterator[tuple[str, Change]]:
    """Every filter and what it tells. Of hundreds that tell hundreds of names each, a few are read at a time."""
    changes = cast(PreviewAnswer.changes, Text)
    query = select(FilterNode.name, changes).join(FilterNode, FilterNode.id == PreviewAnswer.filter_id)
    query = query.where(PreviewAnswer.preview_id == preview.id).order_by(FilterNode.name)
    for name, told in session.execute(query, execution_options={"yield_per": AT_A_TIME}):
        yield from ((name, change) for change in CHANGES.decode(told))


def merge(told: Iterable[tuple[str, Change]], titles: Mapping[str, str]) -> list[ChangedName]:
    """Each name once, whatever filters tell it, the most asked for first. ``told``: filter and what it tells; why a
    name changes is what the filter says where it is asked for most.
    """
    known: dict[tuple[str, bool], list[tuple[str, Change]]] = {}
    for filter_name, change in told:
        known.setdefault((change.name, change.blocked), []).append((filter_name, change))
    merged = [merge_one(each, titles) for each in known.values()]
    return sorted(merged, key=lambda change: (-change.queries, change.name))


def merge_one(told: Sequence[tuple[str, Change]], titles: Mapping[str, str]) -> ChangedName:
    """One name out of what several filters tell of it."""
    most = max((change for _, change in told), key=lambda change: change.queries)
    return ChangedName(
        name=most.name,
        blocked=most.blocked,
        queries=sum(change.queries for _, change in told),
        devices=sum(change.clients for _, change in told),
        filters=tuple(sorted(filter_name for filter_name, _ in told)),
        profiles=tuple(sorted({titles.get(slug, slug) for _, change in told for slug in change.profiles})),
        rule=most.rule,
        category=most.category,
        lists=tuple(most.lists),
        suffix=most.suffix,
        layer=most.layer,
    )


def keep_most_asked(changes: Sequence[ChangedName]) -> list[ChangedName]:
    """The first MOST_CHANGES of each direction."""
    kept = {
        id(change)
        for blocked in (True, False)
        for change in [each for each in changes if each.blocked is blocked][:MOST_CHANGES]
    }
    return [change for change in changes if id(change) in kept]

"""What the gateways said of a change, put together: names of all of them, and who did not answer."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fleet.filtering.previews.models import FilterPreview, PreviewOutcome, PreviewState


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
    layer: str | None


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
    """The most asked for first, at most MOST_CHANGES."""
    judged: int
    """Names judged, added up over the filters."""
    withheld: int
    """Names that change and are not told because too few devices asked for them, added up."""
    truncated: bool
    """Whether there is more than is told."""

    @property
    def outcomes(self) -> Mapping[PreviewOutcome, int]:
        """Outcome -> how many filters."""
        return Counter(each.outcome for each in self.answered)

    def newly(self, *, blocked: bool) -> list[ChangedName]:
        """The names that the change blocks, or those that it opens."""
        return [change for change in self.changes if change.blocked is blocked]

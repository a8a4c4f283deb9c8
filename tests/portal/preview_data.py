"""Previews for the portal to show: under way, answered, abandoned, failed, with what gateways would have told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from filter.settings import Verdict
from fleet.filtering.models import FilterNode
from fleet.filtering.policy.layers import CategoryLine, LayerSettings, NameLine
from fleet.filtering.policy.models import FilterProfile
from fleet.filtering.policy.places import find_place
from fleet.filtering.previews import asking, service
from fleet.filtering.previews.models import FilterPreview, PreviewOutcome, PreviewState
from fleet.schools.models import School
from fleet.scope import Viewer

SAYS = LayerSettings(
    categories=(CategoryLine("games", Verdict.BLOCK), CategoryLine("gambling", Verdict.ALLOW)),
    names=(NameLine("club-echecs.example", Verdict.BLOCK, "essai"),),
)


@dataclass(frozen=True, slots=True)
class Told:
    """One name that a gateway tells."""

    name: str
    blocked: bool
    queries: int
    clients: int
    rule: str = "category_deny"
    category: str | None = "games"
    lists: tuple[str, ...] = ("Jeux en ligne",)
    suffix: str | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name, "blocked": self.blocked, "queries": self.queries, "clients": self.clients,
            "profiles": ["elementaire"], "rule": self.rule, "category": self.category, "lists": list(self.lists),
            "suffix": self.suffix, "layer": "Aisne",
        }  # fmt: skip


TOLD = (
    Told("www.jeux-du-preau.example", True, 320, 41, suffix="jeux-du-preau.example"),
    Told("mini-golf.example", True, 75, 12),
    Told("www.loto-des-ecoles.example", False, 18, 6, "category_deny", "gambling", ("Jeux d’argent",)),
    Told("club-echecs.example", True, 9, 3, "own_deny", None, ()),
)


def ask_layer(
    session: Session, staff: Viewer, profile: FilterProfile, school: School, now: datetime, says: LayerSettings = SAYS
) -> FilterPreview:
    """An edit of a school's layer; a gateway that was heard of a moment ago is asked."""
    found = find_place(session, staff, school_id=school.id)
    return service.ask_for_layer(session, staff, profile, found, says, now=now)


def answer(
    session: Session,
    node: FilterNode,
    preview: FilterPreview,
    told: Sequence[Told],
    now: datetime,
    *,
    outcome: PreviewOutcome = PreviewOutcome.JUDGED,
    withheld: int = 0,
) -> None:
    """What one gateway says, by the verb of its own route."""
    asking.record_answer(
        session, node, preview.id, outcome=outcome, judged=1_204 if told or withheld else 0, withheld=withheld,
        truncated=False, changes=[each.as_json() for each in told], now=now,
    )  # fmt: skip


def add_previews(
    session: Session, staff: Viewer, profile: FilterProfile, school: School, nodes: Sequence[FilterNode], now: datetime
) -> dict[str, UUID]:
    """One of each state; two gateways are asked, one answers."""
    for node in nodes:
        node.last_seen_at = now
    session.flush()
    under_way = ask_layer(session, staff, profile, school, now)
    under_way.ends_at = now + timedelta(days=1)  # tests of pages look at it for longer than ten minutes
    answer(session, nodes[0], under_way, TOLD[:2], now, withheld=2)
    finished = ask_layer(session, staff, profile, school, now)
    answer(session, nodes[0], finished, TOLD, now, withheld=2)
    answer(session, nodes[1], finished, TOLD[:1], now)
    silent = ask_layer(session, staff, profile, school, now - timedelta(hours=2))
    answer(session, nodes[0], silent, (), now - timedelta(hours=2), outcome=PreviewOutcome.NO_COUNTS)
    abandoned = ask_layer(session, staff, profile, school, now)
    service.abandon(session, staff, abandoned.id, now)
    failed = ask_layer(session, staff, profile, school, now)
    asking.close(session, failed, PreviewState.FAILED, "Les listes de l’essai n’ont pas pu être compilées.")
    session.flush()
    return {
        "preview": under_way.id,
        "preview_done": finished.id,
        "preview_silent": silent.id,
        "preview_abandoned": abandoned.id,
        "preview_failed": failed.id,
    }

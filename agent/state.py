"""What the agent remembers between two runs: the state last asked for, what it put in place, what is left to report."""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from agent import files
from agent.identity import PRIVATE
from agent.lock import STATE
from agent.protocol import DesiredState, Outcome, ProtocolError, decode, encode

log = logging.getLogger(__name__)

LONGEST_QUEUE = 200
"""Outcomes kept while the controller is away; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Displaced:
    """Something that was there before us and comes back when the resource is no longer managed."""

    name: str
    content: str


@dataclass(frozen=True, slots=True)
class Record:
    """What this agent last put in place for one resource."""

    resource: str
    digest: str = ""
    """Of what was wanted; empty until it was all in place once."""
    files: tuple[str, ...] = ()
    """Paths under the root that are ours, written here before they are created and until they are gone."""
    displaced: tuple[Displaced, ...] = ()
    repairing: str = ""
    """The digest that was in place before a repair began: an agent killed meanwhile still calls it one."""


@dataclass(frozen=True, slots=True)
class State:
    """The whole memory, one file."""

    desired: DesiredState | None = None
    records: tuple[Record, ...] = ()
    latest: tuple[Outcome, ...] = ()
    """How each resource went last; ``status`` shows it."""
    queue: tuple[Outcome, ...] = ()
    """What the controller has not been told."""

    def record_of(self, resource: str) -> Record:
        return next((r for r in self.records if r.resource == resource), Record(resource))

    def with_record(self, record: Record) -> "State":
        by_name = {r.resource: r for r in self.records} | {record.resource: record}
        return replace(self, records=tuple(by_name.values()))

    def with_outcome(self, outcome: Outcome) -> "State":
        """Keep it as the latest of its resource, and queue it when it teaches the controller something."""
        before = next((o for o in self.latest if o.resource == outcome.resource), None)
        latest = tuple(({o.resource: o for o in self.latest} | {outcome.resource: outcome}).values())
        news = (outcome,) if is_news(outcome, before) else ()
        return replace(self, latest=latest, queue=(*self.queue, *news)[-LONGEST_QUEUE:])

    def next_report(self) -> tuple[Outcome, ...]:
        """The head of the queue, up to a resource's second turn: a message holds one outcome of each."""
        head: dict[str, Outcome] = {}
        for outcome in self.queue:
            if outcome.resource in head:
                break
            head[outcome.resource] = outcome
        return tuple(head.values())


def is_news(outcome: Outcome, before: Outcome | None) -> bool:
    """A change on the device always is; the same ``unchanged`` or the same failure again is not."""
    if outcome.status in {"applied", "repaired"} or before is None:
        return True
    return (outcome.status, outcome.detail) != (before.status, before.detail)


def path_of(root: Path) -> Path:
    return root / STATE / "state.json"


def load_state(root: Path) -> State:
    """The state kept under this root; a fresh one when there is none or the disk spoiled it."""
    content = files.find_content(path_of(root))
    if content is None:
        return State()
    try:
        return decode(State, content)
    except ProtocolError as error:
        log.warning("state file unreadable, starting anew", extra={"error": str(error)})
        return State()


def save_state(root: Path, state: State) -> None:
    files.write(path_of(root), encode(state), PRIVATE)


def contact_path(root: Path) -> Path:
    return root / STATE / "contact"


def note_contact(root: Path) -> None:
    """Remember this moment as the last contact: a date on an empty file, so that a quiet minute rewrites nothing."""
    contact_path(root).touch(PRIVATE)


def find_contact(root: Path) -> datetime | None:
    """When the controller last answered a check-in."""
    try:
        return datetime.fromtimestamp(contact_path(root).stat().st_mtime, UTC)
    except OSError:
        return None

"""A preview judged beside the filter (see aside)."""

import heapq
import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path

from filter.bundle import BundleRefused, NamesFile, PolicyFile
from filter.layout.delta import DeltaRefused, apply_delta
from filter.namecounts import read_counts
from filter.names import NameRefused, clean_name
from filter.policy import Policy
from filter.preview import Change, Preview, preview
from filter.signing import trust
from filter.updates.aside import CutOff, limit_memory, run_aside
from filter.updates.pair import open_candidate

LONGEST_SECONDS = 300.0
"""Beyond this the filter says that it could not."""
MOST_COUNTS = 200_000
"""Lines that are judged, the most asked for."""
MOST_CHANGES = 500
MOST_LISTS, MOST_PROFILES, LONGEST_TEXT = 20, 50, 200
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
ANSWER = "answer.json"


@dataclass(frozen=True, slots=True)
class Names:
    """Candidate names: what leads to them, and the tags of both files."""

    delta: Path
    from_etag: str
    to_etag: str


@dataclass(frozen=True, slots=True)
class Settings:
    """A candidate policy, and its tag."""

    path: Path
    etag: str


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be judged; every file is on this machine."""

    folder: Path
    """Where the answer goes, and what is made on the way."""
    names: Path
    policy: Path
    """As they serve."""
    counts: Path
    since: date
    judged_at: datetime
    threshold: int
    filter_id: str
    trusted_keys: tuple[str, ...]
    new_names: Names | None = None
    new_policy: Settings | None = None


Answer = dict[str, object]
"""As the controller reads it; ``detail`` is for the log here."""


async def judge_aside(task: Task) -> Answer:
    """What the names of this filter would meet; never raises for what the files hold."""
    try:
        await run_aside(LONGEST_SECONDS, judge_or_refuse, task)
        answer: Answer = json.loads((task.folder / ANSWER).read_bytes())
    except (CutOff, OSError, ValueError) as error:
        return {"outcome": "failed", "detail": str(error)}
    return answer


def judge_or_refuse(task: Task) -> None:
    """In the other process: leave the answer in the folder."""
    try:
        limit_memory(task.names.stat().st_size)
        answer = judge(task)
    except (BundleRefused, DeltaRefused) as error:
        answer = {"outcome": "refused", "detail": str(error)}
    except MemoryError:
        answer = {"outcome": "failed", "detail": "trop de mémoire demandée"}
    (task.folder / ANSWER).write_text(json.dumps(answer), "utf-8")


def judge(task: Task) -> Answer:
    """Judge by the files that serve and by the candidates; raise BundleRefused or DeltaRefused."""
    names, settings = NamesFile.open(task.names), PolicyFile.open(task.policy)
    if task.new_names is not None and names.digest != task.new_names.from_etag.partition(".")[0]:
        return {"outcome": "other_names"}
    old = Policy(names, settings, task.filter_id)
    verify = trust(task.trusted_keys)
    if task.new_policy is not None:
        settings = open_candidate(PolicyFile, task.new_policy.path, task.new_policy.etag, verify)
    if task.new_names is not None:
        apply_delta(task.names, task.new_names.delta, task.folder / "names.made")
        names = open_candidate(NamesFile, task.folder / "names.made", task.new_names.to_etag, verify)
    new = Policy(names, settings, task.filter_id, old.index if names is old.names else None)
    counts = heapq.nlargest(MOST_COUNTS + 1, read_counts(task.counts, task.since), key=lambda each: each.queries)
    found = preview(old, new, islice(counts, MOST_COUNTS), task.judged_at, task.threshold)
    return as_answer(found, is_cut=len(counts) > MOST_COUNTS)


def as_answer(found: Preview, *, is_cut: bool) -> Answer:
    """What is told: names of the form that the controller knows, the most asked for first."""
    told = [change for change in found.changes if is_clean(change.name)]
    return {
        "outcome": "judged",
        "judged": found.names,
        "withheld": found.withheld,
        "truncated": is_cut or len(told) > MOST_CHANGES,
        "changes": [as_values(change) for change in told[:MOST_CHANGES]],
    }


def is_clean(name: str) -> bool:
    """Whether it is a host's name: anything else is no site that people know."""
    try:
        return clean_name(name) == name
    except NameRefused:
        return False


def as_values(change: Change) -> dict[str, object]:
    """A change as JSON, within the bounds of the contract."""
    decision = change.decision
    return {
        "name": change.name,
        "blocked": change.blocked,
        "queries": change.queries,
        "clients": change.clients or 0,
        "profiles": list(change.profiles[:MOST_PROFILES]),
        "rule": decision.rule,
        "category": decision.category,
        "lists": [as_text(title) for title in decision.lists[:MOST_LISTS]],
        "suffix": decision.suffix,
        "layer": as_text(decision.layer),
    }


def as_text(title: str) -> str:
    """A title without control characters, so long at most: lists call themselves what they like."""
    return " ".join(CONTROL.sub(" ", title).split())[:LONGEST_TEXT]

"""Case files: one JSON object a line. What a case is, what becomes of it, and who runs which kind."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Json = Mapping[str, object]
CRASHED = "crash"
"""What ``Outcome.why`` starts with when an exception ended the case."""


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a case file."""

    file: Path
    number: int
    data: Json

    @property
    def id(self) -> str:
        return str(self.data.get("id") or f"{self.file.name}:{self.number}")

    @property
    def kind(self) -> str:
        return str(self.data.get("kind", ""))

    @property
    def expect(self) -> Json:
        return mapping(self.data.get("expect"))

    @property
    def query(self) -> Json:
        return mapping(self.data.get("query"))

    def text(self, key: str) -> str:
        """A field that is text; "" when it is not there."""
        value = self.data.get(key)
        return value if isinstance(value, str) else ""

    def lines(self, key: str) -> list[str]:
        """A field that is a list of texts."""
        return texts(self.data.get(key))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case. ``why`` is empty when it passed."""

    case: Case
    why: str = ""

    @property
    def passed(self) -> bool:
        return not self.why


@dataclass(slots=True)
class FileResult:
    """Everything that one file came to."""

    file: Path
    outcomes: list[Outcome] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)
    """Kind that nobody here runs -> cases."""
    broken: list[str] = field(default_factory=list)
    """Lines that are no case."""

    @property
    def total(self) -> int:
        return len(self.outcomes) + sum(self.unknown.values()) + len(self.broken)

    @property
    def passed(self) -> int:
        return sum(outcome.passed for outcome in self.outcomes)

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.passed]


Check = Callable[[Case], str]
"""Runs one case; returns why it failed, "" when it passed."""
Runner = Callable[[Sequence[Case]], Iterable[Outcome]]
"""Runs the cases of one kind of one file, in the file's order."""


def each(check: Check) -> Runner:
    """A runner for cases that do not depend on each other."""

    def run(cases: Sequence[Case]) -> Iterator[Outcome]:
        for case in cases:
            yield Outcome(case, guarded(check, case))

    return run


def guarded(check: Check, case: Case) -> str:
    """A crash of the product, or a case of an unknown form, is a failure of that case alone."""
    try:
        return check(case)
    except Exception as error:  # noqa: BLE001  # each case must report, whatever it meets
        return f"{CRASHED}: {type(error).__name__}: {error}"


def read_cases(path: Path, broken: list[str]) -> Iterator[Case]:
    """The cases of a file; lines that are none are told."""
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except ValueError as error:
            broken.append(f"{path.name}:{number}: {error}")
            continue
        if isinstance(data, dict):
            yield Case(path, number, data)
        else:
            broken.append(f"{path.name}:{number}: no object")


def run_file(path: Path, kinds: Mapping[str, Runner]) -> FileResult:
    """Run every case of a file whose kind somebody knows."""
    result = FileResult(path)
    by_kind: dict[str, list[Case]] = {}
    for case in read_cases(path, result.broken):
        by_kind.setdefault(case.kind, []).append(case)
    for kind, cases in by_kind.items():
        if (runner := kinds.get(kind)) is None:
            result.unknown[kind] = len(cases)
        else:
            result.outcomes += runner(cases)
    result.outcomes.sort(key=lambda outcome: outcome.case.number)
    return result


def mapping(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def compare(what: str, found: object, expected: object) -> str:
    """Why two values differ; "" when they do not."""
    return "" if found == expected else f"{what}: {found!r}, expected {expected!r}"


def first_of(*whys: str) -> str:
    """The first thing that is wrong."""
    return next((why for why in whys if why), "")

"""The table of deliberate differences in docs/conformance.md: which failing cases are meant to fail, and why."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.conformance.cases import Case, mapping

TABLE = Path(__file__).parents[2] / "docs" / "conformance.md"
ROW = re.compile(r"\|(?P<selectors>(?:[^|\\]|\\.)*)\|(?P<reason>(?:[^|\\]|\\.)*)\|\s*")
SELECTOR = re.compile(r"`([a-z_.]+)=((?:[^`\\]|\\.)*)`")
LATER = "later:"
"""A reason that starts so: not this part's work yet. Such failures are printed apart."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Cases that all selectors fit: (path in the case, pattern of its text)."""

    selectors: tuple[tuple[str, str], ...]
    reason: str

    def fits(self, case: Case, why: str = "") -> bool:
        return all(
            fnmatchcase(why if path == "why" else text_at(case, path), pattern) for path, pattern in self.selectors
        )

    @property
    def is_later(self) -> bool:
        return self.reason.startswith(LATER)


def read_differences(path: Path = TABLE) -> list[Difference]:
    """The rows of the document's tables whose first cell holds selectors: ``id=…``, ``kind=…``, ``list=…``."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        if (row := ROW.fullmatch(line)) is None:
            continue
        selectors = tuple((key, value.replace("\\|", "|")) for key, value in SELECTOR.findall(row["selectors"]))
        if selectors:
            found.append(Difference(selectors, row["reason"].strip().replace("\\|", "|")))
    return found


def find_difference(case: Case, differences: list[Difference], why: str = "") -> Difference | None:
    """The first row that the case fits; ``why`` is what was wrong, for rows that speak of it."""
    return next((each for each in differences if each.fits(case, why)), None)


def text_at(case: Case, path: str) -> str:
    """The value at ``expect.rule`` and the like, as text; "" when it is not there."""
    if path == "file":
        return case.file.name
    value: object = case.data
    for key in path.split("."):
        value = mapping(value).get(key, "")
    return value if isinstance(value, str) else repr(value)

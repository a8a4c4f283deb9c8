"""The table of deliberate differences in docs/conformance.md: which failing cases are meant to fail, and why."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.conformance.cases import CRASHED, Case, mapping

TABLE = Path(__file__).parents[2] / "docs" / "conformance.md"
ROW = re.compile(r"\|(?P<selectors>(?:[^|\\]|\\.)*)\|(?P<reason>(?:[^|\\]|\\.)*)\|\s*")
SELECTOR = re.compile(r"`([a-z_.]+)([=~])((?:[^`\\]|\\.)*)`")
LATER = "later:"
"""A reason that starts so: not this part's work yet. Such failures are printed apart."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Cases that all selectors fit: (path in the case, ``=`` or ``~``, pattern of its text)."""

    selectors: tuple[tuple[str, str, str], ...]
    reason: str

    def fits(self, case: Case, why: str = "") -> bool:
        """Whether the row is about this case. Nothing excuses a crash, whatever the case is about."""
        if why.startswith(CRASHED):
            return False
        return all(
            is_like(why if path == "why" else text_at(case, path), sign, pattern)
            for path, sign, pattern in self.selectors
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
        found_here = SELECTOR.findall(row["selectors"])
        selectors = tuple((key, sign, value.replace("\\|", "|")) for key, sign, value in found_here)
        if selectors:
            found.append(Difference(selectors, row["reason"].strip().replace("\\|", "|")))
    return found


def find_difference(case: Case, differences: list[Difference], why: str = "") -> Difference | None:
    """The first row that the case fits; ``why`` is what was wrong, for rows that speak of it."""
    return next((each for each in differences if each.fits(case, why)), None)


def is_like(text: str, sign: str, pattern: str) -> bool:
    """``=``: as file names are compared; ``~``: a regular expression of the whole text."""
    return fnmatchcase(text, pattern) if sign == "=" else re.fullmatch(pattern, text, re.DOTALL) is not None


def text_at(case: Case, path: str) -> str:
    """The value at ``expect.rule`` and the like, as text; "" when it is not there."""
    if path == "file":
        return case.file.name
    value: object = case.data
    for key in path.split("."):
        value = mapping(value).get(key, "")
    return value if isinstance(value, str) else repr(value)

"""A département in small, every row of it marked: whose marks an answer holds tells whom it leaks from.

A mark is ``zz<kind><node>zz`` and stands in every text of a row; a row's id and its UAI count as marks too.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from fleet.db import HasId

Row = TypeVar("Row", bound=HasId)


class Kind(StrEnum):
    """What a mark stands for: who may read it differs."""

    NAME = "n"
    """A collectivity's name and id: public where its schools, members or tickets are seen."""
    DECISION = "d"
    """What a collectivity decided: it holds in its schools, and is told there."""
    ROW = "r"
    """Everything else that hangs on a node."""
    INTERNAL = "i"
    """What staff say to each other on a node's tickets."""


Mark = tuple[Kind, str]
OPERATOR, COMMON = "op", "all"
"""Nodes of what is the operator's own, and of what everybody is shown."""
COLLECTIVITIES = ("own", "given", "lender", "lapsed", "sibling", "foreign", "group")
SCHOOLS = {
    "own1": "own", "own2": "own", "given1": "given", "lent1": "lender", "lapsed1": "lapsed", "coming1": "foreign",
    "sibling1": "sibling", "foreign1": "foreign",
}  # fmt: skip
"""School -> who runs it. ``own1`` is the school lead's; ``lent1`` was granted to ``own`` and to ``own1``."""
RELATION = {
    "own": "own", "own1": "own", "own2": "child", "given": "granted", "given1": "granted", "lent1": "granted",
    "lender": "sibling", "lapsed": "expired grant", "lapsed1": "expired grant", "coming1": "grant to come",
    "sibling": "sibling", "sibling1": "sibling", "foreign": "foreign", "foreign1": "foreign", "group": "group",
    OPERATOR: "operator", COMMON: "everybody’s",
}  # fmt: skip


def mark(kind: Kind, node: str) -> str:
    return f"zz{kind}{node}zz"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a session, and the marks that they may read."""

    name: str
    cookie: str = ""
    csrf: str = ""
    sees_all: bool = False
    seen: frozenset[str] = frozenset()
    """Nodes whose rows they see."""
    told: frozenset[Mark] = frozenset()
    """What they may read besides."""

    def may_read(self, each: Mark) -> bool:
        kind, node = each
        if self.sees_all or each in self.told:
            return True
        return node in self.seen and kind is not Kind.INTERNAL


@dataclass(slots=True)
class World:
    """Ids of the rows by node and what they are, what each id is a mark of, and who looks."""

    rows: dict[str, dict[str, UUID]] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    codes: dict[str, Mark] = field(default_factory=dict)
    """UAIs and secrets that tell of a row without its mark."""

    def note(self, node: str, name: str, row: Row, kind: Kind = Kind.ROW) -> Row:
        """Remember a row that was flushed, as ``name`` of a node."""
        self.rows.setdefault(node, {})[name] = row.id
        self.marks[str(row.id)] = (kind, node)
        return row


def add(session: Session, row: Row) -> Row:
    session.add(row)
    session.flush()
    return row

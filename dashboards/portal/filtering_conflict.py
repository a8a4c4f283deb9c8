"""Two people changed one layer: what the one saved and what the other typed, side by side."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dashboards.portal.filtering_layer import Draft
from dashboards.portal.filtering_lines import LineField, Sections

NOTHING = "non réglé"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that the two drafts fill differently, as people read it."""

    label: str
    saved: str
    typed: str


def differences(saved: Sections, typed: Sections, saved_draft: Draft, typed_draft: Draft) -> tuple[Difference, ...]:
    """Every field in which what is saved now and what was typed differ, in the order of the form."""
    before = {line.name: line for line in lines_of(saved)}
    lines = (
        Difference(line.label, told(before.get(line.name)), told(line))
        for line in lines_of(typed)
        if told(before.get(line.name)) != told(line)
    )
    return (*lines, *names_that_differ(saved_draft, typed_draft))


def lines_of(sections: Sections) -> Iterator[LineField]:
    """Every select of the form."""
    for section in (*sections.categories, *sections.services):
        yield from section.lines
    yield from sections.singles
    yield from sections.engines


def told(line: LineField | None) -> str:
    """What a select says: ``Bloquer, verrouillé``."""
    if line is None or not line.value:
        return NOTHING
    return dict(line.choices).get(line.value, line.value) + (", verrouillé" if line.is_locked_here else "")


def names_that_differ(saved: Draft, typed: Draft) -> Iterator[Difference]:
    """The lines of own names that only one of the two has."""
    for label, before, now in (
        ("Toujours bloquer", saved.denied, typed.denied),
        ("Toujours autoriser", saved.allowed, typed.allowed),
    ):
        theirs, ours = lines_in(before), lines_in(now)
        if set(ours) != set(theirs):
            yield Difference(label, listed(theirs, ours), listed(ours, theirs))


def lines_in(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def listed(lines: Iterable[str], others: Iterable[str]) -> str:
    known = set(others)
    return ", ".join(line for line in lines if line not in known) or "rien de plus"

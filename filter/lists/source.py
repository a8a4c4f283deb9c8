"""What every reader gives: a list to be read, name by name, and an account of the lines it left out."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date

MOST_EXAMPLES = 5

REASONS = {
    "bare_label": "un seul mot, sans point",
    "invalid_name": "nom invalide",
    "ip_address": "adresse IP, que le DNS ne voit pas",
    "not_text": "ligne illisible (ni ASCII ni UTF-8)",
    "public_suffix": "suffixe public (com, gouv.fr…)",
    "too_long": "ligne trop longue",
    "url": "adresse de page, que le DNS ne voit pas",
}
"""Why a line was left out -> how to say it to a person."""


@dataclass(slots=True)
class ListReport:
    """What became of a list's lines; filled while the list is read."""

    lines: int = 0
    """Lines with something on them, comments apart."""
    names: int = 0
    """Names handed over, repetitions included."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason (a key of REASONS) -> lines left out."""
    examples: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """Reason -> the first (line number, text)."""
    not_enforceable: Counter[str] = field(default_factory=Counter)
    """``urls``, ``expressions``: entries that only a proxy could enforce. They are never widened to their host."""
    warnings: list[str] = field(default_factory=list)
    """French sentences."""

    def skip(self, reason: str, number: int, text: str) -> None:
        """Count a line that is left out, and keep the first few of each reason."""
        self.skipped[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append((number, text[:120]))


@dataclass(frozen=True, slots=True)
class ListSource:
    """One list. ``read`` streams its names, cleaned, and fills the report given; it may be called again."""

    slug: str
    title: str
    category: str
    read: Callable[[ListReport], Iterator[str]]
    source: str = ""
    licence: str = ""
    published: date | None = None
    usage: tuple[str, ...] = ()

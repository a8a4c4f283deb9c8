"""What every reader gives: a list to be read, entry by entry, and an account of the lines it left out."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from filter.lists.entries import Entry

MOST_EXAMPLES = 5

REASONS = {
    "bad_address": "adresse IP ou réseau mal écrit",
    "bad_pattern": "motif impossible à appliquer",
    "bad_record": "enregistrement mal écrit",
    "bare_label": "un seul mot, sans point",
    "cosmetic_rule": "règle d’affichage, que le DNS ne voit pas",
    "disabled_rule": "règle annulée par la liste elle-même (badfilter)",
    "duplicate": "répétition",
    "html": "code HTML",
    "invalid_name": "nom invalide",
    "ip_address": "adresse IP à la place d’un nom",
    "local_name": "nom de la machine elle-même (localhost…)",
    "no_address": "ligne de fichier hosts qui ne commence pas par une adresse",
    "not_applicable_client": "règle pour certains appareils (client, ctag), sans objet ici",
    "not_enforceable_trigger": "déclencheur que ce filtre ne peut appliquer (serveurs de noms, adresse du client)",
    "not_text": "ligne illisible (ni ASCII ni UTF-8)",
    "out_of_zone": "hors de la zone",
    "path_rule": "règle sur une page, que le DNS ne voit pas",
    "pattern_too_large": "motif trop coûteux à appliquer",
    "public_suffix": "suffixe public (com, gouv.fr…)",
    "reply_not_trusted": "réponse propre à la liste, qui mènerait ailleurs : le nom est seulement bloqué",
    "too_long": "ligne trop longue",
    "too_many_rules": "règle en trop : la liste en a plus qu’un filtre n’en tient",
    "too_wide": "bloquerait presque tout",
    "unsupported_modifier": "option inconnue ou sans objet pour le DNS",
    "unsupported_syntax": "syntaxe inconnue de ce format",
    "url": "adresse de page, que le DNS ne voit pas",
}
"""Why a line was left out -> how to say it to a person. Every reader's reasons are here."""


@dataclass(slots=True)
class ListReport:
    """What became of a list's lines; filled while the list is read."""

    lines: int = 0
    """Lines with something on them, comments apart."""
    names: int = 0
    """Names handed over, repetitions included."""
    addresses: int = 0
    """Networks handed over."""
    rules: int = 0
    """RuleEntry handed over."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason (a key of REASONS) -> lines left out."""
    examples: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """Reason -> the first (line number, text)."""
    not_enforceable: Counter[str] = field(default_factory=Counter)
    """``urls``, ``expressions``: entries that only a proxy could enforce. They are never widened to their host."""
    warnings: list[str] = field(default_factory=list)
    """French sentences, without a full stop."""

    def skip(self, reason: str, number: int, text: str) -> None:
        """Count a line that is left out, and keep the first few of each reason."""
        self.skipped[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append((number, text[:120]))

    def warn(self, sentence: str) -> None:
        """Say something of the list as a whole, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)


Reader = Callable[[Path, ListReport], Iterator[Entry]]
"""One format: streams the entries of a file and fills the report given. Raises ListRefused for a whole file."""


def say_nothing(report: ListReport) -> None:
    """What ``ListSource.prepare`` does where there is nothing to say."""


@dataclass(frozen=True, slots=True)
class ListSource:
    """One list. ``read`` streams its entries, cleaned, and fills the report given; it may be called again."""

    slug: str
    title: str
    category: str
    read: Callable[[ListReport], Iterator[Entry]]
    source: str = ""
    licence: str = ""
    published: date | None = None
    usage: tuple[str, ...] = ()
    plain: tuple[Path, ...] = ()
    """Files that filter.lists.domains.read_plain reads: when they are given, ``read`` does ``prepare`` and then reads
    each of them so, and a faster reader may do the same, with the same outcome."""
    prepare: Callable[[ListReport], None] = say_nothing
    """What the report says beyond the lines of ``plain``: entries that are not enforceable, warnings."""
    trusts_replies: bool = False
    """Whether its own answers, aliases and records, are given: whoever writes a list that is trusted so can lead
    people anywhere. Without trust they become blocks (filter.lists.trust); refusals of other kinds stay."""

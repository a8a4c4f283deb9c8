"""Public suffixes: names under which anybody registers (``com``, ``gouv.fr``). Blocking one blocks strangers."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from publicsuffixlist import PSLFILE


class SuffixRules(NamedTuple):
    """The ICANN part of the Public Suffix List, as sets of lower-case names, in Unicode and in punycode.

    Its other part holds platforms (blogspot.com), which a list may well mean to name.
    """

    exact: frozenset[str]
    """Public suffixes themselves: ``com``, ``gouv.fr``, and ``ck`` of ``*.ck``."""
    wildcards: frozenset[str]
    """``ck`` of ``*.ck``: every name with one label more is a public suffix."""
    exceptions: frozenset[str]
    """``www.ck`` of ``!www.ck``: but for these."""


@cache
def icann_rules() -> SuffixRules:
    """The rules, read once (publicsuffix.org/list, "Format")."""
    rules = set(read_rules(Path(PSLFILE).read_text("utf-8")))
    exceptions = frozenset(rule[1:] for rule in rules if rule.startswith("!"))
    wildcards = frozenset(rule[2:] for rule in rules if rule.startswith("*.")) - exceptions
    exact = frozenset(rule for rule in rules if not rule.startswith(("!", "*."))) | wildcards
    return SuffixRules(exact - exceptions, wildcards, exceptions)


def read_rules(text: str) -> Iterator[str]:
    """Every rule between the two marks of the ICANN part; one with letters outside ASCII also in punycode."""
    _, _, rest = text.partition("// ===BEGIN ICANN DOMAINS===")
    for line in rest.partition("// ===END ICANN DOMAINS===")[0].splitlines():
        rule = line.split(" ")[0].strip().lower()
        if rule and not rule.startswith("//"):
            yield rule
            if not rule.isascii():
                yield rule.encode("idna").decode()


def is_public_suffix(name: str) -> bool:
    """Whether the name itself, lower-case, is a public suffix; a single label always is, as the list's rule ``*`` has
    it."""
    rules = icann_rules()
    parent = name.partition(".")[2]
    return name in rules.exact or not parent or (parent in rules.wildcards and name not in rules.exceptions)


def is_known_suffix(name: str) -> bool:
    """Whether the list holds the name: unlike is_public_suffix it lets a single label pass that is no known TLD."""
    rules = icann_rules()
    return name in rules.exact or (name.partition(".")[2] in rules.wildcards and name not in rules.exceptions)

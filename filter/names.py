"""Domain names as the filter compares them: lower-case ASCII, labels joined by dots, no dot at the end."""

import re
from collections.abc import Iterator

import idna

LONGEST = 253
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
VALID = re.compile(rf"(?:{LABEL}\.)*{LABEL}", re.ASCII)
ADDRESS = re.compile(r"[0-9.]+|[0-9a-f.]*:[0-9a-f:.]*")


class NameRefused(ValueError):
    """The text is no domain name. ``reason`` is stable: ip_address, bare_label, too_long, invalid_name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def clean_name(text: str) -> str:
    """The name in the form that is compared; a leading ``.`` or ``*.`` and a dot at the end are dropped.

    Raises NameRefused for an address, a single label, and what cannot be a host or service name.
    """
    name = text.strip().lower().removesuffix(".").removeprefix("*").removeprefix(".")
    if not name.isascii():
        name = to_ascii(name)
    if len(name) > LONGEST:
        raise NameRefused("too_long")
    if VALID.fullmatch(name) is None:
        raise NameRefused("ip_address" if ADDRESS.fullmatch(name) else "invalid_name")
    if name[-1].isdigit() and name.rpartition(".")[2].isdigit():
        raise NameRefused("ip_address" if ADDRESS.fullmatch(name) else "invalid_name")
    if "." not in name:
        raise NameRefused("bare_label")
    return name


def to_ascii(name: str) -> str:
    """The punycode form that travels in DNS (UTS 46, as browsers do)."""
    try:
        return idna.encode(name, uts46=True).decode()
    except UnicodeError as error:
        raise NameRefused("invalid_name") from error


def suffixes(name: str) -> Iterator[str]:
    """The name, then each of its parents, longest first: ``a.b.fr`` gives ``a.b.fr``, ``b.fr``, ``fr``."""
    while name:
        yield name
        _, _, name = name.partition(".")


def name_and_parents(name: str) -> tuple[str, ...]:
    """All of suffixes() at once, for those who look through them several times."""
    if not name:
        return ()
    found = [name]
    while (dot := name.find(".") + 1) and (name := name[dot:]):
        found.append(name)
    return tuple(found)


def longest_suffix(name: str, known: frozenset[str]) -> str | None:
    """The longest of the name and its parents that is known."""
    if not known:
        return None
    return next((suffix for suffix in suffixes(name) if suffix in known), None)

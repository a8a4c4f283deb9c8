"""Which bytes of a file a request wants (RFC 9110, sections 13 and 14): pure."""

import re
from dataclasses import dataclass

RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)
ENTITY_TAG = re.compile(r'(W/)?"([^"]*)"')


class Unsatisfiable(Exception):
    """The range begins behind the end: 416."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes ``first`` to ``last``, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def wanted_span(header: str | None, if_range: str | None, etag: str, size: int) -> Span | None:
    """The one range asked for, or None for the whole file; raise Unsatisfiable.

    A header that is no single range is ignored, as the standard allows, and so is one for another version of the file:
    ``If-Range`` must be this very tag, and a strong one.
    """
    found = RANGE.fullmatch(header.strip()) if header else None
    if found is None or (if_range is not None and if_range.strip() != etag):
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        if int(last) == 0 or size == 0:
            raise Unsatisfiable
        return Span(max(0, size - int(last)), size - 1)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise Unsatisfiable
    return Span(int(first), min(int(last), size - 1) if last else size - 1)


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether the caller has this version already: 304. Compared weakly, as the standard wants here."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return etag.strip('"') in {tag for _, tag in ENTITY_TAG.findall(if_none_match)}

"""The current policy as it travels: compressed once for all the filters that ask for it at the same moment."""

import gzip
import re
from dataclasses import dataclass, field
from threading import Lock

from fastapi import FastAPI
from sqlalchemy.orm import Session

from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import NotFound
from fleet.filtering.policy import policies

LEVEL = 6
"""Of gzip: a tenth of the time of the highest, for some hundredths of the bytes."""
REFUSED = re.compile(r"q\s*=\s*0(?:\.0{0,3})?\s*", re.IGNORECASE)
"""A weight of nothing (RFC 9110, 12.4.2)."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A policy file, plain and compressed."""

    tag: str
    """``<digest>.<serial>``."""
    content: bytes
    compressed: bytes


@dataclass(slots=True)
class Shelf:
    """The last policy that was asked for."""

    _packed: Packed | None = None
    _lock: Lock = field(default_factory=Lock)

    def find(self, tag: str) -> Packed:
        """The policy of that tag, else the one that is current by now, read and compressed once; raise NotFound.

        Hundreds of filters are woken at once: one packs, the others wait for it, and ask the database nothing.
        """
        with self._lock:
            if self._packed is None or self._packed.tag != tag:
                with transaction(Door.FILTERS) as session:
                    self._packed = pack(session)
            if self._packed is None:
                raise NotFound("filtering.none_published", "Aucune politique n’est encore publiée.")
            return self._packed


def shelf_of(app: FastAPI) -> Shelf:
    """The shelf of this application."""
    shelf: Shelf | None = getattr(app.state, "filter_shelf", None)
    if shelf is None:
        shelf = app.state.filter_shelf = Shelf()
    return shelf


def pack(session: Session) -> Packed | None:
    if (found := policies.current_policy(session)) is None:
        return None
    content, tag = found
    return Packed(tag, content, gzip.compress(content, LEVEL, mtime=0))


def accepts_gzip(header: str | None) -> bool:
    """Whether ``Accept-Encoding`` names gzip, and not with a weight of nothing (RFC 9110, 12.5.3)."""
    for part in (header or "").split(","):
        coding, _, weight = part.partition(";")
        if coding.strip().lower() in {"gzip", "x-gzip"}:
            return REFUSED.fullmatch(weight.strip()) is None
    return False

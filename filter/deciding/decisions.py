"""What is asked and what is done about it, as plain data: Query, Decision, Rewrite, AnswerRecord."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from filter.lists.entries import ReplyRecord

LESSON_TTL = 10
"""Seconds that devices may remember an answer while a lesson runs: it starts and ends that fast."""


class Action(StrEnum):
    ALLOWED = "allowed"
    BLOCKED = "blocked"
    """Answered as the profile's block mode says: the block page, NXDOMAIN, or no address."""
    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    LOOPBACK = "loopback"
    """``localhost`` is the machine that asks."""
    MINIMAL = "minimal"
    """ANY is answered by one small record (RFC 8482)."""
    REFUSED = "refused"
    DROPPED = "dropped"
    """No reply at all."""
    TRUNCATED = "truncated"
    """Over UDP an empty reply with TC, so that the client comes back over TCP, where it is answered as if allowed."""
    REWRITTEN = "rewritten"
    """Answered by ``Decision.rewrite``."""


class Query(NamedTuple):
    """One question: a name as filter.names compares them, and a record type's number."""

    name: str
    qtype: int = 1


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A local answer: an alias whose own records are looked up, or records given here, or the alias and its records."""

    target: str | None = None
    records: tuple[ReplyRecord, ...] = ()
    """Of the type asked for. Without a target and without records: no data."""
    is_final: bool = False
    """The records are all there is: a target is not looked up."""


class Decision(NamedTuple):
    """What is done and which rule said so. A tuple: one is made for nearly every query."""

    action: Action
    rule: str
    category: str | None = None
    """Slug of the category that denied or allowed."""
    suffix: str | None = None
    """The name or parent that matched, or the network of an address."""
    lists: tuple[str, ...] = ()
    """Titles of the lists that hold it."""
    via: str | None = None
    """The name that the answer led to, when it is that one which was judged."""
    layer: str = ""
    """Who set it: « Aisne », « École Jean Macé »."""
    schedule: str = ""
    """Name of the schedule by which it holds now."""
    reason: str = ""
    """A person's words: of an own name, an override, or the title of a lesson."""
    until: datetime | None = None
    """When the override or the lesson ends."""
    ttl: int | None = None
    """Seconds at most that the answer may be remembered; None: as long as its records say."""
    entry: str = ""
    """The list's own line."""
    rewrite: Rewrite | None = None

    @property
    def leads_to(self) -> str | None:
        """The name to be looked up in place of the one that was asked for, if any."""
        return self.rewrite.target if self.rewrite is not None and not self.rewrite.is_final else None


ALLOWED_BY_DEFAULT = Decision(Action.ALLOWED, "default")


class AnswerRecord(NamedTuple):
    """What one record of an answer leads to."""

    owner: str
    targets: tuple[str, ...] = ()
    """Names: of a CNAME, a DNAME, or a service binding (HTTPS, SVCB)."""
    addresses: tuple[bytes, ...] = ()
    """Of A and AAAA records and of address hints, in network order."""

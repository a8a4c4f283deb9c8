"""How a route is called: by whom, and with the rows of which node in its address, its query and its body."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Who(StrEnum):
    PUBLIC = "public"
    SIGNED_IN = "signed in"
    STAFF = "staff"
    """The operator's people; others are refused whatever they name."""
    PROGRAM = "program"
    """Devices, filters, Prometheus: a person's session is worth nothing there."""


Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One way to call a route. ``{school}`` in ``query``, ``body`` and the address is the id of the node's school;
    ``{own1.device}`` that of a node named. A node without such a row is left out.
    """

    who: Who = Who.SIGNED_IN
    query: str = ""
    body: Body | None = None
    path: str = ""
    """Where the route's own placeholders do not say enough."""


def staff(query: str = "", **body: Any) -> tuple[Call, ...]:
    return (Call(Who.STAFF, query, body or None),)


def public(**body: Any) -> tuple[Call, ...]:
    return (Call(Who.PUBLIC, body=body or None),)


def program(**body: Any) -> tuple[Call, ...]:
    return (Call(Who.PROGRAM, body=body or None),)


def seen(*queries: str) -> tuple[Call, ...]:
    """As it is, and with each of these queries."""
    return (Call(), *(Call(query=query) for query in queries))


def files(path: str, *queries: str) -> tuple[Call, ...]:
    """A list as the two kinds of file, which are made of the same rows: whole as a workbook, narrowed as CSV too."""
    return (Call(path=f"{path}.xlsx"), *(Call(path=f"{path}.csv", query=query) for query in queries or ("",)))


def sent(**body: Any) -> tuple[Call, ...]:
    return (Call(body=body),)


def verbs(**bodies: Body) -> tuple[Call, ...]:
    return tuple(
        Call(path=f"/tickets/{{ticket_id}}/{verb.replace('_', '-')}", body=body) for verb, body in bodies.items()
    )


PROFILE = "{all.profile}"
LATER, SOON = "2026-12-20T10:00:00+00:00", "2026-11-25T10:00:00+00:00"
TEXT = "zzr"
"""What a search for marks types: it finds every row there is, for who may see it."""

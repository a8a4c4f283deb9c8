"""Reading what devices send: raw bytes, bounded before they are read, in the shapes of agent.protocol only."""

import logging
from dataclasses import fields, is_dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request, Response

from agent.protocol import MAX_BODY, ProtocolError, decode, encode
from fleet.errors import FleetError

log = logging.getLogger(__name__)
Message = TypeVar("Message")
MAX_TEXT = 256
"""Longest text of a field, in characters; LONGER names the exceptions."""
LONGER = {"detail": 4000}
MAX_ITEMS = 64
MAX_NUMBER = 2**63 - 1


def refusal(reason: str) -> FleetError:
    """The error for bytes that are not a message (400). ``reason`` is French and ends without a full stop."""
    return FleetError("protocol.invalid", f"Message illisible : {reason}.")


def in_french(error: ProtocolError) -> str:
    """Which field is wrong, for whoever sees the agent's screen; the exact reason is for the log."""
    path, _, reason = str(error).partition(": ")
    if path == "not JSON":
        return "ce n’est pas du JSON"
    name = path.removeprefix("message").removeprefix(".")
    subject = f"le champ « {name} »" if name else "l’ensemble"
    if reason == "is missing":
        return f"{subject} manque"
    return f"{subject} est trop long" if reason.startswith("more than") else f"{subject} n’a pas la forme attendue"


async def read_body(request: Request) -> bytes:
    """The request's body; raise protocol.invalid as soon as it is longer than the protocol allows."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise refusal(f"plus de {MAX_BODY} octets")
    return bytes(body)


MessageBody = Annotated[bytes, Depends(read_body)]


def read_message(kind: type[Message], body: bytes) -> Message:
    """Decode a message and hold every field to a sensible size; raise protocol.invalid (400) otherwise."""
    try:
        message = decode(kind, body)
        check_sizes(message, "message")
    except ProtocolError as error:
        log.info("message refused", extra={"kind": kind.__name__, "reason": str(error)})
        raise refusal(in_french(error)) from error
    return message


def check_sizes(value: object, path: str) -> None:
    """Raise ProtocolError for a text, a list or a number that no honest device sends."""
    if is_dataclass(value):
        for each in fields(value):
            check_sizes(getattr(value, each.name), f"{path}.{each.name}")
    elif isinstance(value, tuple):
        if len(value) > MAX_ITEMS:
            raise ProtocolError(f"{path}: more than {MAX_ITEMS} items")
        for index, item in enumerate(value):
            check_sizes(item, f"{path}[{index}]")
    elif isinstance(value, str):
        most = LONGER.get(path.rpartition(".")[2], MAX_TEXT)
        if len(value) > most:
            raise ProtocolError(f"{path}: more than {most} characters")
    elif isinstance(value, int) and not 0 <= value <= MAX_NUMBER:
        raise ProtocolError(f"{path}: out of range")


def answer(message: object, status: int = 200) -> Response:
    """A protocol message as the HTTP response."""
    return Response(encode(message), status, media_type="application/json")

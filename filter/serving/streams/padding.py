"""Padding of encrypted replies (RFC 7830, RFC 8467): their length says less about what was asked."""

import struct

from filter.serving import wire
from filter.serving.replies import UDP_SIZE

BLOCK = 468
"""Bytes: what servers pad to a multiple of (RFC 8467, 4.1)."""
LARGEST = 65_535
OPTION = 12
OPT_HEAD = 11
"""Bytes of an OPT record before its options."""
OPT_START = struct.pack("!BHH", 0, wire.OPT, UDP_SIZE)
"""Root name, type and size of our own OPT record."""


def pad(reply: bytes) -> bytes:
    """The reply with a padding option, when it has the OPT record that our replies end with (RFC 7830, 4)."""
    start = find_opt(reply) if reply[11] else -1
    missing = -(len(reply) + 4) % BLOCK
    if start < 0 or len(reply) + 4 + missing > LARGEST:
        return reply
    length = len(reply) - start - OPT_HEAD
    head = reply[: start + OPT_HEAD - 2] + struct.pack("!H", length + 4 + missing)
    return head + reply[start + OPT_HEAD :] + struct.pack("!HH", OPTION, missing) + bytes(missing)


def find_opt(reply: bytes) -> int:
    """Where the OPT record begins that ends with the message; -1 for none."""
    start = reply.rfind(OPT_START)
    while start >= 0:
        length = int.from_bytes(reply[start + OPT_HEAD - 2 : start + OPT_HEAD], "big")
        if start + OPT_HEAD + length == len(reply):
            break
        start = reply.rfind(OPT_START, 0, start)  # it was the text of an option
    return start

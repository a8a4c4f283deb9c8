"""Huffman-coded strings of HTTP/2 headers (RFC 7541, 5.2), byte by byte: in DoH by GET, each path is a new one.

What a byte leads to is worked out by hpack's table, which goes by half bytes, when it comes for the first time.
"""

from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE

FAILED = 256
"""Behind all nodes of the table: what no bits lead out of."""
WHOLE = {0} | {node for node, flags, _ in HUFFMAN_TABLE if flags & HUFFMAN_COMPLETE}
"""Where a string may end: what is left is padding, less than a byte of ones."""


class State(dict[int, "tuple[State, bytes]"]):
    """For each next byte the state that it leads to, and the characters that are whole by then."""

    def __init__(self, node: int) -> None:
        super().__init__()
        self.node = node
        self.may_end = node in WHOLE

    def __missing__(self, byte: int) -> "tuple[State, bytes]":
        node, text = step(self.node, byte)
        found = self[byte] = STATES[node], text
        return found


def step(node: int, byte: int) -> tuple[int, bytes]:
    """One byte's two halves."""
    text = b""
    for half in (byte >> 4, byte & 15):
        if node == FAILED:
            break
        node, flags, character = HUFFMAN_TABLE[node << 4 | half]
        if flags & HUFFMAN_FAIL:
            node = FAILED
        elif flags & HUFFMAN_EMIT_SYMBOL:
            text += bytes((character,))
    return node, text


STATES = tuple(State(node) for node in range(FAILED + 1))


def decode(data: bytes) -> bytes:
    """The text; raise ValueError for what is none."""
    state, found = STATES[0], []
    for byte in data:
        state, text = state[byte]
        found.append(text)
    if not state.may_end:
        raise ValueError("no Huffman-coded text")
    return b"".join(found)

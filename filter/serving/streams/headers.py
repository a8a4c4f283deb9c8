"""Headers of HTTP/2 (RFC 7541): read by hpack within bounds; ours written as they are, without shared state."""

from collections.abc import Iterable

from hpack import Decoder, HPACKError, OversizedHeaderListError

from filter.serving.streams import huffman

MOST_HEADERS = 64
LONGEST = 16_384
"""Bytes of all headers, unpacked, 32 more for each (RFC 9113, 10.5.1)."""
MOST_REMEMBERED = 256
NAMES = {b"allow": 22, b"cache-control": 24, b"content-length": 28, b"content-type": 31}
"""Places in the static table (RFC 7541, appendix A)."""
PATH = (0x04, 0x05, 0x14, 0x15)
"""How a path begins that the table does not take up: the static table's name, never indexed from 0x10 on (6.2.2)."""
HUFFMAN = 0x80

Headers = dict[bytes, bytes]


class HeadersInvalid(ValueError):
    """Well-packed headers that make no request: the stream ends, the connection goes on (RFC 9113, 8.1.1)."""


class BlockInvalid(ValueError):
    """A block that cannot be unpacked, or only into too much: the two tables are no longer the same, the connection
    ends."""


class Reader:
    """Unpacks one connection's header blocks. Clients say the same again and again: such blocks are remembered, and of
    blocks that differ in their path alone, what stands around it."""

    def __init__(self) -> None:
        self.decoder = Decoder(max_header_list_size=LONGEST)
        self.known: dict[bytes, Headers] = {}
        """Blocks that say the same each time, as long as the table stays as it is."""
        self.start = b""
        """What stood before the last path; empty for none."""
        self.ends: dict[bytes, Headers] = {}
        """What stood behind a path, the block's ``start`` being the same: the headers with that path."""

    def read(self, block: bytes) -> Headers:
        """Headers by name; raise HeadersInvalid or BlockInvalid."""
        if (found := self.known.get(block)) is not None:
            return found
        if self.start and block.startswith(self.start) and (found := self.read_path(block)) is not None:
            return found
        before = self.newest()
        try:
            pairs = [(bytes(name), bytes(value)) for name, value in self.decoder.decode(block, raw=True)]
        except OversizedHeaderListError as error:
            raise BlockInvalid("headers too large") from error
        except (HPACKError, IndexError, ValueError) as error:
            raise BlockInvalid("header block that cannot be unpacked") from error
        if self.newest() is not before:
            self.known.clear()
            self.ends.clear()
            return check(pairs)
        headers = check(pairs)
        self.remember(block, headers)
        return headers

    def read_path(self, block: bytes) -> Headers | None:
        """A block of which only the path is new; None for any other."""
        at = len(self.start)
        end, begin = span(block, at)
        around = self.ends.get(block[end:]) if end else None
        if around is None:
            return None
        path = block[begin:end]
        if block[at] & HUFFMAN:
            try:
                path = huffman.decode(path)
            except ValueError as error:
                raise BlockInvalid("path that cannot be unpacked") from error
        return {**around, b":path": path}

    def remember(self, block: bytes, headers: Headers) -> None:
        """What this block can say of the next ones; the table is as it was before it."""
        if b"?" not in headers.get(b":path", b""):
            if len(self.known) < MOST_REMEMBERED and headers:
                self.known[block] = headers
            return
        at = find_path(block)
        if not at or len(self.ends) >= MOST_REMEMBERED:
            return
        if block[:at] != self.start:
            self.start = block[:at]
            self.ends.clear()
        self.ends[block[span(block, at)[0] :]] = headers

    def newest(self) -> tuple[bytes, bytes] | None:
        """The entry that the table took last: another one means that numbers in blocks mean something else now."""
        entries = self.decoder.header_table.dynamic_entries
        return entries[0] if entries else None


def span(block: bytes, at: int) -> tuple[int, int]:
    """(end, begin) of a string whose length stands here; an end of 0 where it is cut short, or its length takes more
    than two bytes (RFC 7541, 5.2)."""
    if at + 1 >= len(block):
        return 0, 0
    length, begin = block[at] & 127, at + 1
    if length == 127:
        length, begin = 127 + block[begin], begin + 1
        if length >= 127 + 128:
            return 0, 0
    end = begin + length
    return (end, begin) if end <= len(block) else (0, 0)


def find_path(block: bytes) -> int:
    """Where the length of the path's text stands in a block, before which there are only whole numbers of the tables; 0
    when it is not told so plainly."""
    for at, byte in enumerate(block):
        if byte in PATH:
            return at + 1 if span(block, at + 1)[0] else 0
        if not 0x80 < byte < 0xFF:
            return 0
    return 0


def check(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of a request (RFC 9113, 8.3), or trailers; raise HeadersInvalid."""
    headers: Headers = {}
    for count, (name, value) in enumerate(pairs):
        if count >= MOST_HEADERS or not name or name != name.lower():
            raise HeadersInvalid("too many headers, or capitals in a name")
        is_pseudo = name.startswith(b":")
        if is_pseudo and (name in headers or any(not each.startswith(b":") for each in headers)):
            raise HeadersInvalid("a pseudo-header twice, or after the others")
        headers[name] = value
    return headers


def is_request(headers: Headers) -> bool:
    """Whether nothing is missing that a request must have."""
    return bool(headers.get(b":method") and headers.get(b":path") and headers.get(b":scheme"))


def write_head(status: int, **headers: str) -> bytes:
    """A response's header block; names of headers with underscores for hyphens."""
    head = b"\x88" if status == 200 else b"\x08\x03" + str(status).encode()
    for name, value in headers.items():
        text = value.encode("ascii")
        head += bytes((0x0F, NAMES[name.replace("_", "-").encode()] - 15, len(text))) + text
    return head

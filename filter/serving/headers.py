"""Headers of HTTP/2 (RFC 7541): read by hpack within bounds; ours written as they are, without shared state."""

from collections.abc import Iterable

from hpack import Decoder, HPACKError, OversizedHeaderListError

MOST_HEADERS = 64
LONGEST = 16_384
"""Bytes of all headers, unpacked, 32 more for each (RFC 9113, 10.5.1)."""
MOST_REMEMBERED = 256
NAMES = {b"allow": 22, b"cache-control": 24, b"content-length": 28, b"content-type": 31}
"""Places in the static table (RFC 7541, appendix A)."""


class HeadersInvalid(ValueError):
    """Well-packed headers that make no request: the stream ends, the connection goes on (RFC 9113, 8.1.1)."""


class BlockInvalid(ValueError):
    """A block that cannot be unpacked, or only into too much: the two tables are no longer the same, the connection
    ends."""


class Reader:
    """Unpacks one connection's header blocks. Clients say the same again and again: such blocks are remembered."""

    def __init__(self) -> None:
        self.decoder = Decoder(max_header_list_size=LONGEST)
        self.known: dict[bytes, dict[bytes, bytes]] = {}
        """Blocks that say the same each time, as long as the table stays as it is."""

    def read(self, block: bytes) -> dict[bytes, bytes]:
        """Headers by name; raise HeadersInvalid or BlockInvalid."""
        if (found := self.known.get(block)) is not None:
            return found
        before = self.newest()
        try:
            pairs = [(bytes(name), bytes(value)) for name, value in self.decoder.decode(block, raw=True)]
        except OversizedHeaderListError as error:
            raise BlockInvalid("headers too large") from error
        except (HPACKError, IndexError, ValueError) as error:
            raise BlockInvalid("header block that cannot be unpacked") from error
        headers = check(pairs)
        if self.newest() is not before:
            self.known.clear()
        elif len(self.known) < MOST_REMEMBERED and headers:
            self.known[block] = headers
        return headers

    def newest(self) -> tuple[bytes, bytes] | None:
        """The entry that the table took last: another one means that numbers in blocks mean something else now."""
        entries = self.decoder.header_table.dynamic_entries
        return entries[0] if entries else None


def check(pairs: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers of a request (RFC 9113, 8.3), or trailers; raise HeadersInvalid."""
    headers: dict[bytes, bytes] = {}
    for count, (name, value) in enumerate(pairs):
        if count >= MOST_HEADERS or not name or name != name.lower():
            raise HeadersInvalid("too many headers, or capitals in a name")
        is_pseudo = name.startswith(b":")
        if is_pseudo and (name in headers or any(not each.startswith(b":") for each in headers)):
            raise HeadersInvalid("a pseudo-header twice, or after the others")
        headers[name] = value
    return headers


def is_request(headers: dict[bytes, bytes]) -> bool:
    """Whether nothing is missing that a request must have."""
    return bool(headers.get(b":method") and headers.get(b":path") and headers.get(b":scheme"))


def write_head(status: int, **headers: str) -> bytes:
    """A response's header block; names of headers with underscores for hyphens."""
    head = b"\x88" if status == 200 else b"\x08\x03" + str(status).encode()
    for name, value in headers.items():
        text = value.encode("ascii")
        head += bytes((0x0F, NAMES[name.replace("_", "-").encode()] - 15, len(text))) + text
    return head

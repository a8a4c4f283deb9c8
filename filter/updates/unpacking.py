"""A body from the controller, unpacked within bounds: what is small on the wire may be anything in memory."""

import zlib

import httpx2

from filter.updates.controller import TalkFailed

GZIP = zlib.MAX_WBITS | 16
"""For zlib: the header and trailer of gzip (RFC 1952)."""
HIGHEST_RATIO = 100
"""Bytes that one byte of a body may become. Policies of hundreds of schools shrink to a twentieth."""
FREE_OF_RATIO = 1 << 20
"""Bytes that are unpacked whatever the ratio: a short text may repeat itself."""


async def read_body(response: httpx2.Response, largest: int) -> bytes:
    """The content of a streamed answer, unpacked when it came as gzip; raise TalkFailed for one that is too large,
    grows beyond reason or is cut.
    """
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in {"identity", "gzip"}:
        raise TalkFailed("controller", f"the controller used an encoding that was not asked for: {coding[:40]}")
    unpack = zlib.decompressobj(GZIP) if coding == "gzip" else None
    content, received = bytearray(), 0
    async for chunk in response.aiter_raw():
        received += len(chunk)
        most = bound(received, largest)
        content += chunk if unpack is None else unpacked(unpack, chunk, most - len(content) + 1)
        if len(content) > most:
            raise TalkFailed("too_large", f"{received} bytes hold more than {most}")
    if unpack is not None and (not unpack.eof or unpack.unused_data):
        raise TalkFailed("controller", "the compressed answer is cut, or goes on behind its end")
    return bytes(content)


def bound(received: int, largest: int) -> int:
    """How many bytes so many bytes of a body may stand for."""
    return min(largest, max(FREE_OF_RATIO, received * HIGHEST_RATIO))


def unpacked(unpack: "zlib._Decompress", chunk: bytes, most: int) -> bytes:
    """What a piece holds, ``most`` bytes of it; raise TalkFailed for what is no gzip."""
    try:
        return unpack.decompress(chunk, most)
    except zlib.error as error:
        raise TalkFailed("controller", f"the compressed answer is damaged: {error}") from error

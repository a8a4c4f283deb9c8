"""A compressed policy is unpacked, and one that would fill the memory is not."""

import asyncio
import gzip
import os
import zlib
from collections.abc import AsyncIterator

import httpx2
import pytest

from filter.updates.controller import TalkFailed
from filter.updates.unpacking import FREE_OF_RATIO, read_body

TEXT = b'{"profile":"college"}' * 5000
LARGEST = 4 << 20


def read(body: bytes, coding: str | None = "gzip", largest: int = LARGEST, piece: int = 1000) -> bytes:
    """What comes of a body that arrives in pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), piece):
            yield body[start : start + piece]

    headers = {} if coding is None else {"Content-Encoding": coding}
    return asyncio.run(read_body(httpx2.Response(200, headers=headers, content=pieces()), largest))


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_gzip_and_plain_are_the_same(piece: int) -> None:
    assert read(gzip.compress(TEXT), piece=piece) == TEXT
    assert read(TEXT[:3000], None, piece=piece) == TEXT[:3000]


def refused(body: bytes, coding: str | None = "gzip", largest: int = LARGEST) -> str:
    with pytest.raises(TalkFailed) as failure:
        read(body, coding, largest)
    return failure.value.outcome


def test_neither_a_large_body_nor_one_that_grows_large_is_taken() -> None:
    noise = os.urandom(LARGEST + 1)
    assert read(noise[:-1], None) == noise[:-1]
    assert read(gzip.compress(noise[:-1]), piece=1 << 16) == noise[:-1]
    assert refused(noise, None) == "too_large"
    assert refused(gzip.compress(noise)) == "too_large"


def test_a_bomb_is_left_before_it_bursts() -> None:
    """A kilobyte that stands for a megabyte is text; what grows a thousandfold beyond that is not."""
    assert len(read(gzip.compress(bytes(FREE_OF_RATIO)))) == FREE_OF_RATIO
    assert refused(gzip.compress(bytes(FREE_OF_RATIO + 1)), largest=1 << 30) == "too_large"
    assert refused(gzip.compress(bytes(64 << 20)), largest=1 << 30) == "too_large"


@pytest.mark.parametrize(
    "body",
    [gzip.compress(TEXT)[:-1], gzip.compress(TEXT) + b"x", b"<html>", zlib.compress(TEXT), b""],
    ids=["cut", "goes on", "html", "zlib", "empty"],
)
def test_what_is_no_whole_gzip_is_refused(body: bytes) -> None:
    assert refused(body) == "controller"


def test_only_what_was_asked_for_is_understood() -> None:
    assert refused(TEXT, "br") == "controller"

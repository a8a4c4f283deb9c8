"""Header blocks as many clients write them, read by ours and by hpack: the same, however much was remembered."""

import base64
import random

import pytest
from hpack import Decoder, HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman

from filter.serving import huffman
from filter.serving.headers import BlockInvalid, HeadersInvalid, Reader, check

CODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def literal(text: bytes, *, coded: bool) -> bytes:
    """A string with its length, at most 254 (RFC 7541, 5.2)."""
    data = CODER.encode(text) if coded else text
    mark = 0x80 if coded else 0
    return (bytes((mark | len(data),)) if len(data) < 127 else bytes((mark | 127, len(data) - 127))) + data


def blocks(source: random.Random, count: int) -> list[bytes]:
    """Of one client: what it said before is in the table (0xBE, 0xBF), now and then it says something new, and its path
    is a new one each time; some are damaged."""
    found = [
        b"\x82\x87\x41" + literal(b"dns.ecole.test", coded=True) + b"\x7a" + literal(b"client", coded=True) + b"\x84"
    ]
    for number in range(count):
        path = b"/dns-query?dns=" + base64.urlsafe_b64encode(source.randbytes(source.randrange(60))).rstrip(b"=")
        how = source.choice((b"\x04", b"\x14", b"\x05", b"\x44")) if number % 9 == 8 else b"\x04"
        written = how + literal(path, coded=source.random() < 0.7)
        behind = source.choice(
            (b"\xbe", b"\xbe\x0f\x0d\x0239", b"", b"\xbe\x7a" + literal(b"x%d" % number, coded=False))
        )
        block = b"\x82\x87\xbf" + written + (behind if number % 5 == 4 else b"\xbe")
        found.append(block if number % 150 != 149 else block[: source.randrange(4, len(block))])
    return found


@pytest.mark.parametrize("seed", range(20))
def test_what_is_remembered_says_what_hpack_says(seed: int) -> None:
    reader, decoder = Reader(), Decoder()
    for block in blocks(random.Random(seed), 300):
        try:
            wanted = check([(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)])
        except HeadersInvalid:
            with pytest.raises(HeadersInvalid):
                reader.read(block)
            continue
        except (HPACKError, IndexError):
            with pytest.raises(BlockInvalid):
                reader.read(block)
            return
        assert reader.read(block) == wanted


def test_huffman_coded_text_is_what_hpack_reads() -> None:
    source = random.Random(4)
    for size in range(3_000):
        text = source.randbytes(size % 90)
        assert huffman.decode(CODER.encode(text)) == text
        assert huffman.decode(CODER.encode(b"/dns-query?dns=" + text)) == b"/dns-query?dns=" + text
    for size in range(20_000):
        data = source.randbytes(size % 12)
        try:
            wanted = decode_huffman(data)
        except HPACKError:
            with pytest.raises(ValueError, match="Huffman"):
                huffman.decode(data)
        else:
            assert huffman.decode(data) == wanted

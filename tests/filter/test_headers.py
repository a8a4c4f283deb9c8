"""Header blocks as many clients write them, read by ours and by hpack: the same, however much was remembered."""

import base64
import binascii
import random
from collections.abc import Callable

import pytest
from hpack import Decoder, HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import example, given
from hypothesis import strategies as st

from filter.plane.choosing import is_compiled
from filter.serving.streams import doh, huffman
from filter.serving.streams.headers import BlockInvalid, HeadersInvalid, Reader, check

needs_plane = pytest.mark.skipif(not is_compiled(), reason="the plane is not compiled: a C compiler is needed")
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


def by_hpack(data: bytes) -> bytes | None:
    """None for what is no Huffman-coded text."""
    try:
        return decode_huffman(data)
    except HPACKError:
        return None


def by_ours(data: bytes) -> bytes | None:
    """The same of ours: the compiled one, where there is one."""
    try:
        return huffman.decode(data)
    except ValueError:
        return None


@given(text=st.binary(max_size=300))
@example(text=bytes(range(256)))
def test_huffman_coded_text_is_read(text: bytes) -> None:
    assert huffman.decode(CODER.encode(text)) == text


@given(data=st.binary(max_size=40), text=st.binary(max_size=40))
def test_damaged_huffman_coded_text_is_what_hpack_reads(data: bytes, text: bytes) -> None:
    for each in (data, CODER.encode(text) + data, CODER.encode(text)[:-1] + data):
        assert by_ours(each) == by_hpack(each)


@pytest.mark.parametrize("before", [b"", b"\x1f", b"\xff\xff"], ids=bytes.hex)
def test_all_short_strings_are_what_hpack_reads(before: bytes) -> None:
    for number in range(1 << 16):
        data = before + number.to_bytes(2, "big")
        assert by_ours(data) == by_hpack(data)


@pytest.mark.parametrize("decode", [huffman.decode, huffman.decode_by_table])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param("1e", id="padding that is not all ones"),
        pytest.param("1fff", id="a byte of padding too many"),
        pytest.param("ff", id="a byte of padding alone"),
        pytest.param("ffffffff", id="the end of the string"),
        pytest.param("1ffffffff8", id="the end of the string, and a text before and after it"),
    ],
)
def test_padding_is_less_than_a_byte_of_ones(decode: Callable[[bytes], bytes], data: str) -> None:
    """RFC 7541, 5.2."""
    with pytest.raises(ValueError, match="Huffman"):
        decode(bytes.fromhex(data))


@needs_plane
def test_huffman_coded_text_is_bounded() -> None:
    assert huffman.decode(bytes(10_240)) == b"0" * 16_384
    with pytest.raises(ValueError, match="Huffman"):
        huffman.decode(bytes(10_241))


LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def by_base64(text: bytes) -> bytes | None:
    """None for what is not base64url without padding (RFC 4648, 5), or leaves bits over that are not zero (3.5)."""
    if set(text) - set(LETTERS) or len(text) % 4 == 1:
        return None
    data = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    return data if base64.urlsafe_b64encode(data).rstrip(b"=") == text else None


@needs_plane
@given(data=st.binary(max_size=600))
def test_the_query_in_plain_parameters_is_read(data: bytes) -> None:
    text = base64.urlsafe_b64encode(data)
    assert doh.read_plain(b"dns=" + text.rstrip(b"=")) == data
    assert doh.read_plain(b"dns=" + text.rstrip(b"=") + b"=") is None
    assert doh.read_plain(b"dn=" + text.rstrip(b"=")) is None


@needs_plane
@given(text=st.lists(st.sampled_from(LETTERS), max_size=12).map(bytes), rest=st.binary(max_size=3))
@example(text=b"AAAAA", rest=b"")
def test_other_parameters_are_left_alone(text: bytes, rest: bytes) -> None:
    for each in (text, text + rest, text[:4] + rest + text[4:]):
        assert doh.read_plain(b"dns=" + each) == by_base64(each)


@given(data=st.binary(max_size=200))
def test_parameters_say_the_same_however_they_are_read(data: bytes) -> None:
    text = base64.urlsafe_b64encode(data or b"x")
    plain = text.rstrip(b"=")
    assert doh.from_parameters(b"dns=" + plain) == (data or b"x")
    for other in (b"ct=x&dns=" + plain, b"dns=" + plain + b"&ct=", b"dns=%" + binascii.hexlify(plain[:1]) + plain[1:]):
        assert doh.from_parameters(other) == (data or b"x")

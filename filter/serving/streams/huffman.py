"""Huffman-coded strings of HTTP/2 headers (RFC 7541, 5.2): in DoH by GET, each path is a new one.

Decoded by the compiled module where there is one, else by hpack's table, which takes 40 times as long.
"""

from collections.abc import Callable
from importlib import import_module

from hpack import HPACKDecodingError
from hpack.huffman_table import decode_huffman

from filter.plane.choosing import is_compiled


def decode_by_table(data: bytes) -> bytes:
    """The text; raise ValueError for what is none."""
    try:
        return decode_huffman(data)
    except HPACKDecodingError as error:
        raise ValueError("no Huffman-coded text") from error


decode: Callable[[bytes], bytes] = (
    import_module("filter.plane._plane").decode_huffman if is_compiled() else decode_by_table
)

"""Bytes of names and policy files for tests that damage them."""

import hashlib
import struct
from pathlib import Path

from filter.compiler import compile_names
from filter.layout.header import CHECKED, HEADER, SIGNED
from filter.lists.entries import AddressEntry, Match, NameEntry, ReplyKind, ReplyRecord, RuleEntry, RuleReply
from filter.lists.source import ListSource
from filter.signing import SigningKey
from tests.filter.conftest import NOON, make_list

KEY = SigningKey.from_pem(b"""\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
""")
"""The first test vector of RFC 8032 7.1: nobody's key."""
EVERYTHING: tuple[ListSource, ...] = (
    make_list(
        "adultes",
        "nu.example",
        "en.deux.example",
        NameEntry("exact.example", Match.EXACT),
        NameEntry("dessous.example", Match.BELOW),
        AddressEntry("192.0.2.0/24"),
        AddressEntry("2001:db8::/32"),
    ),
    make_list(
        "jeux",
        "en.deux.example",
        NameEntry("nu.example", allows=True),
        NameEntry("exact.example", important=True),
        AddressEntry("192.0.2.0/24", allows=True),
        AddressEntry("192.0.2.128/25"),
        RuleEntry("/jeu[0-9]/$dnstype=A", pattern="jeu[0-9]", types=(1,)),
        RuleEntry(
            "||x.example^$dnsrewrite=192.0.2.1",
            anchor="x.example",
            match=Match.BELOW,
            except_below=("y.x.example",),
            not_types=(28,),
            important=True,
            reply=RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(1, "192.0.2.1"),)),
        ),
        RuleEntry("@@||x.example^$dnsrewrite", anchor="x.example", allows=True, lifts_replies=True),
    ),
)
"""Every kind of entry, in two lists."""


def write_everything(path: Path, *, signed: bool = False) -> bytes:
    """A names file of EVERYTHING."""
    compile_names(EVERYTHING, path, serial=7, compiled_at=NOON, sign=KEY.sign if signed else None)
    return path.read_bytes()


def sealed(data: bytes) -> bytes:
    """The bytes with a digest and a check that fit them: what a clumsy or hostile compiler could publish."""
    if len(data) < HEADER.size:
        return data
    head = data[: SIGNED - 32] + hashlib.sha256(data[HEADER.size :]).digest() + data[SIGNED:CHECKED]
    return head + hashlib.sha256(head).digest()[:16] + data[HEADER.size :]


def section(data: bytes, wanted: int) -> slice:
    """Where a section lies."""
    for position in range(struct.unpack_from("<H", data, 14)[0]):
        number, _, offset, length = struct.unpack_from("<IIQQ", data, HEADER.size + 24 * position)
        if number == wanted:
            return slice(offset, offset + length)
    raise LookupError(wanted)

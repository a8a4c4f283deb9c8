"""The header that both files of filter.bundle begin with: its fields, and every way in which it is refused."""

import hashlib
import mmap
import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import NamedTuple

MAGIC = b"\x89PREAU\r\n"
VERSION = 2
HEADER = struct.Struct("<8sHBBBBHQQQIHHQ16s32sQ64s16s")
SIGNED = 104
"""The signature covers this many of the first bytes; the digest among them covers everything behind the header."""
CHECKED = 176
PIECE = 1 << 20
"""Bytes hashed at a time: whole pages."""
LATEST = 253402300799  # 9999-12-31T23:59:59Z
MOST_SECTIONS = 64
MOST_FANOUT_BITS = 24
Verify = Callable[[bytes, int, bytes], None]
"""(bytes 0-103, id of the key, signature or b""); raises BundleRefused: unsigned, foreign_signature."""
Sign = Callable[[bytes], tuple[int, bytes]]
"""bytes 0-103 -> (id of the key, signature of 64 bytes)."""


class Kind(IntEnum):
    NAMES = 2
    POLICY = 3


class NameHash(IntEnum):
    NONE = 0
    SIPHASH_1_3 = 1


class DigestKind(IntEnum):
    SHA_256 = 1


class SignatureKind(IntEnum):
    NONE = 0
    ED25519 = 1


class BundleRefused(Exception):
    """The file is not used, not even in part.

    ``reason`` is stable: foreign, newer, older_format, truncated, altered, invalid, wrong_kind, unsigned,
    foreign_signature; and from whoever fetched it: older_serial, candidate, wrong_digest.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Header(NamedTuple):
    """The header's fields, in the order of HEADER."""

    magic: bytes
    version: int
    kind: int
    name_hash: int
    digest_kind: int
    signature_kind: int
    sections: int
    serial: int
    seconds: int
    length: int
    flags: int
    set_id_size: int
    fanout_bits: int
    names: int
    key: bytes
    digest: bytes
    key_id: int
    signature: bytes
    check: bytes


def read_header(data: memoryview, kind: Kind) -> Header:
    """Check everything that the header alone can tell; raise BundleRefused."""
    if not len(data) or bytes(data[:8]) != MAGIC[: len(data)]:
        raise BundleRefused("foreign", "ce fichier n’a pas été compilé par Préau")
    if len(data) < HEADER.size:
        raise BundleRefused("truncated", f"fichier coupé : {len(data)} octets")
    header = Header._make(HEADER.unpack_from(data))
    if header.version != VERSION:
        raise refuse_version(header.version)
    if hashlib.sha256(data[:CHECKED]).digest()[:16] != header.check:
        raise BundleRefused("altered", "fichier altéré : en-tête abîmé")
    if len(data) < header.length:
        raise BundleRefused("truncated", f"fichier coupé : {len(data)} octets sur {header.length}")
    if header.kind != kind and header.kind in set(Kind):
        raise BundleRefused("wrong_kind", f"un fichier de {WHAT[kind]} est attendu, pas de {WHAT[header.kind]}")
    if len(data) != header.length or not is_known(header, kind):
        raise BundleRefused("altered", "fichier altéré : en-tête invalide")
    return header


WHAT: Mapping[int, str] = {Kind.NAMES: "noms", Kind.POLICY: "politique"}


def refuse_version(version: int) -> BundleRefused:
    if version > VERSION:
        detail = f"format {version}, plus récent que ce filtre (qui lit {VERSION}) : mettez le filtre à jour"
        return BundleRefused("newer", detail)
    return BundleRefused(
        "older_format", f"format {version}, abandonné (ce filtre lit {VERSION}) : recompilez les listes"
    )


def is_known(header: Header, kind: Kind) -> bool:
    """Whether every field has a value that this version gives a meaning to."""
    signed = header.signature_kind == SignatureKind.ED25519
    of_names = (header.name_hash, header.set_id_size in {2, 4}) == (NameHash.SIPHASH_1_3, True)
    no_names = not (header.name_hash or header.set_id_size or header.fanout_bits or header.names or any(header.key))
    return (
        header.kind == kind
        and (of_names if kind == Kind.NAMES else no_names)
        and header.digest_kind == DigestKind.SHA_256
        and header.signature_kind in set(SignatureKind)
        and (signed or not (header.key_id or any(header.signature)))
        and header.flags == 0
        and header.fanout_bits <= MOST_FANOUT_BITS
        and header.sections <= MOST_SECTIONS
        and header.seconds <= LATEST
    )


def check_content(data: memoryview, header: Header, verify: Verify | None) -> None:
    """Raise BundleRefused unless a trusted key signed the header, if asked, and every byte is the one written."""
    if verify is not None:
        signed = header.signature_kind != SignatureKind.NONE
        verify(bytes(data[:SIGNED]), header.key_id, header.signature if signed else b"")
    if digest_of(data) != header.digest:
        raise BundleRefused("altered", "fichier altéré : son empreinte ne correspond pas à son contenu")


def digest_of(data: memoryview) -> bytes:
    """SHA-256 of everything behind the header. Pages of a mapped file are given back as soon as they were read: they
    stay in the system's cache, and whoever opens a second file needs no memory for a second copy."""
    digest = hashlib.sha256()
    for start in range(0, len(data), PIECE):
        digest.update(data[max(start, HEADER.size) : start + PIECE])
        if isinstance(data.obj, mmap.mmap):
            data.obj.madvise(mmap.MADV_DONTNEED, start, min(PIECE, len(data) - start))
    return digest.digest()

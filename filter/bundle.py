"""CONTRACT controller -> filter: the bundle, one immutable file of names and policy that filters map and never parse.

Standard library only. Numbers are unsigned and little-endian. The same input gives the same bytes.

=======  ====  ======================================================================================================
offset   size  header (192 bytes)
=======  ====  ======================================================================================================
0        8     magic ``89 50 52 45 41 55 0D 0A`` (``\\x89PREAU\\r\\n``: a transfer that alters line ends shows at once)
8        2     version of this layout: 1. A reader refuses a higher one
10       1     kind: 1 names and policy, 2 names alone, 3 policy alone (2 and 3 are kept for signed pairs)
11       1     name hash: 1 = SipHash-1-3, 64 bits
12       1     digest: 1 = SHA-256
13       1     signature: 0 none, 1 Ed25519 over bytes 0-103 (kept: a reader of version 1 accepts 0 only)
14       2     number of sections
16       8     serial: grows with every publication, never goes back
24       8     compiled_at: seconds since 1970-01-01T00:00Z
32       8     length of the whole file
40       4     flags: 0; a reader refuses those it does not know
44       2     bytes of a set id: 2 or 4
46       2     fan-out bits F: a name's bucket is the F highest bits of its hash
48       8     number of names N
56       16    hash key. It stays the same from one bundle to the next
72       32    digest of bytes 0-71 followed by bytes 192-end
104      8     id of the signing key: 0
112      64    signature: 0
176      16    0
=======  ====  ======================================================================================================

From 192: the section table, 24 bytes a section: id (4), flags (4, 0), offset in the file (8), length (8).
Ids grow; sections start at multiples of 64 and do not overlap; gaps hold zeros. Unknown sections are ignored.

==  ===========  =====================================================================================================
id  section      content
==  ===========  =====================================================================================================
1   METADATA     JSON: {"lists": [{slug, title, category, source, licence, date, lines, entries, …}], "compiler"}
2   FANOUT       (2^F + 1) x 4 bytes: bucket b holds positions FANOUT[b] to FANOUT[b+1]-1 of HASHES; the last is N
3   HASHES       N x 8 bytes, growing: hashes of names (lower-case ASCII, labels joined by dots, no dot at the end).
                 A name stands for itself and for everything under it
4   SET_IDS      N x (2 or 4) bytes, parallel to HASHES: which set of lists the name is in
5   SET_STARTS   (sets + 1) x 4 bytes: set s has members SET_STARTS[s] to SET_STARTS[s+1]-1
6   SET_MEMBERS  4 bytes each, growing within a set: position of a list in METADATA (low 16 bits); the high 16 bits are
                 kept for kinds of entry (exact only, under only): 0, refused otherwise
7   POLICY       JSON of filter.settings.PolicySettings: default_profile, profiles, networks, private_names
==  ===========  =====================================================================================================

JSON is UTF-8, keys sorted, no spaces. A file that is truncated, altered, foreign or newer is refused whole.
"""

import hashlib
import json
import mmap
import os
import struct
import sys
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

MAGIC = b"\x89PREAU\r\n"
VERSION = 1
KIND_EVERYTHING = 1
HASH_SIPHASH_1_3 = 1
DIGEST_SHA_256 = 1
SIGNATURE_NONE = 0
HEADER = struct.Struct("<8sHBBBBHQQQIHHQ16s32sQ64s16x")
KINDS = (KIND_EVERYTHING, HASH_SIPHASH_1_3, DIGEST_SHA_256, SIGNATURE_NONE)
UNUSED = 176
LATEST = 253402300799  # 9999-12-31T23:59:59Z
COVERED = 72
"""The digest covers the header's first bytes, then everything behind the header."""
SECTION = struct.Struct("<IIQQ")
ALIGNMENT = 64
MOST_SECTIONS = 64
MOST_FANOUT_BITS = 24
NAMES_PER_BUCKET = 6


class SectionId(IntEnum):
    METADATA = 1
    FANOUT = 2
    HASHES = 3
    SET_IDS = 4
    SET_STARTS = 5
    SET_MEMBERS = 6
    POLICY = 7


class BundleRefused(Exception):
    """The file is not used, not even in part.

    ``reason`` is stable: foreign, newer, truncated, altered, invalid, older_serial.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ListInfo:
    """Where the names of one list come from and what became of its lines."""

    slug: str
    title: str
    category: str
    """What profiles block and allow; several lists may feed one."""
    source: str = ""
    licence: str = ""
    date: str | None = None
    usage: Sequence[str] = ()
    lines: int = 0
    entries: int = 0
    """Distinct names of this list in the table."""
    duplicates: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> lines left out."""
    not_enforceable: Mapping[str, int] = field(default_factory=dict)
    """``urls`` and ``expressions``: entries that DNS cannot enforce."""

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Self:
        """Read what ``asdict`` wrote; fields that a later version added are ignored."""
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        return cls(**known)  # type: ignore[arg-type]  # our own compiler wrote it and its digest was checked


@dataclass(frozen=True, slots=True)
class NameTable:
    """The sorted names as the compiler made them: native arrays or any buffer of little-endian numbers."""

    hashes: bytes | memoryview
    set_ids: bytes | memoryview
    set_id_size: int
    sets: tuple[tuple[int, ...], ...]
    """Set id -> positions of its lists, growing."""


def canonical_json(value: object) -> bytes:
    """One way to write a value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def fanout_bits(names: int) -> int:
    """How many bits choose a bucket, for about NAMES_PER_BUCKET names in each."""
    return min(MOST_FANOUT_BITS, max(0, (names // NAMES_PER_BUCKET)).bit_length())


def make_fanout(hashes: memoryview, bits: int) -> bytes:
    """Where each bucket starts among the sorted hashes."""
    shift = 64 - bits
    starts = [bisect_left(hashes, bucket << shift) for bucket in range(1 << bits)]
    return struct.pack(f"<{len(starts) + 1}I", *starts, len(hashes))


def write_bundle(
    out: Path,
    *,
    serial: int,
    compiled_at: datetime,
    key: bytes,
    table: NameTable,
    lists: tuple[ListInfo, ...],
    policy: Mapping[str, object],
    compiler: str,
) -> int:
    """Write the file in one rename, so that a reader sees the old or the new; return its size in bytes."""
    hashes = memoryview(table.hashes).cast("B").cast("Q")
    bits = fanout_bits(len(hashes))
    starts = [0]
    for members in table.sets:
        starts.append(starts[-1] + len(members))
    flat = [member for members in table.sets for member in members]
    metadata = {"compiler": compiler, "lists": [asdict(info) for info in lists]}
    sections: dict[SectionId, bytes | memoryview] = {
        SectionId.METADATA: canonical_json(metadata),
        SectionId.FANOUT: make_fanout(hashes, bits),
        SectionId.HASHES: table.hashes,
        SectionId.SET_IDS: table.set_ids,
        SectionId.SET_STARTS: struct.pack(f"<{len(starts)}I", *starts),
        SectionId.SET_MEMBERS: struct.pack(f"<{len(flat)}I", *flat),
        SectionId.POLICY: canonical_json(policy),
    }
    parts, length = lay_out(sections)
    head = struct.pack(
        "<8sHBBBBHQQQIHHQ16s",
        MAGIC,
        VERSION,
        KIND_EVERYTHING,
        HASH_SIPHASH_1_3,
        DIGEST_SHA_256,
        SIGNATURE_NONE,
        len(sections),
        serial,
        int(compiled_at.astimezone(UTC).timestamp()),
        length,
        0,
        table.set_id_size,
        bits,
        len(hashes),
        key,
    )
    digest = hashlib.sha256(head)
    for part in parts:
        digest.update(part)
    header = (head + digest.digest()).ljust(HEADER.size, b"\0")
    replace_file(out, [header, *parts])
    return length


def lay_out(sections: Mapping[SectionId, bytes | memoryview]) -> tuple[list[bytes | memoryview], int]:
    """The section table and the sections with the zeros between them, and the length of the whole file."""
    offset = HEADER.size + SECTION.size * len(sections)
    table = b""
    parts: list[bytes | memoryview] = []
    for identifier, content in sections.items():
        gap = -offset % ALIGNMENT
        size = memoryview(content).nbytes
        table += SECTION.pack(identifier, 0, offset + gap, size)
        parts += [bytes(gap), content]
        offset += gap + size
    return [table, *parts], offset


def replace_file(path: Path, parts: list[bytes | memoryview]) -> None:
    """Write aside, sync, rename: whoever has the old file mapped keeps it whole."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


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
    signing_key: int
    signature: bytes


def read_header(data: memoryview) -> Header:
    """Check everything that the header alone can tell; raise BundleRefused."""
    if not len(data) or bytes(data[:8]) != MAGIC[: len(data)]:
        raise BundleRefused("foreign", "ce fichier n’est pas un jeu de listes compilé par Préau")
    if len(data) < HEADER.size:
        raise BundleRefused("truncated", f"fichier coupé : {len(data)} octets")
    header = Header._make(HEADER.unpack_from(data))
    if header.version > VERSION:
        detail = f"format {header.version}, plus récent que ce filtre (qui lit {VERSION}) : mettez le filtre à jour"
        raise BundleRefused("newer", detail)
    if len(data) < header.length:
        raise BundleRefused("truncated", f"fichier coupé : {len(data)} octets sur {header.length}")
    kinds = (header.kind, header.name_hash, header.digest_kind, header.signature_kind)
    in_range = (
        header.version > 0
        and header.set_id_size in {2, 4}
        and header.fanout_bits <= MOST_FANOUT_BITS
        and header.sections <= MOST_SECTIONS
        and header.seconds <= LATEST
    )
    unused = header.flags or header.signing_key or any(header.signature) or any(data[UNUSED : HEADER.size])
    if kinds != KINDS or not in_range or unused or len(data) != header.length:
        raise BundleRefused("altered", "fichier altéré : en-tête invalide")
    return header


def check_digest(data: memoryview, header: Header) -> None:
    """Raise BundleRefused unless every byte is the one that was written."""
    digest = hashlib.sha256(data[:COVERED])
    digest.update(data[HEADER.size :])
    if digest.digest() != header.digest:
        raise BundleRefused("altered", "fichier altéré : son empreinte ne correspond pas à son contenu")


def find_sections(data: memoryview, header: Header) -> dict[int, memoryview]:
    """Section id -> its bytes, without a copy; raise BundleRefused when the table does not hold together."""
    found: dict[int, memoryview] = {}
    end, last = HEADER.size + SECTION.size * header.sections, 0
    if end > len(data):
        raise BundleRefused("invalid", "table des sections hors du fichier")
    for position in range(header.sections):
        identifier, flags, offset, length = SECTION.unpack_from(data, HEADER.size + SECTION.size * position)
        if identifier <= last or flags or offset < end or offset % ALIGNMENT or offset + length > len(data):
            raise BundleRefused("invalid", f"section {identifier} mal placée")
        found[identifier] = data[offset : offset + length]
        last, end = identifier, offset + length
    missing = [section.name for section in SectionId if section not in found]
    if missing:
        raise BundleRefused("invalid", f"sections absentes : {', '.join(missing)}")
    return found


class Bundle:
    """An open bundle: its tables are views of the mapped file, shared by every process that opens it.

    Nothing is read ahead but the digest's single pass. The map goes away with the last reference to the bundle.
    Whoever replaces the file renames a new one over it: writing into a mapped file would break its readers.
    """

    def __init__(self, data: memoryview) -> None:
        """Check the bytes of a bundle and lay views over them; raise BundleRefused."""
        if sys.byteorder != "little":
            raise BundleRefused("invalid", "cette machine range les octets à l’envers : non prise en charge")
        self.header = read_header(data)
        check_digest(data, self.header)
        sections = find_sections(data, self.header)
        self.size = len(data)
        self.data = data
        try:
            self.fanout = sections[SectionId.FANOUT].cast("I")
            self.hashes = sections[SectionId.HASHES].cast("Q")
            self.set_ids = sections[SectionId.SET_IDS].cast("H" if self.header.set_id_size == 2 else "I")
            self.sets = read_sets(sections)
            metadata = json.loads(bytes(sections[SectionId.METADATA]))
            self.lists = tuple(ListInfo.from_json(values) for values in metadata["lists"])
            self.policy: dict[str, object] = json.loads(bytes(sections[SectionId.POLICY]))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise BundleRefused("invalid", f"section illisible : {error}") from error
        self.check_shape()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map a file; raise BundleRefused, or OSError when it cannot be read."""
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise BundleRefused("truncated", "fichier vide")
            return cls(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))

    @property
    def serial(self) -> int:
        return self.header.serial

    @property
    def compiled_at(self) -> datetime:
        return datetime.fromtimestamp(self.header.seconds, UTC)

    @property
    def names(self) -> int:
        return self.header.names

    def check_shape(self) -> None:
        """Raise BundleRefused when tables that belong together differ in length, or a set names no list."""
        buckets = (1 << self.header.fanout_bits) + 1
        lengths = (len(self.fanout), len(self.hashes), len(self.set_ids))
        if lengths != (buckets, self.names, self.names) or self.fanout[-1] != self.names or self.fanout[0]:
            raise BundleRefused("invalid", "tables de longueurs différentes")
        if any(member >= len(self.lists) for members in self.sets for member in members):
            raise BundleRefused("invalid", "un ensemble nomme une liste absente")

    def find_set(self, name_hash: int) -> int | None:
        """The id of the set of lists that a name is in, or None: one bucket of a few hashes is looked through."""
        bucket = name_hash >> (64 - self.header.fanout_bits)
        position = bisect_left(self.hashes, name_hash, self.fanout[bucket], self.fanout[bucket + 1])
        if position < self.names and self.hashes[position] == name_hash:
            return self.set_ids[position]
        return None

    def digest(self) -> str:
        """SHA-256 of the whole file in hexadecimal: its content address and its ETag."""
        return hashlib.sha256(self.data).hexdigest()


def read_sets(sections: Mapping[int, memoryview]) -> tuple[tuple[int, ...], ...]:
    """Set id -> positions of its lists; raise ValueError when the two sections disagree."""
    starts = sections[SectionId.SET_STARTS].cast("I").tolist()
    members = sections[SectionId.SET_MEMBERS].cast("I").tolist()
    if not starts or starts[0] or starts[-1] != len(members) or starts != sorted(starts):
        raise ValueError("ensembles")
    return tuple(tuple(members[start:end]) for start, end in pairwise(starts))

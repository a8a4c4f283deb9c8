"""Writes the two files of filter.bundle, each in one rename."""

import hashlib
import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from filter.layout.addresses import write_addresses
from filter.layout.header import (
    HEADER,
    MAGIC,
    MOST_FANOUT_BITS,
    VERSION,
    DigestKind,
    Kind,
    NameHash,
    Sign,
    SignatureKind,
    check_content,
    read_header,
)
from filter.layout.rules import write_rules
from filter.layout.sections import ALIGNMENT, SECTION, ListInfo, SectionId, canonical_json
from filter.lists.entries import RuleEntry

NAMES_PER_BUCKET = 6
NO_KEY = bytes(16)
Content = bytes | memoryview


@dataclass(frozen=True, slots=True)
class NameTable:
    """The sorted names as the compiler made them: any buffer of little-endian numbers."""

    hashes: Content
    set_ids: Content
    set_id_size: int
    sets: tuple[tuple[int, ...], ...]
    """Set id -> codes of its members (filter.bundle.Member.code), growing."""
    fanout: Content | None = None
    """FANOUT for fanout_bits(N), when the compiler has a quicker way to it than make_fanout."""


class Written(NamedTuple):
    """A file that was written: its bytes, and its content address in hexadecimal."""

    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Shape:
    """What the header says of a names file's tables; a policy has none."""

    name_hash: NameHash = NameHash.NONE
    set_id_size: int = 0
    fanout_bits: int = 0
    names: int = 0
    key: bytes = NO_KEY


def write_names(
    out: Path,
    *,
    serial: int,
    compiled_at: datetime,
    key: bytes,
    table: NameTable,
    lists: Sequence[ListInfo],
    rules: Iterable[tuple[int, RuleEntry]] = (),
    addresses: Iterable[tuple[str, int]] = (),
    compiler: str,
    sign: Sign | None = None,
) -> Written:
    """Write a names file; ``addresses`` are (network, set id)."""
    hashes = memoryview(table.hashes).cast("B").cast("Q")
    bits = fanout_bits(len(hashes))
    starts = [0]
    for members in table.sets:
        starts.append(starts[-1] + len(members))
    codes = [code for members in table.sets for code in members]
    sections: dict[SectionId, Content] = {
        SectionId.METADATA: canonical_json({"compiler": compiler, "lists": [asdict(info) for info in lists]}),
        SectionId.FANOUT: make_fanout(hashes, bits) if table.fanout is None else table.fanout,
        SectionId.HASHES: table.hashes,
        SectionId.SET_IDS: table.set_ids,
        SectionId.SET_STARTS: struct.pack(f"<{len(starts)}I", *starts),
        SectionId.SET_MEMBERS: struct.pack(f"<{len(codes)}I", *codes),
        SectionId.RULES: write_rules(rules),
        SectionId.ADDRESSES: write_addresses(addresses),
    }
    shape = Shape(NameHash.SIPHASH_1_3, table.set_id_size, bits, len(hashes), key)
    return write_file(out, Kind.NAMES, sections, serial, compiled_at, shape, sign)


def write_policy(
    out: Path,
    *,
    serial: int,
    compiled_at: datetime,
    settings: bytes,
    names_digest: str = "",
    compiler: str,
    sign: Sign | None = None,
) -> Written:
    """Write a policy; ``settings`` is the JSON of filter.settings.PolicySettings."""
    sections: dict[SectionId, Content] = {
        SectionId.METADATA: canonical_json({"compiler": compiler, "names": names_digest}),
        SectionId.POLICY: settings,
    }
    return write_file(out, Kind.POLICY, sections, serial, compiled_at, Shape(), sign)


def write_again(old: Path, out: Path, *, serial: int, compiled_at: datetime, sign: Sign | None = None) -> Written:
    """The content of a names file under a new serial: going back to it. Raise BundleRefused for a damaged file."""
    with (
        old.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as data,
    ):
        header = read_header(data, Kind.NAMES)
        check_content(data, header, None)
        seconds = int(compiled_at.astimezone(UTC).timestamp())
        signature_kind = SignatureKind.NONE if sign is None else SignatureKind.ED25519
        fields = header._replace(serial=serial, seconds=seconds, signature_kind=signature_kind)
        signed = struct.pack(SIGNED_PART, *fields[: -len(UNSIGNED)])
        with data[HEADER.size :] as content:
            replace_file(out, [finish_header(signed, sign), content])
    return Written(header.length, header.digest.hex())


UNSIGNED = ("key_id", "signature", "check")
"""The last fields of a header, which the signature does not cover."""


def fanout_bits(names: int) -> int:
    """How many bits choose a bucket, for about NAMES_PER_BUCKET names in each."""
    return min(MOST_FANOUT_BITS, (names // NAMES_PER_BUCKET).bit_length())


def make_fanout(hashes: memoryview, bits: int) -> bytes:
    """Where each bucket starts among the sorted hashes."""
    shift = 64 - bits
    starts, start = [], 0
    for bucket in range(1 << bits):
        start = bisect_left(hashes, bucket << shift, start)
        starts.append(start)
    return struct.pack(f"<{len(starts) + 1}I", *starts, len(hashes))


def write_file(
    out: Path,
    kind: Kind,
    sections: Mapping[SectionId, Content],
    serial: int,
    compiled_at: datetime,
    shape: Shape,
    sign: Sign | None,
) -> Written:
    """Lay the sections out, hash and sign them, and put the file in place in one rename."""
    parts, length = lay_out(sections)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    signature_kind = SignatureKind.NONE if sign is None else SignatureKind.ED25519
    seconds = int(compiled_at.astimezone(UTC).timestamp())
    kinds = (kind, shape.name_hash, DigestKind.SHA_256, signature_kind)
    tables = (shape.set_id_size, shape.fanout_bits, shape.names, shape.key)
    signed = struct.pack(
        SIGNED_PART, MAGIC, VERSION, *kinds, len(sections), serial, seconds, length, 0, *tables, digest.digest()
    )
    replace_file(out, [finish_header(signed, sign), *parts])
    return Written(length, digest.hexdigest())


SIGNED_PART = "<8sHBBBBHQQQIHHQ16s32s"


def finish_header(signed: bytes, sign: Sign | None) -> bytes:
    """Bytes 0-103, the signature, if any, and the check of all that."""
    key_id, signature = (0, b"") if sign is None else sign(signed)
    checked = signed + struct.pack("<Q64s", key_id, signature)
    return checked + hashlib.sha256(checked).digest()[: HEADER.size - len(checked)]


def lay_out(sections: Mapping[SectionId, Content]) -> tuple[list[Content], int]:
    """The section table and the sections with the zeros between them, and the length of the whole file."""
    offset = HEADER.size + SECTION.size * len(sections)
    table = b""
    parts: list[Content] = []
    for identifier, content in sections.items():
        gap = -offset % ALIGNMENT
        size = memoryview(content).nbytes
        table += SECTION.pack(identifier, 0, offset + gap, size)
        parts += [bytes(gap), content]
        offset += gap + size
    return [table, *parts], offset


def replace_file(path: Path, parts: Iterable[Content]) -> None:
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

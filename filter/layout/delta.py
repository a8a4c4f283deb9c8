"""What changed from one names file to the next, a hundredth of its size; applied, it gives the new file byte by byte.

Standard library only. Numbers are unsigned and little-endian; a *varint* has 7 bits a byte, lowest first, the highest
bit set in all but the last byte; *growing* numbers are written as varints of their differences, the first from 0.

=======  ====  ======================================================================================================
offset   size  delta
=======  ====  ======================================================================================================
0        8     magic ``89 50 52 45 41 55 44 0A`` (``\\x89PREAUD\\n``)
8        2     version of this layout: 1
10       2     number of sections of the new file
12       4     0
16       32    digest of the old file (its bytes 72-103)
48       8     length of the payload
56       …     zlib stream of the payload
=======  ====  ======================================================================================================

Payload: the 192 bytes of the new file's header; then its sections in their order: id (4), way (4), length (8), content.
Way 0: the section itself. Way 1: nothing, it is the old file's. Way 2: it follows from the old file's and this content:

=========  ===========================================================================================================
HASHES     numbers of removed and of added names (4, 4); positions removed in the old table, growing; hashes added,
           growing
SET_IDS    number of old sets and of exceptions (4, 4); new id - old id mod 2^32 of each old set (4 each); positions in
           the new table that this does not tell, growing; their new ids, varints; ids of the added names, varints
FANOUT     nothing: it follows from HASHES
=========  ===========================================================================================================

Sections are laid out as filter.bundle says, with the smallest gaps. The new header's digest and check are then
compared: what is not exactly the new file is refused, and its signature is still to be verified by whoever opens it.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from filter.bundle import BundleRefused, NamesFile
from filter.layout.delta_tables import (
    Change,
    DeltaRefused,
    Tables,
    check_counts,
    find_change,
    read_hashes_part,
    read_set_ids_part,
    write_hashes_part,
    write_set_ids_part,
)
from filter.layout.header import HEADER, MOST_FANOUT_BITS, Header
from filter.layout.sections import ALIGNMENT, SECTION, SectionId, find_sections

__all__ = ["DeltaRefused", "apply_delta", "make_delta"]
MAGIC = b"\x89PREAUD\n"
HEAD = struct.Struct("<8sHHI32sQ")
PART = struct.Struct("<IIQ")
VERSION = 1
LITERAL, COPIED, DERIVED = 0, 1, 2
TABLES = (SectionId.FANOUT, SectionId.HASHES, SectionId.SET_IDS)
MOST_PAYLOAD = 1 << 26
"""Bytes: a larger delta is not worth making, the whole file serves better."""
NONSENSE = (IndexError, OverflowError, ValueError, struct.error, zlib.error)
"""What reading a delta raises when it is none."""


class Part(NamedTuple):
    """One section of the new file."""

    section: int
    way: int
    content: memoryview


def make_delta(old: Path, new: Path) -> bytes:
    """What turns one names file into the other.

    Raises BundleRefused or OSError for a file that cannot be opened, DeltaRefused when too much changed.
    """
    before, after = NamesFile.open(old), NamesFile.open(new)
    sections = find_sections(after.data, after.header)
    payload = b"".join([bytes(after.data[: HEADER.size]), *make_parts(before, after, sections)])
    if len(payload) > MOST_PAYLOAD:
        raise DeltaRefused(f"{len(payload)} octets de différences : le fichier entier est préférable")
    head = HEAD.pack(MAGIC, VERSION, len(sections), 0, before.header.digest, len(payload))
    return head + zlib.compress(payload, 9)


def make_parts(old: NamesFile, new: NamesFile, sections: dict[int, memoryview]) -> Iterator[bytes]:
    """Every section in the cheapest way that leads to it."""
    known = find_sections(old.data, old.header)
    change = find_change(old, new)
    check_counts(old.names, len(change.removed), len(change.added))
    derived = {
        SectionId.FANOUT: b"",
        SectionId.HASHES: write_hashes_part(change),
        SectionId.SET_IDS: write_set_ids_part(change),
    }
    for section, content in sections.items():
        if section in derived:
            way, short = DERIVED, derived[SectionId(section)]
        elif section in known and known[section] == content:
            way, short = COPIED, b""
        else:
            way, short = LITERAL, bytes(content)
        yield PART.pack(section, way, len(short)) + short


def apply_delta(old: Path, delta: Path, out: Path) -> None:
    """Write the new file, in one rename, once it is known to be exactly what the delta was made from.

    Raises DeltaRefused (of another file, damaged, hostile: nothing is written), BundleRefused for an old file that is
    no names file, OSError. Memory: the payload, MOST_PAYLOAD at most; the tables go through in pieces.
    """
    before = NamesFile.open(old)
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        header, parts = read_delta(delta, before)
        with aside.open("wb") as file:
            write_new(file, before, header, parts)
        NamesFile.open(aside)
        aside.replace(out)
    except (BundleRefused, *NONSENSE) as error:
        raise DeltaRefused(f"différences inutilisables : {error}") from error
    finally:
        aside.unlink(missing_ok=True)


def read_delta(path: Path, old: NamesFile) -> tuple[memoryview, list[Part]]:
    """The new file's header and its sections; raise DeltaRefused, or one of NONSENSE."""
    with path.open("rb") as file:
        content = file.read(MOST_PAYLOAD + 1)
    magic, version, sections, zero, digest, length = HEAD.unpack_from(content)
    if (magic, version, zero) != (MAGIC, VERSION, 0) or len(content) > MOST_PAYLOAD or length > MOST_PAYLOAD:
        raise DeltaRefused("ce n’est pas un fichier de différences de Préau")
    if digest != old.header.digest:
        raise DeltaRefused("différences d’un autre fichier que celui d’ici")
    engine = zlib.decompressobj()
    payload = memoryview(engine.decompress(content[HEAD.size :], length + 1))
    if len(payload) != length or not engine.eof or engine.unused_data or length < HEADER.size:
        raise DeltaRefused("différences coupées ou rallongées")
    parts, place = [], HEADER.size
    for _ in range(sections):
        section, way, size = PART.unpack_from(payload, place)
        place += PART.size + size
        if place > length:
            raise DeltaRefused("section coupée")
        parts.append(Part(section, way, payload[place - size : place]))
    if place != length:
        raise DeltaRefused("octets de trop")
    return payload[: HEADER.size], parts


def write_new(file: BinaryIO, old: NamesFile, head: memoryview, parts: list[Part]) -> None:
    """The whole new file, a piece at a time; raise DeltaRefused before the first byte if it would be too large."""
    header = Header._make(HEADER.unpack(head))
    known = find_sections(old.data, old.header)
    tables = Tables(old, read_tables(old, parts), header.fanout_bits, header.set_id_size)
    if header.fanout_bits > MOST_FANOUT_BITS or header.set_id_size not in {2, 4} or header.names != tables.names:
        raise DeltaRefused("en-tête qui ne correspond pas aux tables")
    sizes = {part.section: size_of(part, known, tables) for part in parts}
    places, end = lay_out(sizes)
    if end != header.length or end > 2 * old.size + MOST_PAYLOAD:
        raise DeltaRefused("longueur qui ne correspond pas aux sections")
    file.write(head)
    file.writelines(SECTION.pack(section, 0, places[section], size) for section, size in sizes.items())
    for part in parts:
        file.write(bytes(places[part.section] - file.tell()))
        file.writelines(contents(part, known, tables))
    for position, value in tables.patches():
        file.seek(places[SectionId.SET_IDS] + position)
        file.write(value)


def read_tables(old: NamesFile, parts: list[Part]) -> Change:
    """What becomes of the tables; raise DeltaRefused unless all three are derived, and nothing else is."""
    derived = {part.section: part.content for part in parts if part.way == DERIVED}
    if set(derived) != set(TABLES) or derived[SectionId.FANOUT] or len({p.section for p in parts}) != len(parts):
        raise DeltaRefused("tables absentes ou en double")
    removed, added = read_hashes_part(derived[SectionId.HASHES], old.names)
    return read_set_ids_part(derived[SectionId.SET_IDS], removed, added, old)


def size_of(part: Part, known: dict[int, memoryview], tables: Tables) -> int:
    """Bytes of a section in the new file."""
    if part.way == DERIVED:
        return tables.size(part.section)
    if part.way == COPIED and part.section in known and not part.content:
        return len(known[part.section])
    if part.way == LITERAL:
        return len(part.content)
    raise DeltaRefused("section sans origine")


def contents(part: Part, known: dict[int, memoryview], tables: Tables) -> Iterable[bytes | memoryview]:
    """The pieces of a section of the new file."""
    if part.way == DERIVED:
        return tables.pieces(part.section)
    return [known[part.section] if part.way == COPIED else part.content]


def lay_out(sizes: dict[int, int]) -> tuple[dict[int, int], int]:
    """Where each section starts, and where the last one ends."""
    places, end = {}, HEADER.size + SECTION.size * len(sizes)
    for section, size in sizes.items():
        places[section] = end + -end % ALIGNMENT
        end = places[section] + size
    return places, end

"""CONTRACT controller -> filter: two immutable files, names and policy, that filters map and never parse name by name.

Standard library only. Numbers are unsigned and little-endian. The same input gives the same bytes.

=======  ====  ======================================================================================================
offset   size  header (192 bytes), of both files
=======  ====  ======================================================================================================
0        8     magic ``89 50 52 45 41 55 0D 0A`` (``\\x89PREAU\\r\\n``: a transfer that alters line ends shows at once)
8        2     version of this layout: 2. A reader refuses any other
10       1     kind: 2 names, 3 policy
11       1     name hash: 1 = SipHash-1-3, 64 bits; 0 in a policy
12       1     digest: 1 = SHA-256
13       1     signature: 0 none, 1 Ed25519 over bytes 0-103
14       2     number of sections
16       8     serial: grows with every publication, never goes back; 0: a candidate or a local file
24       8     compiled_at: seconds since 1970-01-01T00:00Z
32       8     length of the whole file
40       4     flags: 0; a reader refuses those it does not know
44       2     bytes of a set id: 2 or 4; 0 in a policy
46       2     fan-out bits F: a name's bucket is the F highest bits of its hash; 0 in a policy
48       8     number of names N; 0 in a policy
56       16    hash key: it stays the same from one file to the next; 0 in a policy
72       32    digest of bytes 192-end: the content address, the same whatever the serial and the date
104      8     id of the signing key: the first 8 bytes of SHA-256 of the public key; 0 without signature
112      64    signature; 0 without
176      16    check: the first 16 bytes of SHA-256 of bytes 0-175, so that an altered header shows without a key
=======  ====  ======================================================================================================

From 192: the section table, 24 bytes a section: id (4), flags (4, 0), offset in the file (8), length (8).
Ids grow; sections start at multiples of 64 and do not overlap; gaps hold zeros. Unknown sections are ignored.
A names file has sections 1-6, 8 and 9; a policy has 1 and 7.

==  ===========  =====================================================================================================
id  section      content
==  ===========  =====================================================================================================
1   METADATA     JSON. Names: {"compiler", "lists": [{slug, title, category, source, licence, date, lines, …}]}.
                 Policy: {"compiler", "names": digest of the names file it was compiled beside, or ""}
2   FANOUT       (2^F + 1) x 4 bytes: bucket b holds positions FANOUT[b] to FANOUT[b+1]-1 of HASHES; the last is N
3   HASHES       N x 8 bytes, growing: hashes of names (lower-case ASCII, labels joined by dots, no dot at the end)
4   SET_IDS      N x (2 or 4) bytes, parallel to HASHES: which set of list entries speaks of the name
5   SET_STARTS   (sets + 1) x 4 bytes: set s has members SET_STARTS[s] to SET_STARTS[s+1]-1
6   SET_MEMBERS  4 bytes each, growing within a set. Bits 0-15: position of a list in METADATA; 16-17: which names
                 (0 the name and everything under it, 1 the name alone, 2 only what is under it); 18: an exception
                 (``@@``); 19: important; the rest 0
7   POLICY       JSON of filter.settings.PolicySettings
8   RULES        JSON: [[position of a list, {fields of filter.lists.entries.RuleEntry that are not the default}], …]
9   ADDRESSES    empty, or 32 bytes (bit L % 8 of byte L / 8 is set when a network has a prefix of L bits, 0-128; 15
                 zeros), then 24 bytes a network, growing: address (16, highest byte first; IPv4 as ``::ffff:a.b.c.d``),
                 prefix length of those 128 bits (1), zeros (3), set id (4)
==  ===========  =====================================================================================================

JSON is UTF-8, keys sorted, no spaces. A file that is truncated, altered, foreign, older or newer is refused whole.
"""

import json
import mmap
import os
import sys
import weakref
from bisect import bisect_left
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Self

from filter.layout.addresses import AddressTable
from filter.layout.header import BundleRefused, Header, Kind, Sign, Verify, check_content, read_header
from filter.layout.rules import read_rules
from filter.layout.sections import ListInfo, Member, SectionId, find_sections, read_sets

__all__ = ["BundleRefused", "Header", "Kind", "ListInfo", "Member", "NamesFile", "PolicyFile", "Sign", "Verify"]
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading a section raises when it holds something else than it should."""


class SignedFile:
    """What both files are: mapped bytes that were checked, and the header that was believed.

    Nothing is read ahead but the digest's single pass. The map goes away with the last reference to the file. Whoever
    replaces a file renames a new one over it: writing into a mapped file would break its readers.
    """

    kind: ClassVar[Kind]
    needed: ClassVar[tuple[SectionId, ...]]
    descriptor = -1
    """The open file, for those who shall have these very bytes; -1 for bytes that came otherwise."""

    def __init__(self, data: memoryview, verify: Verify | None = None) -> None:
        """Check the bytes and lay views over them; raise BundleRefused.

        ``verify`` (filter.signing.trust) asks for the signature of a known key; None asks for none: a local file.
        """
        if sys.byteorder != "little":
            raise BundleRefused("invalid", "cette machine range les octets à l’envers : non prise en charge")
        self.header = read_header(data, self.kind)
        check_content(data, self.header, verify)
        sections = find_sections(data, self.header)
        if missing := [section.name for section in self.needed if section not in sections]:
            raise BundleRefused("invalid", f"sections absentes : {', '.join(missing)}")
        self.data = data
        self.size = len(data)
        try:
            self.read(sections, json.loads(bytes(sections[SectionId.METADATA])))
        except UNREADABLE as error:
            raise BundleRefused("invalid", f"section illisible : {error}") from error

    def read(self, sections: Mapping[int, memoryview], metadata: Mapping[str, object]) -> None:
        """Lay views over the sections; raise one of UNREADABLE."""
        raise NotImplementedError

    @classmethod
    def open(cls, path: Path, verify: Verify | None = None) -> Self:
        """Map a file; raise BundleRefused, or OSError when it cannot be read."""
        with path.open("rb") as file:  # which refuses folders
            return cls.own(os.dup(file.fileno()), verify)

    @classmethod
    def own(cls, descriptor: int, verify: Verify | None = None) -> Self:
        """Map a file that is open, and is closed when nobody needs it any more; raise BundleRefused or OSError."""
        with ExitStack() as stack:
            stack.callback(os.close, descriptor)
            if os.fstat(descriptor).st_size == 0:
                raise BundleRefused("truncated", "fichier vide")
            opened = cls(memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)), verify)
            opened.descriptor = descriptor
            weakref.finalize(opened, stack.pop_all().close)
        return opened

    @property
    def serial(self) -> int:
        return self.header.serial

    @property
    def compiled_at(self) -> datetime:
        return datetime.fromtimestamp(self.header.seconds, UTC)

    @property
    def digest(self) -> str:
        """The content address, in hexadecimal: the same input has the same, whatever its serial and date."""
        return self.header.digest.hex()

    @property
    def etag(self) -> str:
        """What names these very bytes over HTTP, without the quotes."""
        return f"{self.digest}.{self.serial}"


class NamesFile(SignedFile):
    """An open names file: its tables are views of the mapped file, shared by every process that opens it."""

    kind = Kind.NAMES
    needed = (
        SectionId.METADATA,
        SectionId.FANOUT,
        SectionId.HASHES,
        SectionId.SET_IDS,
        SectionId.SET_STARTS,
        SectionId.SET_MEMBERS,
        SectionId.RULES,
        SectionId.ADDRESSES,
    )

    def read(self, sections: Mapping[int, memoryview], metadata: Mapping[str, object]) -> None:
        """Lay views over the sections; sets, rules and lists are few and parsed once."""
        lists = metadata["lists"]
        if not isinstance(lists, list):
            raise TypeError("METADATA")
        self.lists = tuple(map(ListInfo.from_json, lists))
        self.sets = read_sets(sections[SectionId.SET_STARTS], sections[SectionId.SET_MEMBERS], len(self.lists))
        self.rules = read_rules(sections[SectionId.RULES], len(self.lists))
        self.addresses = AddressTable(sections[SectionId.ADDRESSES])
        self.fanout = sections[SectionId.FANOUT].cast("I")
        self.hashes = sections[SectionId.HASHES].cast("Q")
        self.set_ids = sections[SectionId.SET_IDS].cast("H" if self.header.set_id_size == 2 else "I")
        self.shift = 64 - self.header.fanout_bits
        buckets = (1 << self.header.fanout_bits) + 1
        if (len(self.fanout), len(self.hashes), len(self.set_ids)) != (buckets, self.names, self.names):
            raise ValueError("tables de longueurs différentes")
        if self.fanout[-1] != self.names or self.fanout[0]:
            raise ValueError("seaux")

    @property
    def names(self) -> int:
        return self.header.names

    def find_set(self, name_hash: int) -> int | None:
        """The id of the set of list entries that a name is in, or None: one bucket of a few hashes is looked through.

        Bounded even for a file whose tables lie, which only the holder of a trusted key can make.
        """
        bucket = name_hash >> self.shift
        fanout, hashes = self.fanout, self.hashes
        end = min(fanout[bucket + 1], len(hashes))
        position = bisect_left(hashes, name_hash, fanout[bucket], end)
        if position < end and hashes[position] == name_hash:
            set_id = self.set_ids[position]
            return set_id if set_id < len(self.sets) else None
        return None

    def find_address_sets(self, packed: bytes) -> list[tuple[str, int]]:
        """(network, set id) of every listed network that holds the address (4 or 16 bytes), longest prefix first."""
        found = self.addresses.find(packed) if len(self.addresses) else []
        return [(network, set_id) for network, set_id in found if set_id < len(self.sets)]


class PolicyFile(SignedFile):
    """An open policy: the settings as filter.settings reads them, and which names they were compiled beside."""

    kind = Kind.POLICY
    needed = (SectionId.METADATA, SectionId.POLICY)

    def read(self, sections: Mapping[int, memoryview], metadata: Mapping[str, object]) -> None:
        names_digest = metadata.get("names", "")
        if not isinstance(names_digest, str):
            raise TypeError("METADATA")
        self.names_digest = names_digest
        """Digest of the names file it was compiled beside; "" when that was not known."""
        self.settings = bytes(sections[SectionId.POLICY])
        """JSON of filter.settings.PolicySettings."""

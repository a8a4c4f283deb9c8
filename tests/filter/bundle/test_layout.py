"""The layout of both files: what is written is read back, where the docstring says."""

import hashlib
import ipaddress
import json
import struct
from datetime import UTC, datetime
from pathlib import Path

from filter.bundle import Member, NamesFile, PolicyFile
from filter.compiler import COMPILER, compile_names
from filter.domains import DEFAULT_KEY, hash_name
from filter.lists.entries import Match, RuleEntry
from filter.lists.source import ListReport
from filter.settings import PolicySettings
from filter.signing import trust
from tests.filter.bundle.reading import find, names_of
from tests.filter.bundles import EVERYTHING, KEY, section
from tests.filter.conftest import NOON, make_list, policy_of


def test_names_and_what_lists_say_of_them_are_read_back(everything: bytes) -> None:
    names = names_of(everything)

    assert (names.serial, names.compiled_at, names.names) == (7, NOON, 4)
    assert [info.slug for info in names.lists] == ["adultes", "jeux"]
    assert [(info.entries, info.addresses, info.rules) for info in names.lists] == [(4, 2, 0), (3, 2, 3)]
    assert find(names, "en.deux.example") == {Member(0), Member(1)}
    assert find(names, "nu.example") == {Member(0), Member(1, allows=True)}
    assert find(names, "exact.example") == {Member(0, Match.EXACT), Member(1, important=True)}
    assert find(names, "dessous.example") == {Member(0, Match.BELOW)}
    assert find(names, "deux.example") == set()


def test_rules_are_read_back(everything: bytes) -> None:
    written = [(1, entry) for entry in EVERYTHING[1].read(ListReport()) if isinstance(entry, RuleEntry)]
    assert list(names_of(everything).rules) == written


def test_networks_are_found_longest_first(everything: bytes) -> None:
    names = names_of(everything)

    def networks(address: str) -> list[tuple[str, set[Member]]]:
        found = names.find_address_sets(ipaddress.ip_address(address).packed)
        return [(network, set(names.sets[set_id])) for network, set_id in found]

    both = {Member(0), Member(1, allows=True)}
    assert networks("192.0.2.1") == [("192.0.2.0/24", both)]
    assert networks("192.0.2.129") == [("192.0.2.128/25", {Member(1)}), ("192.0.2.0/24", both)]
    assert networks("::ffff:192.0.2.1") == [("192.0.2.0/24", both)]
    assert networks("2001:db8::1") == [("2001:db8::/32", {Member(0)})]
    assert networks("192.0.3.1") == networks("2001:db9::1") == networks("::1") == []


def test_a_policy_is_read_back(policy: bytes) -> None:
    file = PolicyFile(memoryview(policy), trust([KEY.public_hex]))

    assert (file.serial, file.compiled_at, file.names_digest, file.size) == (9, NOON, "ab" * 32, len(policy))
    assert file.etag == f"{file.digest}.9"
    assert PolicySettings.from_json(file.settings).default_profile == "ecole"


def test_the_header_is_where_the_docstring_says(signed: bytes) -> None:
    key_id = hashlib.sha256(bytes.fromhex(KEY.public_hex)).digest()[:8]

    assert signed[:8] == b"\x89PREAU\r\n"
    assert struct.unpack_from("<HBBBB", signed, 8) == (2, 2, 1, 1, 1)
    assert struct.unpack_from("<QQQI", signed, 16) == (7, int(NOON.timestamp()), len(signed), 0)
    assert struct.unpack_from("<HHQ", signed, 44) == (2, 0, 4)
    assert signed[56:72] == DEFAULT_KEY
    assert signed[72:104] == hashlib.sha256(signed[192:]).digest()
    assert signed[104:112] == key_id
    KEY.private.public_key().verify(signed[112:176], signed[:104])
    assert signed[176:192] == hashlib.sha256(signed[:176]).digest()[:16]


def test_sections_are_where_the_docstring_says(signed: bytes) -> None:
    table = [struct.unpack_from("<IIQQ", signed, 192 + 24 * n) for n in range(8)]

    assert [number for number, *_ in table] == [1, 2, 3, 4, 5, 6, 8, 9]
    assert all(offset % 64 == 0 for _, _, offset, _ in table)
    assert json.loads(signed[section(signed, 1)])["compiler"] == COMPILER
    hashes = struct.unpack("<4Q", signed[section(signed, 3)])
    assert list(hashes) == sorted(hashes)
    assert hash_name(b"nu.example", DEFAULT_KEY) in hashes
    codes = struct.unpack(f"<{(section(signed, 6).stop - section(signed, 6).start) // 4}I", signed[section(signed, 6)])
    assert {0, 1, 1 << 16, 2 << 16, 1 | 1 << 18, 1 | 1 << 19} == set(codes)


def test_same_input_gives_same_bytes_with_and_without_numpy(tmp_path: Path) -> None:
    files = []
    for number, use_numpy in enumerate((True, False, True)):
        lists = EVERYTHING if number < 2 else tuple(reversed(EVERYTHING))
        compile_names(lists, tmp_path / "n", serial=7, compiled_at=NOON, use_numpy=use_numpy, sign=KEY.sign)
        files.append((tmp_path / "n").read_bytes())

    assert files[0] == files[1] == files[2]


def test_the_content_address_knows_no_serial_no_date_and_no_key(tmp_path: Path) -> None:
    first = compile_names(EVERYTHING, tmp_path / "a", serial=1, compiled_at=NOON)
    later = datetime(2030, 1, 1, tzinfo=UTC)
    second = compile_names(EVERYTHING, tmp_path / "b", serial=2, compiled_at=later, sign=KEY.sign)

    assert first.digest == second.digest == NamesFile.open(tmp_path / "b").digest
    assert NamesFile.open(tmp_path / "a").etag != NamesFile.open(tmp_path / "b").etag


def test_a_file_without_names_is_a_file(tmp_path: Path) -> None:
    for use_numpy in (True, False):
        compile_names([make_list("jeux")], tmp_path / "n", serial=1, compiled_at=NOON, use_numpy=use_numpy)
        assert NamesFile.open(tmp_path / "n").find_set(hash_name(b"a.example", DEFAULT_KEY)) is None


def test_the_policy_lies_beside_the_names(bundle_file: Path) -> None:
    names, policy = NamesFile.open(bundle_file), PolicyFile.open(policy_of(bundle_file))
    assert policy.names_digest == names.digest

"""The layout of both files: what is written is read back, and nothing that was touched is read at all."""

import hashlib
import ipaddress
import json
import os
import random
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.bundle import BundleRefused, Member, NamesFile, PolicyFile, SignedFile, Verify
from filter.compiler import COMPILER, compile_names, compile_policy
from filter.domains import DEFAULT_KEY, hash_name
from filter.lists.entries import AddressEntry, Match, NameEntry, ReplyKind, ReplyRecord, RuleEntry, RuleReply
from filter.lists.source import ListReport
from filter.settings import PolicySettings
from filter.signing import SigningKey, trust
from tests.filter.bundles import EVERYTHING, KEY, sealed, section, write_everything
from tests.filter.conftest import NOON, SCHOOL, make_list, policy_of

CORPUS = Path(__file__).parent / "corpus" / "bundle"
SHOWN = {"altered", "foreign", "newer", "older_format", "truncated", "wrong_kind"}
"""Reasons for which an altered file may be refused, by the byte that was hit."""


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_everything(tmp_path_factory.mktemp("bundle") / "names")


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_everything(tmp_path_factory.mktemp("bundle") / "names", signed=True)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("bundle") / "policy"
    compile_policy(SCHOOL, path, serial=9, compiled_at=NOON, names_digest="ab" * 32, sign=KEY.sign)
    return path.read_bytes()


def names_of(data: bytes, verify: Verify | None = None) -> NamesFile:
    return NamesFile(memoryview(data), verify)


def reason_of(data: bytes, verify: Verify | None = None, kind: type[SignedFile] = NamesFile) -> str:
    with pytest.raises(BundleRefused) as refusal:
        kind(memoryview(data), verify)
    return refusal.value.reason


def find(names: NamesFile, name: str) -> set[Member]:
    found = names.find_set(hash_name(name.encode(), names.header.key))
    return set() if found is None else set(names.sets[found])


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


@pytest.mark.parametrize("file", ["everything", "signed", "policy"])
def test_every_truncation_is_refused(file: str, request: pytest.FixtureRequest) -> None:
    data: bytes = request.getfixturevalue(file)
    kind = PolicyFile if file == "policy" else NamesFile

    for length in range(len(data)):
        assert reason_of(data[:length], kind=kind) in {"truncated", "foreign"}, length


@pytest.mark.parametrize("file", ["everything", "signed", "policy"])
def test_every_altered_byte_is_refused(file: str, request: pytest.FixtureRequest) -> None:
    """Even without a key to check the signature with."""
    data: bytes = request.getfixturevalue(file)
    kind = PolicyFile if file == "policy" else NamesFile

    for position in range(len(data)):
        altered = bytearray(data)
        altered[position] ^= 1 << position % 8
        assert reason_of(bytes(altered), kind=kind) in SHOWN, position


def test_bytes_behind_the_end_are_refused(everything: bytes) -> None:
    assert reason_of(everything + b"\0") == "altered"


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "foreign"), (b"<!doctype html><p>404", "foreign"), (b"PK\x03\x04" + bytes(300), "foreign")],
)
def test_a_foreign_file_is_named_so(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


def test_an_empty_file_is_named_truncated(tmp_path: Path) -> None:
    (tmp_path / "vide").touch()
    with pytest.raises(BundleRefused) as refusal:
        NamesFile.open(tmp_path / "vide")
    assert refusal.value.reason == "truncated"


@pytest.mark.parametrize(("version", "reason"), [(0, "older_format"), (1, "older_format"), (3, "newer")])
def test_another_layout_is_named_so(everything: bytes, version: int, reason: str) -> None:
    data = bytearray(everything)
    struct.pack_into("<H", data, 8, version)

    assert reason_of(bytes(data)) == reason_of(sealed(bytes(data))) == reason


def test_one_kind_is_not_taken_for_the_other(everything: bytes, policy: bytes) -> None:
    assert reason_of(policy) == "wrong_kind"
    assert reason_of(everything, kind=PolicyFile) == "wrong_kind"


def test_a_signature_is_checked_when_it_is_asked_for(everything: bytes, signed: bytes) -> None:
    stranger = SigningKey.generate()

    assert names_of(signed, trust([stranger.public_hex, KEY.public_hex])).serial == 7
    assert reason_of(everything, trust([KEY.public_hex])) == "unsigned"
    assert reason_of(signed, trust([stranger.public_hex])) == "foreign_signature"
    assert reason_of(signed, trust([])) == "foreign_signature"


def test_what_was_signed_cannot_be_changed_by_another_hand(signed: bytes) -> None:
    """Serial, date, content: each under a digest and a check that fit again."""
    verify = trust([KEY.public_hex])
    for position in (16, 24, 56, 60, len(signed) - 1):
        altered = bytearray(signed)
        altered[position] ^= 1
        assert reason_of(sealed(bytes(altered)), verify) == "foreign_signature", position


def test_an_unknown_flag_or_algorithm_is_refused_even_when_sealed(everything: bytes) -> None:
    for position in (10, 11, 12, 13, 40, 44, 46, 104, 112):
        data = bytearray(everything)
        data[position] ^= 64
        assert reason_of(sealed(bytes(data))) == "altered", position


def test_a_policy_has_no_names(policy: bytes) -> None:
    for position in (11, 44, 46, 48, 56):
        data = bytearray(policy)
        data[position] ^= 1
        assert reason_of(sealed(bytes(data)), kind=PolicyFile) == "altered", position


@pytest.mark.parametrize("wrong", [1, 2, 5, 6, 8, 9])
def test_a_section_that_makes_no_sense_is_invalid_even_when_sealed(everything: bytes, wrong: int) -> None:
    data = bytearray(everything)
    where = section(everything, wrong)
    data[where] = b"\xff" * (where.stop - where.start)

    assert reason_of(sealed(bytes(data))) == "invalid"


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"text": 1},
        {"text": "x", "anchor": 2},
        {"text": "x", "match": 3},
        {"text": "x", "match": True},
        {"text": "x", "types": [None]},
        {"text": "x", "types": 1},
        {"text": "x", "except_below": [[]]},
        {"text": "x", "allows": 1},
        {"text": "x", "reply": []},
        {"text": "x", "reply": {"kind": "explode"}},
        {"text": "x", "reply": {"kind": "cname", "target": 4}},
        {"text": "x", "reply": {"kind": "records", "records": [[1]]}},
        {"text": "x", "reply": {"kind": "records", "records": [["1", "192.0.2.1"]]}},
    ],
)
def test_a_rule_of_the_wrong_shape_is_invalid(everything: bytes, rule: object) -> None:
    where = section(everything, 8)
    content = json.dumps([[0, rule]]).encode().ljust(where.stop - where.start)

    assert reason_of(sealed(everything[: where.start] + content + everything[where.stop :])) == "invalid"


def test_a_section_beyond_the_end_is_invalid_even_when_sealed(everything: bytes) -> None:
    data = bytearray(everything)
    last = 192 + 24 * 7
    struct.pack_into("<Q", data, last + 16, struct.unpack_from("<Q", data, last + 16)[0] + 24)

    assert reason_of(sealed(bytes(data))) == "invalid"


@pytest.mark.parametrize("lie", [b"\xff\xff\xff\xff", b"\x65\0\0\0", b"\0\0\0\0"])
def test_buckets_that_lie_lead_nowhere_outside(tmp_path: Path, lie: bytes) -> None:
    """Only the first and the last of the fan-out are checked when a file is opened: there may be millions."""
    compile_names(
        [make_list("jeux", *(f"n{n}.example" for n in range(100)))], tmp_path / "n", serial=1, compiled_at=NOON
    )
    data = bytearray((tmp_path / "n").read_bytes())
    where = section(bytes(data), 2)
    data[where.start + 4 : where.stop - 4] = lie * ((where.stop - where.start) // 4 - 2)
    names = names_of(sealed(bytes(data)))

    assert names.header.fanout_bits == 5
    look_everywhere(names)


def look_everywhere(names: NamesFile) -> None:
    """Ask for what is there, what is not, and both ends."""
    for name_hash in (0, (1 << 64) - 1, 1 << 63, *names.hashes):
        found = names.find_set(name_hash)
        assert found is None or names.sets[found] is not None
    for address in ("0.0.0.0", "192.0.2.129", "255.255.255.255", "::", "2001:db8::1"):
        for _, set_id in names.find_address_sets(ipaddress.ip_address(address).packed):
            assert names.sets[set_id] is not None


def outcome(data: bytes) -> str:
    """``opens`` (and then look-ups stay within bounds), or the reason of the refusal."""
    try:
        names = names_of(data)
    except BundleRefused as refusal:
        return refusal.reason
    look_everywhere(names)
    return "opens"


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, cut out, repeated, or moved; sealed again three times in four."""
    altered = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        start = chance.randrange(8, len(altered))
        end = min(len(altered), start + chance.choice((1, 1, 1, 4, 8, 64)))
        way = chance.randrange(6)
        if way < 3:
            altered[start:end] = chance.randbytes(end - start)
        elif way == 3:
            altered[start:end] = chance.choice((b"\0", b"\xff")) * (end - start)
        elif way == 4:
            del altered[start:end]
        else:
            altered[start:start] = altered[chance.randrange(len(altered)) :][: end - start]
        if chance.random() < 0.7 and len(altered) > 40:
            struct.pack_into("<Q", altered, 32, len(altered))
        if not altered[8:]:
            break
    return bytes(altered) if chance.random() < 0.25 else sealed(bytes(altered))


def test_mutated_files_are_refused_or_open(everything: bytes, signed: bytes) -> None:
    """A clumsy or hostile compiler makes no crash, whatever stands under a digest that fits."""
    chance = random.Random(20261122)
    met = {outcome(mutate(chance.choice((everything, signed)), chance)) for _ in range(3_000)}
    assert {"altered", "invalid", "opens"} <= met


@pytest.mark.long
@pytest.mark.timeout(900)
def test_mutated_files_are_refused_or_open_for_minutes(everything: bytes, signed: bytes) -> None:
    """PREAU_LONG seconds (300). What fails is left in the corpus, where it stays as a regression test."""
    seed = time.time_ns()
    chance = random.Random(seed)
    end = time.monotonic() + float(os.environ.get("PREAU_LONG") or 300)
    while time.monotonic() < end:
        data = mutate(chance.choice((everything, signed)), chance)
        try:
            outcome(data)
        except Exception:
            (CORPUS / f"found-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)
            raise


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=700), st.integers(0, 7))
def test_any_content_under_a_right_header_is_refused_or_opens(content: bytes, sections: int) -> None:
    kinds = (2, 2, 1, 1, 0)  # layout 2, names, unsigned
    tables = (0, 2, 0, 0, b"")
    head = struct.pack("<8sHBBBBHQQQIHHQ16s", b"\x89PREAU\r\n", *kinds, sections, 1, 1, 192 + len(content), *tables)
    assert outcome(sealed(head.ljust(192, b"\0") + content)) in {"invalid", "opens"}


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_the_corpus_is_still_refused_for_the_same_reason(path: Path) -> None:
    """Files that once were hard to refuse, named after what becomes of them."""
    assert outcome(path.read_bytes()) == path.name.partition("-")[0]


LABELS = st.text("abcdef0-", min_size=1, max_size=8).map(lambda label: f"x{label}x")
DOMAINS = st.lists(LABELS, min_size=2, max_size=4).map(".".join)
ENTRIES = st.builds(NameEntry, DOMAINS, st.sampled_from(Match), st.booleans(), st.booleans())


@settings(max_examples=80, deadline=None)
@given(
    lists=st.lists(st.lists(ENTRIES | DOMAINS, max_size=30), min_size=1, max_size=5),
    asked=st.lists(DOMAINS, max_size=20),
    use_numpy=st.booleans(),
)
def test_look_up_equals_a_dictionary_of_sets(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[NameEntry | str]], asked: list[str], use_numpy: bool
) -> None:
    path = tmp_path_factory.mktemp("bundle") / "b"
    sources = [make_list(f"liste{number}", *entries) for number, entries in enumerate(lists)]
    compile_names(sources, path, serial=1, compiled_at=NOON, use_numpy=use_numpy)
    names = NamesFile.open(path)
    expected: dict[str, set[Member]] = {}
    for position, entries in enumerate(lists):
        for entry in entries:
            one = NameEntry(entry) if isinstance(entry, str) else entry
            expected.setdefault(one.name, set()).add(Member(position, one.match, one.allows, one.important))

    for name in {*asked, *expected}:
        assert find(names, name) == expected.get(name, set())


NETWORKS = st.builds(
    lambda address, length: str(ipaddress.ip_network((address, length), strict=False)),
    st.sampled_from(["192.0.2.1", "192.0.2.200", "192.0.3.7", "10.1.2.3"]),
    st.integers(8, 32),
) | st.builds(
    lambda address, length: str(ipaddress.ip_network((address, length), strict=False)),
    st.sampled_from(["2001:db8::1", "2001:db8:ffff::1", "fe80::1"]),
    st.integers(1, 128),
)


@settings(max_examples=80, deadline=None)
@given(networks=st.sets(NETWORKS, max_size=30), asked=st.lists(st.ip_addresses(), max_size=5))
def test_addresses_equal_a_naive_search(
    tmp_path_factory: pytest.TempPathFactory, networks: set[str], asked: list[ipaddress.IPv4Address]
) -> None:
    path = tmp_path_factory.mktemp("bundle") / "b"
    compile_names([make_list("ip", *map(AddressEntry, networks))], path, serial=1, compiled_at=NOON)
    names = NamesFile.open(path)
    parsed = [ipaddress.ip_network(network) for network in networks]

    near = [ipaddress.ip_address(text) for text in ("192.0.2.1", "192.0.2.201", "10.1.2.4", "2001:db8::2", "fe80::1")]
    for address in [*asked, *near, *(network.broadcast_address for network in parsed)]:
        holding = sorted(
            (n for n in parsed if n.version == address.version and address in n), key=lambda n: -n.prefixlen
        )
        assert [network for network, _ in names.find_address_sets(address.packed)] == list(map(str, holding))


RULES = st.builds(
    RuleEntry,
    text=st.text(max_size=20),
    anchor=st.none() | DOMAINS,
    match=st.sampled_from(Match),
    pattern=st.none() | st.text(max_size=10),
    types=st.lists(st.integers(0, 65535), max_size=3).map(tuple),
    not_types=st.lists(st.integers(0, 65535), max_size=3).map(tuple),
    except_below=st.lists(DOMAINS, max_size=3).map(tuple),
    allows=st.booleans(),
    important=st.booleans(),
    reply=st.none()
    | st.builds(
        RuleReply,
        st.sampled_from(ReplyKind),
        st.text(max_size=5),
        st.lists(st.builds(ReplyRecord, st.integers(0, 65535), st.text(max_size=8)), max_size=3).map(tuple),
    ),
    lifts_replies=st.booleans(),
)


@settings(max_examples=50, deadline=None)
@given(rules=st.lists(RULES, max_size=5))
def test_any_rule_is_read_back(tmp_path_factory: pytest.TempPathFactory, rules: list[RuleEntry]) -> None:
    path = tmp_path_factory.mktemp("bundle") / "b"
    compile_names([make_list("regles", *rules)], path, serial=1, compiled_at=NOON)

    assert [rule for _, rule in NamesFile.open(path).rules] == rules


def test_the_policy_lies_beside_the_names(bundle_file: Path) -> None:
    names, policy = NamesFile.open(bundle_file), PolicyFile.open(policy_of(bundle_file))
    assert policy.names_digest == names.digest

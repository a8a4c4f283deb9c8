"""The bundle's layout: what is written is read back, and nothing that was touched is read at all."""

import hashlib
import random
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.bundle import HEADER, Bundle, BundleRefused
from filter.compiler import compile_bundle
from filter.domains import DEFAULT_KEY, DomainIndex
from filter.policy import Policy
from filter.settings import PolicySettings, ProfileSettings
from tests.filter.conftest import LISTS, NOON, SCHOOL, make_list

ONE_PROFILE = PolicySettings((ProfileSettings("ecole", "École", ("jeux",)),), "ecole")


def reason_of(data: bytes) -> str:
    with pytest.raises(BundleRefused) as refusal:
        Bundle(memoryview(data))
    return refusal.value.reason


def sealed(data: bytes) -> bytes:
    """The bytes with a digest that fits them: what a clumsy or hostile compiler could publish."""
    digest = hashlib.sha256(data[:72] + data[HEADER.size :]).digest()
    return data[:72] + digest + data[104:]


def test_what_is_written_is_read_back(bundle_file: Path) -> None:
    bundle = Bundle.open(bundle_file)

    assert (bundle.serial, bundle.compiled_at, bundle.names) == (7, NOON, 8)
    assert [info.slug for info in bundle.lists] == ["adultes", "education", "jeux", "presse"]
    assert [info.entries for info in bundle.lists] == [2, 2, 4, 1]
    assert PolicySettings.from_json(bundle.policy).default_profile == "ecole"
    assert bundle.digest() == hashlib.sha256(bundle_file.read_bytes()).hexdigest()
    index = DomainIndex(bundle)
    found = index.find_set("en.deux.example")
    assert found is not None
    assert [bundle.lists[member].slug for member in bundle.sets[found]] == ["adultes", "jeux"]
    assert index.find_set("deux.example") is None


def test_header_is_where_the_docstring_says(bundle_file: Path) -> None:
    data = bundle_file.read_bytes()

    assert data[:8] == b"\x89PREAU\r\n"
    assert struct.unpack_from("<H", data, 8) == (1,)
    assert struct.unpack_from("<QQQ", data, 16) == (7, int(NOON.timestamp()), len(data))
    assert struct.unpack_from("<Q", data, 48) == (8,)
    assert data[56:72] == DEFAULT_KEY
    assert data[72:104] == hashlib.sha256(data[:72] + data[192:]).digest()
    offsets = [struct.unpack_from("<IIQQ", data, 192 + 24 * n) for n in range(7)]
    assert [section for section, *_ in offsets] == [1, 2, 3, 4, 5, 6, 7]
    assert all(offset % 64 == 0 for _, _, offset, _ in offsets)
    hashes = struct.unpack_from("<8Q", data, offsets[2][2])
    assert list(hashes) == sorted(hashes)


def test_same_input_gives_same_bytes_with_and_without_numpy(tmp_path: Path) -> None:
    files = []
    for number, use_numpy in enumerate((True, False, True)):
        path = tmp_path / f"{number}.preau"
        lists = LISTS if number < 2 else tuple(reversed(LISTS))
        compile_bundle(lists, SCHOOL, path, serial=7, compiled_at=NOON, use_numpy=use_numpy)
        files.append(path.read_bytes())

    assert files[0] == files[1] == files[2]


def test_an_empty_bundle_is_a_bundle(tmp_path: Path) -> None:
    compile_bundle([make_list("jeux")], ONE_PROFILE, tmp_path / "vide.preau", serial=1, compiled_at=NOON)

    assert list(DomainIndex(Bundle.open(tmp_path / "vide.preau")).matches("www.jeu.example")) == []


def test_every_truncation_is_refused(bundle_file: Path) -> None:
    data = bundle_file.read_bytes()

    for length in range(len(data)):
        assert reason_of(data[:length]) in {"truncated", "foreign"}, length


def test_every_flipped_bit_is_refused(bundle_file: Path) -> None:
    data = bundle_file.read_bytes()
    for position in range(len(data)):
        altered = bytearray(data)
        altered[position] ^= 1 << position % 8
        assert reason_of(bytes(altered)) in {"altered", "foreign", "newer", "truncated"}, position


def test_bytes_behind_the_end_are_refused(bundle_file: Path) -> None:
    assert reason_of(bundle_file.read_bytes() + b"\0") == "altered"


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "foreign"), (b"<!doctype html><p>404", "foreign"), (b"PK\x03\x04" + bytes(300), "foreign")],
)
def test_a_foreign_file_is_named_so(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


def test_a_newer_layout_is_named_so(bundle_file: Path) -> None:
    data = bytearray(bundle_file.read_bytes())
    data[8] = 2

    assert reason_of(sealed(bytes(data))) == "newer"


def test_an_unknown_flag_or_algorithm_is_refused_even_when_sealed(bundle_file: Path) -> None:
    for position in (10, 11, 12, 13, 40, 44, 104, 112, 176):
        data = bytearray(bundle_file.read_bytes())
        data[position] ^= 4
        assert reason_of(sealed(bytes(data))) == "altered", position


def test_a_clumsy_compiler_makes_no_crash(bundle_file: Path) -> None:
    """Garbage under a digest that fits: refused as invalid, or its tables stay within their bounds."""
    data = bundle_file.read_bytes()
    chance = random.Random(20261121)
    reasons = set()
    for _ in range(2_000):
        altered = bytearray(data)
        for _ in range(chance.randrange(1, 6)):
            altered[chance.randrange(192, len(data))] = chance.randrange(256)
        try:
            bundle = Bundle(memoryview(sealed(bytes(altered))))
            Policy(bundle)
        except BundleRefused as refusal:
            reasons.add(refusal.reason)
        else:
            assert len(bundle.hashes) == bundle.names
    assert reasons == {"invalid"}


NAMES = st.text("abcdef0-", min_size=1, max_size=8).map(lambda label: f"x{label}x")
DOMAINS = st.lists(NAMES, min_size=2, max_size=4).map(".".join)


@settings(max_examples=60, deadline=None)
@given(lists=st.lists(st.lists(DOMAINS, max_size=30), min_size=1, max_size=5), asked=st.lists(DOMAINS, max_size=20))
def test_look_up_equals_a_dictionary_of_sets(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[str]], asked: list[str]
) -> None:
    path = tmp_path_factory.mktemp("bundle") / "b.preau"
    sources = [make_list(f"liste{number}", *names) for number, names in enumerate(lists)]
    compile_bundle(sources, ONE_PROFILE, path, serial=1, compiled_at=datetime.now(UTC))
    bundle = Bundle.open(path)
    index = DomainIndex(bundle)

    for name in [*asked, *(f"www.{name}" for names in lists for name in names)]:
        labels = name.split(".")
        parents = [".".join(labels[start:]) for start in range(len(labels))]
        expected = [
            (parent, {f"liste{n}" for n, names in enumerate(lists) if parent in names})
            for parent in parents
            if any(parent in names for names in lists)
        ]
        found = [(s, {bundle.lists[m].slug for m in bundle.sets[set_id]}) for s, set_id in index.matches(name)]
        assert found == expected

"""Files of any content are refused or open, and lead nowhere outside."""

import hashlib
import ipaddress
import os
import random
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.bundle import BundleRefused, NamesFile
from filter.compiler import compile_names
from tests.filter.bundle.reading import names_of
from tests.filter.bundles import sealed, section
from tests.filter.conftest import NOON, make_list

CORPUS = Path(__file__).parent.parent / "corpus" / "bundle"


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

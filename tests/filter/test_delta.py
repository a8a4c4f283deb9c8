"""A delta gives the new names file byte by byte, or nothing at all."""

import asyncio
import hashlib
import os
import random
import struct
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.bundle import NamesFile
from filter.compiler import compile_names
from filter.layout import delta_tables
from filter.layout.delta import HEAD, MOST_PAYLOAD, PART, DeltaRefused, apply_delta, make_delta
from filter.layout.delta_tables import Varints, write_growing, write_varints
from filter.layout.sections import SectionId
from filter.lists.entries import AddressEntry, NameEntry, RuleEntry
from filter.signing import trust
from filter.updates import patching
from filter.updates.aside import limit_memory
from tests.filter.bundles import KEY, write_everything
from tests.filter.conftest import NOON, make_list

CORPUS = Path(__file__).parent / "corpus" / "delta"


def write(path: Path, serial: int, **lists: list[str]) -> Path:
    sources = [make_list(slug, *names) for slug, names in lists.items()]
    compile_names(sources, path, serial=serial, compiled_at=NOON, sign=KEY.sign)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two nights: names gone, come and moved; a list gone, another come; networks and rules."""
    old = [f"n{number}.example" for number in range(400)]
    moved = [*old[7:300], "neuf.example", *old[305:]]
    write(tmp_path / "old", 1, adultes=old, jeux=old[:50], radio=["radio.example"])
    sources = [
        make_list("adultes", *moved, NameEntry("n3.example", allows=True)),
        make_list("banque", "banque.example", *old[100:103], AddressEntry("192.0.2.0/24")),
        make_list("jeux", *old[20:70], RuleEntry("/x/", pattern="x")),
    ]
    compile_names(sources, tmp_path / "new", serial=2, compiled_at=NOON, sign=KEY.sign)
    return tmp_path / "old", tmp_path / "new"


def packed(head: bytes, payload: bytes) -> bytes:
    """A delta of this payload, its length as it is."""
    return head[:48] + struct.pack("<Q", len(payload)) + zlib.compress(payload)


def payload_of(delta: bytes) -> bytes:
    return zlib.decompress(delta[HEAD.size :])


def refusal(tmp_path: Path, old: Path, delta: bytes) -> str:
    (tmp_path / "delta").write_bytes(delta)
    with pytest.raises(DeltaRefused) as refused:
        apply_delta(old, tmp_path / "delta", tmp_path / "made")
    assert not (tmp_path / "made").exists()
    assert list(tmp_path.glob(".*")) == []
    return str(refused.value)


def test_the_new_file_comes_out_byte_by_byte(pair: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = pair
    (tmp_path / "delta").write_bytes(make_delta(old, new))

    apply_delta(old, tmp_path / "delta", tmp_path / "made")

    assert (tmp_path / "made").read_bytes() == new.read_bytes()
    assert NamesFile.open(tmp_path / "made", trust([KEY.public_hex])).serial == 2


def test_it_may_replace_the_old_file(pair: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = pair
    (tmp_path / "delta").write_bytes(make_delta(old, new))
    serving = NamesFile.open(old)

    apply_delta(old, tmp_path / "delta", old)

    assert old.read_bytes() == new.read_bytes()
    assert serving.names == 401  # whoever has the old file open keeps it whole


def test_a_change_of_one_percent_costs_less_than_three(tmp_path: Path) -> None:
    names = [f"{hashlib.sha256(str(n).encode()).hexdigest()[:12]}.example" for n in range(40_000)]
    old = write(tmp_path / "old", 1, adultes=names[:20_000], jeux=names[15_000:39_800])
    new = write(tmp_path / "new", 2, adultes=names[200:20_000], jeux=names[15_000:40_000])

    assert len(make_delta(old, new)) < 0.03 * new.stat().st_size


def test_a_new_list_before_the_others_moves_no_name(tmp_path: Path) -> None:
    """Positions of lists and numbers of sets change everywhere, at the cost of a few bytes."""
    names = [f"n{number}.example" for number in range(20_000)]
    old = write(tmp_path / "old", 1, jeux=names[:15_000], radio=names[10_000:])
    new = write(tmp_path / "new", 2, adultes=["nu.example"], jeux=names[:15_000], radio=names[10_000:])

    assert len(make_delta(old, new)) < 1_000


NAMES = st.integers(0, 300).map(lambda number: f"n{number}.example")
LISTS = st.dictionaries(st.sampled_from("abcd"), st.sets(NAMES, max_size=200), max_size=4)


@settings(max_examples=120, deadline=None)
@given(before=LISTS, after=LISTS)
def test_any_two_files(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, set[str]], after: dict[str, set[str]]
) -> None:
    folder = tmp_path_factory.mktemp("delta")
    old = write(folder / "old", 1, **{slug: sorted(names) for slug, names in before.items()})
    new = write(folder / "new", 2, **{slug: sorted(names) for slug, names in after.items()})
    (folder / "delta").write_bytes(make_delta(old, new))

    apply_delta(old, folder / "delta", folder / "made")

    assert (folder / "made").read_bytes() == new.read_bytes()


def test_set_ids_may_grow_to_four_bytes_and_shrink_again(tmp_path: Path) -> None:
    """17 lists and names in every combination of them: more than 65,536 sets."""
    many = {f"l{bit:02}": [f"n{n}.example" for n in range(1, 1 << 17) if n >> bit & 1] for bit in range(17)}
    small, large = write(tmp_path / "small", 1, l00=many["l00"]), write(tmp_path / "large", 2, **many)
    assert NamesFile.open(large).header.set_id_size == 4

    for old, new in ((small, large), (large, small)):
        (tmp_path / "delta").write_bytes(make_delta(old, new))
        apply_delta(old, tmp_path / "delta", tmp_path / "made")
        assert (tmp_path / "made").read_bytes() == new.read_bytes()


def test_it_fits_one_file_only(pair: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = pair
    assert "autre fichier" in refusal(tmp_path, new, make_delta(old, new))


def test_every_truncation_and_every_altered_byte_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = pair
    delta = make_delta(old, new)

    for position in range(0, len(delta), 3):
        refusal(tmp_path, old, delta[:position])
        refusal(tmp_path, old, delta[:position] + bytes([delta[position] ^ 1 << position % 8]) + delta[position + 1 :])
    refusal(tmp_path, old, delta + b"\0")


def test_what_unpacks_to_more_than_it_says_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = pair
    delta = make_delta(old, new)
    bomb = zlib.compress(payload_of(delta) + bytes(1 << 24), 9)

    assert "rallongées" in refusal(tmp_path, old, delta[: HEAD.size] + bomb)
    huge = delta[:48] + struct.pack("<Q", MOST_PAYLOAD + 1) + delta[56:]
    assert "pas un fichier" in refusal(tmp_path, old, huge)


def test_a_file_larger_than_its_parts_is_refused_before_it_is_written(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """A header under a check that fits, but of a file of a thousand gigabytes."""
    old, new = pair
    delta = make_delta(old, new)
    head = bytearray(payload_of(delta)[:192])
    struct.pack_into("<Q", head, 32, 1 << 40)
    head[176:] = hashlib.sha256(head[:176]).digest()[:16]

    assert "longueur" in refusal(tmp_path, old, packed(delta, bytes(head) + payload_of(delta)[192:]))


def part_at(payload: bytes, section: SectionId) -> int:
    """Where the head of a section's part stands."""
    place = 192
    while PART.unpack_from(payload, place)[0] != section:
        place += PART.size + PART.unpack_from(payload, place)[2]
    return place


def with_part(delta: bytes, section: SectionId, content: bytes) -> bytes:
    """The delta with other content for a derived section."""
    payload = payload_of(delta)
    place = part_at(payload, section)
    number, way, size = PART.unpack_from(payload, place)
    head = PART.pack(number, way, len(content))
    return packed(delta, payload[:place] + head + content + payload[place + PART.size + size :])


@pytest.mark.parametrize(
    ("section", "counts"),
    [
        (SectionId.HASHES, (402, 0)),
        (SectionId.HASHES, (0, 2_000_000)),
        (SectionId.SET_IDS, (None, 1_000)),
    ],
)
def test_more_numbers_than_tables_can_have_are_not_even_read(
    pair: tuple[Path, Path], tmp_path: Path, section: SectionId, counts: tuple[int | None, int]
) -> None:
    """A number is one byte here and forty in memory: a small delta would take gigabytes."""
    old, new = pair
    sets = len(NamesFile.open(old).sets)
    first, second = counts
    fixed = struct.pack("<II", sets if first is None else first, second) + (bytes(4 * sets) if first is None else b"")

    delta = with_part(make_delta(old, new), section, fixed + bytes(2_000_000))

    assert "plus de noms" in refusal(tmp_path, old, delta)


def test_no_delta_is_made_that_would_be_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta_tables, "MOST_MORE", 0)
    old = write(tmp_path / "old", 1, jeux=["un.example"])
    new = write(tmp_path / "new", 2, jeux=["deux.example", "trois.example", "quatre.example"])
    with pytest.raises(DeltaRefused, match="plus de noms"):
        make_delta(old, new)


def take_too_much() -> str:
    """In another process: what comes of four gigabytes under the limit for an empty file."""
    limit_memory(0)
    try:
        return str(len(bytearray(4 << 30)))
    except MemoryError:
        return "refused"


def test_the_process_that_applies_it_cannot_take_the_machine_with_it() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(take_too_much).result() == "refused"


def test_applied_in_a_process_of_its_own(pair: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = pair
    (tmp_path / "delta").write_bytes(make_delta(old, new))

    asyncio.run(patching.apply_aside(old, tmp_path / "delta", tmp_path / "made"))

    assert (tmp_path / "made").read_bytes() == new.read_bytes()


def mutate(delta: bytes, chance: random.Random) -> bytes:
    """The payload or its frame changed in a few places, compressed again."""
    payload = bytearray(payload_of(delta))
    for _ in range(chance.randrange(1, 5)):
        start = chance.randrange(len(payload))
        size = chance.choice((1, 1, 1, 4, 8))
        way = chance.randrange(4)
        if way == 0:
            payload[start : start + size] = chance.randbytes(size)
        elif way == 1:
            payload[start : start + size] = chance.choice((b"\0", b"\x01", b"\x7f", b"\xff")) * size
        elif way == 2:
            del payload[start : start + size]
        else:
            payload[start:start] = payload[start : start + size]
        payload = payload or bytearray(1)
    return packed(delta, bytes(payload))


def try_delta(folder: Path, old: Path, new: bytes, delta: bytes) -> None:
    """Refused, or the very bytes it was made for."""
    (folder / "delta").write_bytes(delta)
    try:
        apply_delta(old, folder / "delta", folder / "made")
    except DeltaRefused:
        return
    assert NamesFile.open(folder / "made").digest == NamesFile(memoryview(new)).digest


def test_mutated_deltas_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = pair
    delta, content, chance = make_delta(old, new), new.read_bytes(), random.Random(20261122)
    for _ in range(1_000):
        try_delta(tmp_path, old, content, mutate(delta, chance))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_mutated_deltas_are_refused_for_minutes(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """PREAU_LONG seconds (300). What fails is left in the corpus."""
    old, new = pair
    delta, content, chance = make_delta(old, new), new.read_bytes(), random.Random(time.time_ns())
    end = time.monotonic() + float(os.environ.get("PREAU_LONG") or 300)
    while time.monotonic() < end:
        mutated = mutate(delta, chance)
        try:
            try_delta(tmp_path, old, content, mutated)
        except Exception:
            CORPUS.mkdir(exist_ok=True)
            (CORPUS / f"found-{hashlib.sha256(mutated).hexdigest()[:12]}").write_bytes(mutated)
            raise


def test_nothing_may_stay_the_same(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Other lists, other names, other rules and networks."""
    old, _ = pair
    write_everything(tmp_path / "everything")
    (tmp_path / "delta").write_bytes(make_delta(old, tmp_path / "everything"))
    apply_delta(old, tmp_path / "delta", tmp_path / "made")
    assert (tmp_path / "made").read_bytes() == (tmp_path / "everything").read_bytes()


@given(st.sets(st.integers(0, (1 << 64) - 1)))
def test_numbers_are_read_back(numbers: set[int]) -> None:
    growing = sorted(numbers)
    reader = Varints(memoryview(write_growing(growing) + write_varints(growing)))

    assert reader.read_growing(len(growing)).tolist() == growing
    assert reader.read(len(growing)).tolist() == growing
    reader.end()

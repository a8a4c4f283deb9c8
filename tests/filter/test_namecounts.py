"""Counts of the names that were asked: bounded, rotated, never an address, kept through a crash."""

import signal
import sqlite3
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from filter import namecounts
from filter.namecounts import CERTAIN_SECONDS, FILE, NameCount, NameCounts, estimate, read_counts
from tests.filter.running import RunningFilter
from tests.filter.scripted import free_port

A, AAAA, HTTPS, TXT = 1, 28, 65, 16


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, 12, tzinfo=UTC)
        self.elapsed = 0.0

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Callable[..., NameCounts]:
    """A started store; a second one is a restart."""

    def start(days: int = 7, dropped: Callable[[int], None] = lambda _queries: None) -> NameCounts:
        counts = NameCounts(tmp_path, days, clock, dropped, lambda: clock.elapsed)
        counts.key = bytes(16)  # with some keys two devices light one bit and count once
        counts.start()
        return counts

    return start


def kept(tmp_path: Path) -> list[NameCount]:
    return list(read_counts(tmp_path / FILE))


def test_queries_and_devices_are_counted_by_name_kind_and_profile(
    make: Callable[..., NameCounts], tmp_path: Path
) -> None:
    counts = make()
    for client in ("10.0.0.1", "10.0.0.2", "10.0.0.1"):
        counts.count("jeu.example", A, "ecole", client)
        counts.count("jeu.example", AAAA, "ecole", client)
    counts.count("jeu.example", HTTPS, "ecole", "10.0.0.1")
    counts.count("jeu.example", TXT, "maitres", "10.0.0.1")
    counts.flush()
    assert kept(tmp_path) == [
        NameCount("jeu.example", "address", "ecole", 6, 2),
        NameCount("jeu.example", "other", "maitres", 1, 1),
        NameCount("jeu.example", "service", "ecole", 1, 1),
    ]


def test_a_restart_counts_no_device_twice_and_another_day_links_none(
    make: Callable[..., NameCounts], tmp_path: Path, clock: Clock
) -> None:
    for _ in range(3):
        counts = make()
        counts.count("jeu.example", A, "ecole", "10.0.0.1")
        counts.flush()
    assert kept(tmp_path) == [NameCount("jeu.example", "address", "ecole", 3, 1)]

    keys = set()
    for _ in range(4):
        clock.at += timedelta(days=1)
        counts.flush()
        keys.add(counts.key)
        with sqlite3.connect(tmp_path / FILE) as store:
            assert store.execute("SELECT key FROM days").fetchall() == [(counts.key,)], "keys go with their day"
    assert len(keys) == 4


def test_no_address_is_kept_and_names_do_not_tell_devices_apart(
    make: Callable[..., NameCounts], tmp_path: Path
) -> None:
    """One device lights another bit for each name: two names cannot be told to be one device's."""
    counts = make()
    for number in range(50):
        counts.count(f"n{number}.example", A, "ecole", "10.11.12.13")
    counts.flush()
    content = b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))
    assert b"n7.example" in content
    assert b"10.11.12.13" not in content
    with sqlite3.connect(tmp_path / FILE) as store:
        seen = store.execute("SELECT seen0, seen1, seen2, seen3 FROM counts").fetchall()
    assert len(set(seen)) > 25
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_old_days_go(make: Callable[..., NameCounts], tmp_path: Path, clock: Clock) -> None:
    counts = make(days=2)
    for name in ("un.example", "deux.example", "trois.example"):
        counts.count(name, A, "ecole", "10.0.0.1")
        counts.flush()
        clock.at += timedelta(days=1)
        counts.begin_day()
    counts.flush()
    assert len(kept(tmp_path)) == 3, "the day is not certain yet"
    clock.elapsed += CERTAIN_SECONDS
    counts.flush()
    assert [each.name for each in kept(tmp_path)] == ["trois.example"]
    assert NameCounts(tmp_path, 10_000, clock, lambda _queries: None).days == 365


def test_a_clock_that_jumps_and_comes_back_forgets_nothing(
    make: Callable[..., NameCounts], tmp_path: Path, clock: Clock
) -> None:
    """What was counted meanwhile stands under a day years away: it goes, and the week stays."""
    counts = make()
    for name, days in (("vrai.example", 0), ("loin.example", 3_700), ("apres.example", -3_700)):
        clock.at += timedelta(days=days)
        counts.begin_day()
        counts.count(name, A, "ecole", "10.0.0.1")
        counts.flush()
        clock.elapsed += CERTAIN_SECONDS / 2
    counts.flush()
    assert {each.name for each in kept(tmp_path)} == {"vrai.example", "loin.example", "apres.example"}
    clock.elapsed += CERTAIN_SECONDS
    counts.flush()
    assert {each.name for each in kept(tmp_path)} == {"vrai.example", "apres.example"}


def test_a_disk_that_fails_does_not_end_the_counting(make: Callable[..., NameCounts], tmp_path: Path) -> None:
    counts = make()
    folder, gone = counts.path.parent, tmp_path / "nulle part" / FILE
    counts.path = gone
    counts.count("perdu.example", A, "ecole", "10.0.0.1")
    counts.flush()
    counts.path = folder / FILE
    counts.count("jeu.example", A, "ecole", "10.0.0.1")
    counts.flush()
    assert [each.name for each in kept(tmp_path)] == ["jeu.example"]


def test_names_of_the_school_itself_are_not_counted(make: Callable[..., NameCounts], tmp_path: Path) -> None:
    counts = make()
    for name in ("imprimante.local", "1.0.0.10.in-addr.arpa", "nas", "pc7.lan", "dehors.example"):
        counts.count(name, A, "ecole", "10.0.0.1")
    counts.flush()
    assert [each.name for each in kept(tmp_path)] == ["dehors.example"]


def test_memory_is_bounded_and_what_is_dropped_is_counted(
    make: Callable[..., NameCounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filter.tally.MOST_PENDING", 10)
    dropped: list[int] = []
    counts = make(dropped=dropped.append)
    for number in range(15):
        counts.count(f"n{number}.example", A, "ecole", "10.0.0.1")
        counts.count("n1.example", A, "ecole", "10.0.0.2")
    counts.add(("n14.example", "address", "ecole"), 7, 1)  # counted elsewhere, by a worker or the compiled plane
    assert (len(counts.pending), sum(dropped)) == (10, 5 + 7)


def test_rows_are_bounded_and_the_rare_ones_go_first(
    make: Callable[..., NameCounts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namecounts, "MOST_ROWS", 20)
    counts = make()
    for number in range(100):
        for _ in range(5 if number < 20 else 1):
            counts.count(f"n{number}.example", A, "ecole", "10.0.0.1")
    counts.flush()
    assert {each.name for each in kept(tmp_path)} == {f"n{number}.example" for number in range(20)}


def test_the_file_never_grows_beyond_its_bound(
    make: Callable[..., NameCounts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namecounts, "MOST_BYTES", 256 << 10)
    monkeypatch.setattr(namecounts, "MOST_ROWS", 10_000)
    counts = make()
    for round_ in range(8):
        for number in range(1000):
            counts.count(f"{'x' * 50}{round_}-{number}.example", A, "ecole", "10.0.0.1")
        counts.flush()
        assert (tmp_path / FILE).stat().st_size <= 256 << 10
    assert any(each.name.startswith("x" * 50 + "7-") for each in kept(tmp_path)), "the newest are kept"


def test_a_damaged_store_is_begun_anew(make: Callable[..., NameCounts], tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database" * 500)
    counts = make()
    counts.count("jeu.example", A, "ecole", "10.0.0.1")
    counts.flush()
    assert [each.name for each in kept(tmp_path)] == ["jeu.example"]


@pytest.mark.parametrize("devices", [1, 2, 3, 5, 20, 100, 300])
def test_the_number_of_devices_is_about_right(make: Callable[..., NameCounts], tmp_path: Path, devices: int) -> None:
    counts = make()
    names = 40
    for number in range(names):
        for client in range(devices):
            counts.count(f"n{number}.example", A, "ecole", f"10.0.{client >> 8}.{client & 255}")
    counts.flush()
    average = sum(each.clients or 0 for each in kept(tmp_path)) / names
    assert abs(average - devices) <= max(0.15 * devices, 0.4)
    assert estimate(0) == 0


def test_a_running_filter_counts_and_a_kill_leaves_a_store_that_opens(bundle_file: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    options = ["--bundle", str(bundle_file), "--upstream", f"127.0.0.1:{free_port()}", "--data-dir", str(data)]
    with RunningFilter(*options) as running:
        running.ask("www.jeu.example")
    assert [(each.name, each.queries, each.clients) for each in read_counts(data / FILE)] == [("www.jeu.example", 1, 1)]
    with RunningFilter(*options) as running:
        running.ask("www.jeu.example")
        running.process.send_signal(signal.SIGKILL)
        running.wait_for("the process is gone")
    assert [each.name for each in read_counts(data / FILE)] == ["www.jeu.example"]
    with RunningFilter(*options, "--name-counts-days", "0") as running:
        running.ask("www.jeu.example")
    assert list(data.iterdir()) == [], "nobody wants counts: those of before are gone"

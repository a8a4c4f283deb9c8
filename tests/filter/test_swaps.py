"""Publications and certificates that change under load: nothing is lost, nothing unfiltered, nothing left behind."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from filter.plane.choosing import is_compiled
from tests.certificates import Authority
from tests.filter.conftest import LISTS, SCHOOL, compile_pair, make_list, policy_of
from tests.filter.crowd import NEWS, Client, Crowd, InForce, check
from tests.filter.encrypted import NAME, EncryptedFilter
from tests.filter.prompt import PromptUpstream
from tests.filter.standing import Standing, standing_of, wait_until

SETTLED = 20
"""Memory is compared after so many swaps and at the end."""
MEMORY = 6_000
"""Kilobytes that may come on top meanwhile: caches fill up under load, too."""
CERTIFICATES = 20
WAYS = ("udp", "udp", "tcp", "tls", "https")

needs_plane = pytest.mark.skipif(not is_compiled(), reason="the plane is not compiled: a C compiler is needed")
Record = Callable[[str, object], None]


@pytest.fixture
def upstream() -> Iterator[PromptUpstream]:
    with PromptUpstream() as prompt:
        yield prompt


class Publications:
    """Two pairs; ``put`` lays one where the filter reads it."""

    def __init__(self, folder: Path) -> None:
        self.place = folder / "ecole.preau"
        news = make_list("jeux2", NEWS, category="jeux")
        self.pairs = {
            True: compile_pair([*LISTS, news], SCHOOL, folder / "with.preau", serial=8),
            False: compile_pair(LISTS, SCHOOL, folder / "without.preau", serial=7),
        }
        self.put(False)

    def put(self, blocked: bool) -> None:
        pair = self.pairs[blocked]
        for source, place in ((pair, self.place), (policy_of(pair), policy_of(self.place))):
            part = place.with_suffix(".part")
            shutil.copyfile(source, part)
            part.replace(place)


@pytest.mark.parametrize(
    ("plane", "workers", "swaps"),
    [
        pytest.param("compiled", 2, 40, marks=needs_plane),
        ("python", 0, 40),
        pytest.param("compiled", 2, 100, marks=[needs_plane, pytest.mark.long]),
        pytest.param("python", 0, 100, marks=pytest.mark.long),
        pytest.param("compiled", 0, 100, marks=[needs_plane, pytest.mark.long]),
    ],
)
def test_swaps_under_load(
    upstream: PromptUpstream, tmp_path: Path, plane: str, workers: int, swaps: int, record_property: Record
) -> None:
    publications = Publications(tmp_path)
    in_force = InForce()
    options = ("--bundle", str(publications.place), "--upstream", upstream.address)
    with EncryptedFilter(Authority.make(tmp_path), *options, "--plane", plane, "--workers", str(workers)) as running:
        crowd = Crowd([Client(running, how, number, in_force) for number, how in enumerate(WAYS)])
        begun = standing_of(running)
        with crowd:
            for swap in range(1, swaps + 1):
                swap_once(running, publications, in_force, swap)
                crowd.wait_for_rounds(1, wait_until)
                if swap == SETTLED:
                    settled = standing_of(running)
            ended = standing_of(running)
        check(crowd.figures)
        wait_until(lambda: is_tidy(standing_of(running), begun, settled), lambda: f"{begun} / {standing_of(running)}")
    figures = crowd.figures
    figures.memory = ended.rss
    told = f"{figures}; after {SETTLED} swaps {settled}; after {swaps} {ended}"
    record_property(f"swaps-{plane}-{workers}", told)
    sys.stderr.write(f"swaps {plane} {workers}: {told}\n")
    assert crowd.broken == []
    assert ended.rss - settled.rss < MEMORY, told


def swap_once(running: EncryptedFilter, publications: Publications, in_force: InForce, swap: int) -> None:
    """The other publication, in force when this returns."""
    in_force.blocked = None
    publications.put(bool(swap % 2))
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("bundle reloaded", times=swap)
    in_force.blocked = bool(swap % 2)


def is_tidy(now: Standing, begun: Standing, settled: Standing) -> bool:
    """Nothing is mapped but what was at the start; of descriptors, ports to the resolver were opened meanwhile, and
    those of connections are gone."""
    return now.mapped <= begun.mapped and now.descriptors <= settled.descriptors


def test_twenty_certificates_under_load(upstream: PromptUpstream, tmp_path: Path, record_property: Record) -> None:
    """Who is connected stays so; who comes sees the new one, or the last good one."""
    publications, authority, in_force = Publications(tmp_path), Authority.make(tmp_path), InForce()
    options = ("--bundle", str(publications.place), "--upstream", upstream.address)
    with EncryptedFilter(authority, *options) as running:
        stay = [Client(running, how, at, in_force) for at, how in enumerate(("tls", "https"))]
        come = [Client(running, how, at, in_force, batches=2) for at, how in enumerate(("tls", "https"), 2)]
        seen = {serial_shown(running)}
        with Crowd([*stay, *come]) as crowd:
            for number in range(1, CERTIFICATES + 1):
                seen.add(swap_certificate(running, number))
                crowd.wait_for_rounds(2, wait_until)
                if number % 5 == 0:
                    spoil_certificate(running)
                    assert serial_shown(running) in seen
                    crowd.wait_for_rounds(2, wait_until)
            ended = standing_of(running)
    told = f"{len(seen)} certificates; {crowd.figures}; {ended}"
    record_property("certificates", told)
    sys.stderr.write(f"{told}\n")
    check(crowd.figures)
    assert crowd.broken == []
    assert len(seen) == CERTIFICATES + 1


def swap_certificate(running: EncryptedFilter, number: int) -> str:
    """A new one in the place of the old; the serial that a new connection is shown."""
    authority = running.authority
    fresh = authority.directory / f"fresh{number}"
    fresh.mkdir()
    issued = replace(authority, directory=fresh).issue(NAME, f"*.{NAME}", "127.0.0.1")
    for path in (issued.key, issued.certificate):
        os.replace(path, authority.directory / path.name)
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("certificate reloaded", times=number)
    return serial_shown(running)


def spoil_certificate(running: EncryptedFilter) -> None:
    """Files that cannot be used: it is said, and changes nothing."""
    said = "certificate not reloaded, the one in use stays"
    before, shown = len(running.logged(said)), serial_shown(running)
    spoilt = running.authority.directory / f"{NAME}.pem"
    spoilt.write_bytes(spoilt.read_bytes()[:300])
    running.process.send_signal(signal.SIGHUP)
    running.wait_for(said, times=before + 1)
    assert serial_shown(running) == shown


def serial_shown(running: EncryptedFilter) -> str:
    with running.secure(running.tls, "dot") as client:
        shown = client.getpeercert()
    assert shown is not None
    return str(shown["serialNumber"])

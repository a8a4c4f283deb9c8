"""Half an hour at half of what the filter can do, with a swap every minute: memory is flat, nothing lost or unfiltered.

PREAU_SOAK_SECONDS shortens it; PREAU_SOAK_RATE bounds the queries a second, where others need the machine, too.
"""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from filter.plane.choosing import is_compiled
from tests.certificates import Authority
from tests.filter.crowd import Client, Crowd, InForce, check
from tests.filter.encrypted import EncryptedFilter
from tests.filter.load import Figures
from tests.filter.prompt import PromptUpstream
from tests.filter.standing import Standing, standing_of, udp_drops
from tests.filter.test_swaps import Publications, swap_once
from tests.requirements import needs

SECONDS = float(os.environ.get("PREAU_SOAK_SECONDS", "1800"))
MOST = float(os.environ.get("PREAU_SOAK_RATE", "inf"))
PROBE_SECONDS = 5.0
SWAP_SECONDS = min(60.0, SECONDS / 10)
WINDOW, SOCKETS = 500, 8
SETTLED, LAST = slice(0.2, 0.4), slice(0.8, 1.0)
"""The parts of the time that are compared: caches are full by then, and memory may grow no more."""
TOLERANCE = 0.05
"""By how much of what it was."""
PORTS = 2 * 256
"""Of both workers to the resolver: they come and go."""
SOURCE = Path(__file__).parent / "fuzzing" / "pour.c"
PLANE = "compiled" if is_compiled() else "python"

Poured = dict[str, int]


@pytest.fixture(scope="module")
def pour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("pour") / "pour"
    command = ["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror", "-o", str(program), str(SOURCE)]
    subprocess.run(command, check=True, timeout=120)
    return program


def start(program: Path, port: int, seconds: float, rate: float, seed: int) -> "subprocess.Popen[str]":
    words = [str(program), str(port), str(seconds), str(rate), str(WINDOW), str(SOCKETS), str(seed)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]", seconds: float) -> Poured:
    told, _ = process.communicate(timeout=seconds + 60)
    assert process.returncode == 0
    return {name: int(value) for name, value in (word.split("=") for word in told.split())}


@needs("cc")
@pytest.mark.long
@pytest.mark.timeout(SECONDS + 300)
def test_half_an_hour(pour: Path, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    publications, in_force = Publications(tmp_path), InForce()
    with PromptUpstream() as upstream:
        options = ("--bundle", str(publications.place), "--upstream", upstream.address, "--plane", PLANE)
        data = (
            "--data-dir",
            str(tmp_path / "donnees"),
            "--workers",
            "auto",
            "--cache-mb",
            "4",
        )  # full before it settles
        with EncryptedFilter(Authority.make(tmp_path), *options, *data) as running:
            probe = finish(start(pour, running.port, PROBE_SECONDS, 0, 1), PROBE_SECONDS)
            most = probe["sent"] / PROBE_SECONDS
            rate = min(most / 2, MOST)
            tell(f"probe: {most:.0f} queries a second, half of it or what was asked for: {rate:.0f}", record_property)
            ports = (running.port, upstream.port)
            before, pouring = udp_drops(ports), start(pour, running.port, SECONDS, rate, 2)
            with Crowd(
                [Client(running, how, at, in_force, 200, 0.1) for at, how in enumerate(("udp", "tcp", "tls"))]
            ) as crowd:
                seen = keep_swapping(running, publications, in_force)
                settled, ended = middle(seen, SETTLED), middle(seen, LAST)
            poured = finish(pouring, SECONDS)
            drops = udp_drops(ports) - before
            figures = crowd.figures
            tell(
                f"{SECONDS:.0f} s at {rate:.0f} queries a second: {poured}; beside it {figures}; kernel drops {drops}; "
                f"settled: {settled}; ended: {ended}", record_property,
            )  # fmt: skip
    judge(poured, figures, drops)
    assert crowd.broken == []
    assert ended.mapped <= settled.mapped
    assert ended.descriptors <= settled.descriptors + PORTS
    assert ended.rss <= settled.rss * (1 + TOLERANCE), (settled, ended)
    assert ended.pss <= settled.pss * (1 + TOLERANCE), (settled, ended)


def keep_swapping(running: EncryptedFilter, publications: Publications, in_force: InForce) -> list[Standing]:
    """Swap until time is over; how the filter stood after each swap."""
    begun, seen = time.monotonic(), list[Standing]()
    while (gone := time.monotonic() - begun) < SECONDS:
        if gone > (len(seen) + 1) * SWAP_SECONDS:
            swap_once(running, publications, in_force, len(seen) + 1)
            seen.append(standing_of(running))
            sys.stderr.write(f"{gone:.0f} s, {len(seen)} swaps: {seen[-1]}\n")
        threading.Event().wait(0.2)
    return seen


def middle(seen: Sequence[Standing], part: slice) -> Standing:
    """The median of each figure over a part of the time: what is counted and not yet written comes and goes."""
    chosen = seen[round(part.start * len(seen)) : round(part.stop * len(seen))]
    rss, pss, descriptors, mapped = (
        round(statistics.median(getattr(each, name) for each in chosen))
        for name in ("rss", "pss", "descriptors", "mapped")
    )
    return Standing(rss, pss, descriptors, mapped, chosen[-1].seconds)


def judge(poured: Poured, figures: Figures, drops: int) -> None:
    """Nothing is unfiltered, and nothing lost but what the kernel dropped."""
    assert poured["unfiltered"] == poured["wrong"] == poured["failed"] == 0, poured
    assert poured["lost"] <= drops, (poured, drops)
    assert poured["right"] + poured["lost"] == poured["sent"], poured
    check(figures)


def tell(text: str, record_property: Callable[[str, object], None]) -> None:
    record_property("soak", text)
    sys.stderr.write(f"{text}\n")

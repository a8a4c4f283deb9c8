"""Workers judge by the very files that the supervisor verified, whatever lies at their paths by then."""

import http.client
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from filter.signing import SigningKey
from tests.filter.conftest import LISTS, SCHOOL, compile_pair, make_list, policy_of
from tests.filter.prompt import PromptUpstream
from tests.filter.running import RunningFilter
from tests.filter.standing import wait_until
from tests.filter.test_worker_faults import DIED
from tests.filter.workforce import workers_of

KEY = SigningKey.generate()
NXDOMAIN = 3
REFUSED = "bundle not reloaded, the open one stays"
ENOUGH = 24
"""Questions, each from a port of its own: both workers get some."""


class Shelf:
    """Where the filter reads its files, and what may be put there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = folder / "ecole.preau"
        self.signed = compile_pair(LISTS, SCHOOL, folder / "signed.preau", serial=7, sign=KEY.sign)
        more = [*LISTS, make_list("jeux2", "nouveau.example", category="jeux")]
        self.newer = compile_pair(more, SCHOOL, folder / "newer.preau", serial=8, sign=KEY.sign)
        self.forged = compile_pair([make_list("jeux", "autre.example")], SCHOOL, folder / "forged.preau", serial=3)

    def put(self, pair: Path) -> None:
        for source, place in ((pair, self.place), (policy_of(pair), policy_of(self.place))):
            part = place.with_suffix(".part")
            shutil.copyfile(source, part)
            part.replace(place)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path)
    shelf.put(shelf.signed)
    return shelf


@pytest.fixture
def served(shelf: Shelf) -> Iterator[RunningFilter]:
    with PromptUpstream() as upstream:
        options = ("--bundle", str(shelf.place), "--trusted-key", KEY.public_hex, "--upstream", upstream.address)
        with RunningFilter(*options, "--workers", "2") as running:
            yield running


def wait_for_others(running: RunningFilter, than: tuple[int, ...]) -> None:
    def are_there() -> bool:
        found = workers_of(running)
        return len(found) == 2 and not set(found) & set(than)

    wait_until(are_there, lambda: str(running.lines[-5:]))


def serial_of(running: RunningFilter) -> object:
    """Of the names that the supervisor has verified last."""
    connection = http.client.HTTPConnection("127.0.0.1", running.metrics, timeout=10)
    connection.request("GET", "/health/ready")
    return json.loads(connection.getresponse().read())["bundle_serial"]


def rcodes(running: RunningFilter, name: str) -> set[int]:
    return {int(running.ask(name).rcode()) for _ in range(ENOUGH)}


def test_a_worker_that_comes_later_judges_by_what_was_verified(shelf: Shelf, served: RunningFilter) -> None:
    shelf.put(shelf.forged)
    served.process.send_signal(signal.SIGHUP)
    served.wait_for(REFUSED)

    first = workers_of(served)
    for times, process in enumerate(first, 1):
        os.kill(process, signal.SIGKILL)
        served.wait_for(DIED, times=times)
    wait_for_others(served, first)

    assert rcodes(served, "www.jeu.example") == {NXDOMAIN}


def test_a_worker_comes_back_where_the_files_are_gone(shelf: Shelf, served: RunningFilter) -> None:
    shelf.place.unlink()
    policy_of(shelf.place).unlink()

    first = workers_of(served)
    os.kill(first[0], signal.SIGKILL)
    served.wait_for(DIED)
    wait_until(lambda: len(workers_of(served)) == 2 and first[0] not in workers_of(served), lambda: str(served.lines))

    assert rcodes(served, "www.jeu.example") == {NXDOMAIN}


def test_a_swap_takes_the_verified_files_even_when_others_lie_there_by_then(
    shelf: Shelf, served: RunningFilter
) -> None:
    slow = workers_of(served)[0]
    os.kill(slow, signal.SIGSTOP)
    shelf.put(shelf.newer)
    served.process.send_signal(signal.SIGHUP)
    wait_until(lambda: serial_of(served) == 8, lambda: str(served.lines[-5:]))

    shelf.put(shelf.forged)
    with suppress(ProcessLookupError):  # it hung for too long, and another is there already
        os.kill(slow, signal.SIGCONT)
    served.wait_for("bundle reloaded")

    assert rcodes(served, "nouveau.example") == {NXDOMAIN}
    assert rcodes(served, "www.jeu.example") == {NXDOMAIN}

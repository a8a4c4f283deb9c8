"""A gateway that runs short: no room on its disk, no descriptor for one more connection. Answers go on, it is said, and
all is as before when there is enough again."""

import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from filter.namecounts import FILE, read_counts
from filter.plane.choosing import is_compiled
from tests.filter.controller import SmallController
from tests.filter.crowd import Client, Crowd, InForce, check, pack
from tests.filter.load import Figures
from tests.filter.prompt import PromptUpstream
from tests.filter.publishing import Publisher, filter_options, installed, wait_for_line
from tests.filter.running import ROOT, RunningFilter
from tests.filter.standing import cpu_seconds, descriptors_of, processes_of, standing_of, wait_until

Record = Callable[[str, object], None]
FLUSH_PATIENCE = 60.0
"""Name counts are written every 30 s."""
QUERY = pack(1, "jeu.example")
SPARE = 100
"""Descriptors left when connections begin to come."""
CROWD = 200
FILES = 400

can_mount = pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode != 0,
    reason="run as root with CAP_SYS_ADMIN: it mounts a small disk",
)
each_plane = pytest.mark.parametrize(
    "plane",
    [
        pytest.param("compiled", marks=pytest.mark.skipif(not is_compiled(), reason="the plane is not compiled")),
        "python",
    ],
)


@pytest.fixture
def upstream() -> Iterator[PromptUpstream]:
    with PromptUpstream() as prompt:
        yield prompt


class OnSmallDisk(RunningFilter):
    """Its data folder is a file system of its own, of one megabyte, that only this process sees."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(*options)
        folder.mkdir(exist_ok=True)
        self.folder = folder

    def start(self) -> "subprocess.Popen[str]":
        mount = 'mount -t tmpfs -o size=1m,mode=700 tmpfs "$0" && exec "$@"'
        return subprocess.Popen(
            ["unshare", "-m", "sh", "-c", mount, str(self.folder), sys.executable, "-m", "filter", *self.options],
            cwd=ROOT, env=self.environ, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    @property
    def disk(self) -> Path:
        """The folder as the process sees it (proc(5), root)."""
        return Path(f"/proc/{self.process.pid}/root{self.folder}")

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.disk / "ballast").open("wb", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def empty(self) -> None:
        (self.disk / "ballast").unlink()


def measures(running: RunningFilter) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{running.metrics}/metrics", timeout=10) as response:
        return str(response.read().decode())


def measure(running: RunningFilter, series: str) -> float:
    """The sum of all samples whose line begins so."""
    return sum(float(line.rpartition(" ")[2]) for line in measures(running).splitlines() if line.startswith(series))


def report(record: Record, what: str, running: RunningFilter, figures: Figures) -> None:
    told = f"{figures}; {standing_of(running)}"
    record(what, told)
    sys.stderr.write(f"{what}: {told}\n")


@can_mount
def test_a_full_disk_keeps_new_publications_out_and_the_last_good_pair_answers(
    upstream: PromptUpstream, tmp_path: Path, record_property: Record
) -> None:
    publisher = Publisher(tmp_path)
    with SmallController(tmp_path) as controller:
        controller.publish(publisher.pair(1, jeux=["jeu.example"]))
        options = filter_options(tmp_path, controller, upstream.address)
        with OnSmallDisk(tmp_path / "data", *options) as running:
            installed(running, 1)
            clients = [Client(running, how, at, InForce()) for at, how in enumerate(("udp", "tcp"))]
            with Crowd(clients) as crowd:
                wait_until(lambda: (running.disk / FILE).exists() and not list(running.disk.glob(f"{FILE}-*")))
                running.fill()
                controller.publish(publisher.pair(2, jeux=["jeu.example", "nouveau.example"]))
                wait_for_line(running, "policy failed", outcome="disk")
                wait_for_line(running, "names failed", outcome="disk")
                wait_until(lambda: not list(running.disk.glob("*.part")))
                told = len(controller.reports)
                wait_until(lambda: len(controller.reports) > told)
                crowd.wait_for_rounds(3, wait_until)
                assert measure(running, 'filter_talks_total{outcome="disk"') >= 2
                running.empty()
                installed(running, 2)
                crowd.wait_for_rounds(3, wait_until)
            report(record_property, "disk full", running, crowd.figures)
            assert running.ask("nouveau.example").answer == []
    check(crowd.figures)
    assert crowd.broken == []


@can_mount
@pytest.mark.long
def test_name_counts_wait_for_room(upstream: PromptUpstream, bundle_file: Path, tmp_path: Path) -> None:
    """Nothing is lost that finds room in memory: also when the disk was full from the start."""
    folder = tmp_path / "data"
    options = ("--bundle", str(bundle_file), "--upstream", upstream.address, "--data-dir", str(folder))

    def counted(running: OnSmallDisk) -> int:
        for kept in running.disk.glob(f"{FILE}*"):
            shutil.copy(kept, tmp_path / kept.name)
        with suppress(sqlite3.OperationalError):  # the store was not made yet
            found = read_counts(tmp_path / FILE)
            return sum(each.queries for each in found if each.name == "www.jeu.example")
        return 0

    with OnSmallDisk(folder, *options) as running:
        running.fill()
        for _ in range(40):
            running.ask("www.jeu.example")
        failed = "name counts were not written"
        wait_until(lambda: bool(running.logged(failed)), lambda: running.lines, FLUSH_PATIENCE)
        for _ in range(2):
            running.ask("www.jeu.example")
        running.empty()
        wait_until(lambda: counted(running) == 42, lambda: counted(running), FLUSH_PATIENCE)


class WithFewFiles(RunningFilter):
    """It may have so many files open, and never more."""

    def start(self) -> "subprocess.Popen[str]":
        command = ["/bin/sh", "-c", f'ulimit -n {FILES} && exec "$@"', "sh", sys.executable, "-m", "filter"]
        return subprocess.Popen(
            [*command, *self.options], cwd=ROOT, env=self.environ, stderr=subprocess.PIPE, text=True
        )


@each_plane
def test_connections_leave_descriptors_to_everything_else(
    upstream: PromptUpstream, bundle_file: Path, plane: str, record_property: Record
) -> None:
    """More of them than descriptors: names are resolved, newcomers are served, measures are told."""
    options = ("--bundle", str(bundle_file), "--upstream", upstream.address, "--plane", plane)
    with WithFewFiles(*options, "--max-connections-per-client", "1000") as running:
        with Crowd([Client(running, "udp", 0, InForce(), pause=0.05)]) as crowd, ExitStack() as stack:
            for _ in range(2 * FILES):
                call(running, stack)
            crowd.wait_for_rounds(10, wait_until)
            assert len(running.send_tcp([QUERY] * 5)) == 5
            assert measure(running, "filter_connections") <= FILES / 2
            report(record_property, f"few files {plane}", running, crowd.figures)
        assert not running.logged("no connection can be taken for now")
    check(crowd.figures)


@each_plane
def test_no_descriptor_for_a_connection(
    upstream: PromptUpstream, bundle_file: Path, plane: str, record_property: Record
) -> None:
    """Somebody took them all: what needs none is answered, nothing spins, and who waited is served afterwards."""
    options = ("--bundle", str(bundle_file), "--upstream", upstream.address, "--plane", plane)
    with RunningFilter(*options, "--max-connections-per-client", "1000") as running:
        running.send([QUERY])
        (process,) = processes_of(running)
        _, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
        resource.prlimit(process, resource.RLIMIT_NOFILE, (descriptors_of(process) + SPARE, hard))
        with Crowd([Client(running, "udp", 0, InForce(), pause=0.05)]) as crowd, ExitStack() as stack:
            callers = [call(running, stack) for _ in range(CROWD)]
            running.wait_for("no connection can be taken for now")
            began, spent = time.monotonic(), cpu_seconds(process)
            crowd.wait_for_rounds(60, wait_until)
            spent, lasted = cpu_seconds(process) - spent, time.monotonic() - began
            assert len(running.logged("no connection can be taken for now")) == 1
            for each in callers:
                each.close()
            assert len(running.send_tcp([QUERY] * 5)) == 5
            assert measure(running, 'filter_dropped_total{reason="descriptors"}') >= 1
        told = f"no descriptor {plane}: {spent:.2f} CPU s in {lasted:.1f} s"
        report(record_property, told, running, crowd.figures)
        wait_until(lambda: is_well(running))  # a failure is kept for 5 s
    figures = crowd.figures
    assert (figures.unfiltered, figures.wrong, figures.lost) == (0, 0, 0), str(figures)
    assert figures.right >= figures.sent / 4, str(figures)
    assert spent < lasted / 2, told


def is_well(running: RunningFilter) -> bool:
    """Whether all is answered rightly."""
    with Crowd([Client(running, "udp", 1, InForce())]) as crowd:
        crowd.wait_for_rounds(1, wait_until)
    return crowd.figures.right == crowd.figures.sent


def call(running: RunningFilter, stack: ExitStack) -> socket.socket:
    """A connection that stays, whether it is taken or waits in the queue."""
    return stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=8))

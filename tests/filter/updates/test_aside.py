"""Work beside the filter ends with it, however it ends, and what cuts it off is told."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from select import select

import pytest

from filter.updates.aside import CutOff, run_aside
from tests.filter.controller import SmallController
from tests.filter.publishing import Publisher, installed
from tests.filter.running import PATIENCE, RunningFilter

APPLY = """
import asyncio, sys
from pathlib import Path
from filter.updates.patching import apply_aside
asyncio.run(apply_aside(*map(Path, sys.argv[1:])))
"""


def kill_myself(_note: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def note(path: Path) -> None:
    path.write_text(str(os.nice(0)))


def wait_for_ever(path: Path) -> None:
    path.read_bytes()


def test_it_is_done_with_less_right_to_the_processor(tmp_path: Path) -> None:
    asyncio.run(run_aside(PATIENCE, note, tmp_path / "note"))
    assert int((tmp_path / "note").read_text()) > os.nice(0)


@pytest.mark.parametrize(("work", "seconds"), [(kill_myself, PATIENCE), (wait_for_ever, 0.0)])
def test_what_does_not_come_to_its_end_is_told(tmp_path: Path, work: Callable[[Path], None], seconds: float) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(CutOff):
        asyncio.run(run_aside(seconds, work, tmp_path / "fifo"))


def test_a_delta_that_is_applied_ends_with_its_filter(tmp_path: Path, publisher: Publisher) -> None:
    """Killed while the other process waits for bytes that never come."""
    old, delta = publisher.names(5, jeux=["jeu.example"]), tmp_path / "delta"
    os.mkfifo(delta)
    command = [sys.executable, "-c", APPLY, str(old), str(delta), str(tmp_path / "made")]
    with subprocess.Popen(command) as process, delta.open("wb"):  # opens once the other process reads
        [child] = children(process.pid)
        with os.fdopen(os.pidfd_open(child), "rb") as end:
            process.kill()
            process.wait()
            assert select([end], [], [], PATIENCE)[0], "somebody is left"


def children(pid: int) -> list[int]:
    """The processes that a process started to work for it."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    found = [int(each) for task in tasks for each in (task / "children").read_text().split()]
    return [each for each in found if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


def test_what_a_killed_process_left_is_removed_at_the_start(
    options: list[str], controller: SmallController, publisher: Publisher, tmp_path: Path
) -> None:
    controller.publish(publisher.pair(5, jeux=["jeu.example"]))
    left = tmp_path / "data" / ".names.made.77.tmp"
    left.parent.mkdir()
    left.write_bytes(b"left")
    with RunningFilter(*options) as running:
        installed(running, 5)
        assert not left.exists()

"""The supervisor, with real processes: starts, restarts what is killed, stops in order, leaves nobody behind."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fleet.embedded.console import Console
from fleet.embedded.supervisor import NotReady, Program, Supervisor
from tests.embedded.waiting import until

PROJECT = Path(__file__).parents[2]
TALKS = "import os, sys, time; print('bonjour', os.getpid(), flush=True); time.sleep(600)"
NEVER_STOPS = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("sourd", flush=True)
while True: time.sleep(1)
"""
HAS_A_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("enfant", child.pid, flush=True)
time.sleep(600)
"""
SAYS_GOODBYE = """
import signal, sys, time
def end(*_):
    with open(sys.argv[1], "a") as file: file.write(sys.argv[2] + "\\n")
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("bonjour", flush=True)
time.sleep(600)
"""


class Stage:
    """A supervisor whose console can be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = io.StringIO()
        self.console = Console(self.output, folder, colour=False)
        self.supervisor = Supervisor(self.console, folder / "children.json")

    def program(self, name: str, code: str, *arguments: str, says: str = "bonjour", stop_seconds: float = 5) -> Program:
        return Program(
            name, [sys.executable, "-c", code, *arguments], os.environ, lambda: says in self.console.tail(name),
            stop_seconds=stop_seconds,
        )  # fmt: skip

    def pid(self, name: str) -> int | None:
        return self.supervisor.pids().get(name)

    def kill(self, name: str) -> int:
        """Kill -9 and wait for the next process of that name."""
        pid = self.supervisor.pids()[name]
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.pid(name) not in {pid, None}, f"{name} is started again")
        return self.supervisor.pids()[name]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.supervisor.stop([])


def is_gone(pid: int) -> Callable[[], bool]:
    return lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_lines_carry_time_and_name(stage: Stage) -> None:
    stage.supervisor.start_and_wait(stage.program("ouvrier", TALKS))
    line = next(line for line in stage.output.getvalue().splitlines() if "bonjour" in line)
    assert re.fullmatch(r"\d\d:\d\d:\d\d ouvrier +│ bonjour \d+", line)
    assert "bonjour" in (stage.folder / "ouvrier.log").read_text()


def test_a_killed_program_is_started_again(stage: Stage) -> None:
    stage.supervisor.start_and_wait(stage.program("ouvrier", TALKS))
    first = stage.pid("ouvrier")
    second = stage.kill("ouvrier")
    assert second != first
    until(lambda: f"bonjour {second}" in stage.console.tail("ouvrier"), "the second one speaks")
    assert "ouvrier a été tué (signal SIGKILL) ; relance dans 0,2 s" in stage.output.getvalue()
    assert json.loads((stage.folder / "children.json").read_text()) == {"ouvrier": second}


def test_each_death_in_a_row_waits_longer(stage: Stage) -> None:
    stage.supervisor.start(stage.program("malade", "raise SystemExit(7)"))
    until(lambda: "relance dans 0,8 s" in stage.output.getvalue(), "three deaths")
    said = re.findall(r"code (\d+)\) ; relance dans ([\d,]+) s", stage.output.getvalue())
    assert said[:3] == [("7", "0,2"), ("7", "0,4"), ("7", "0,8")]


def test_what_a_killed_program_had_started_goes_with_it(stage: Stage) -> None:
    stage.supervisor.start_and_wait(stage.program("ouvrier", HAS_A_CHILD, says="enfant"))
    grandchild = int(stage.console.tail("ouvrier").split()[-1])
    stage.kill("ouvrier")
    until(is_gone(grandchild), "the grandchild is gone")


def test_a_program_that_never_gets_ready_is_told_with_its_last_words(stage: Stage) -> None:
    stage.supervisor.start(stage.program("malade", "print('plus de place sur le disque'); raise SystemExit(1)"))
    with pytest.raises(NotReady, match=r"malade n’est pas prêt(.|\n)*plus de place sur le disque"):
        stage.supervisor.wait_ready("malade")


def test_a_program_that_cannot_be_started_is_told(stage: Stage) -> None:
    program = Program("absent", [str(stage.folder / "absent")], os.environ, lambda: True)
    with pytest.raises(NotReady, match="absent n’a pas pu démarrer"):
        stage.supervisor.start(program)


def test_the_stop_follows_the_order_given(stage: Stage) -> None:
    record = stage.folder / "order"
    names = ["base", "contrôleur", "ouvrier", "agent-1", "agent-2"]
    stage.supervisor.start_and_wait(*(stage.program(name, SAYS_GOODBYE, str(record), name) for name in names))
    stage.supervisor.stop([["agent-1", "agent-2"], ["ouvrier", "n’existe pas"], ["contrôleur"], ["base"]])
    said = record.read_text().split()
    assert sorted(said[:2]) == ["agent-1", "agent-2"]
    assert said[2:] == ["ouvrier", "contrôleur", "base"]
    assert stage.supervisor.pids() == {}
    assert "relance" not in stage.output.getvalue()


OUTLIVED = """
import os, signal, sys
from pathlib import Path
from fleet.embedded.console import Console
from fleet.embedded.supervisor import Program, Supervisor
folder, code = Path(sys.argv[1]), sys.argv[2]
console = Console(sys.stdout, folder, colour=False)
supervisor = Supervisor(console, folder / "children.json")
command = [sys.executable, "-c", code, sys.argv[1] + "/goodbye", "adieu"]
supervisor.start_and_wait(Program("ouvrier", command, os.environ, lambda: "bonjour" in console.tail("ouvrier")))
os.kill(supervisor.pids()["ouvrier"], signal.SIGKILL)  # the next one is started by another thread
signal.pause()
"""


def test_a_killed_supervisor_is_not_outlived(tmp_path: Path) -> None:
    """The kernel asks what it started to stop, what it started again too."""
    command = [sys.executable, "-c", OUTLIVED, str(tmp_path), SAYS_GOODBYE]
    supervisor = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL)
    log, record = tmp_path / "ouvrier.log", tmp_path / "children.json"
    until(lambda: log.exists() and log.read_text().count("bonjour") == 2, "it was started again")
    pid = json.loads(record.read_text())["ouvrier"]
    supervisor.kill()
    supervisor.wait()
    until(is_gone(pid), "its program is gone")
    assert (tmp_path / "goodbye").read_text() == "adieu\n", "it could stop in its own way"


def test_a_program_that_does_not_stop_is_killed(stage: Stage) -> None:
    stage.supervisor.start_and_wait(stage.program("têtu", NEVER_STOPS, says="sourd", stop_seconds=0.1))
    pid = stage.supervisor.pids()["têtu"]
    stage.supervisor.stop([["têtu"]], seconds=0.2)
    assert is_gone(pid)()
    assert "têtu ne s’arrêtait pas : tué" in stage.output.getvalue()


def test_a_program_waiting_for_its_next_start_stops_at_once(stage: Stage) -> None:
    stage.supervisor.start(stage.program("malade", "raise SystemExit(1)"))
    until(lambda: "relance dans 1,6 s" in stage.output.getvalue(), "it waits")
    stage.supervisor.stop([])
    assert stage.supervisor.pids() == {}
    assert "tué" not in stage.output.getvalue()


def test_a_start_that_fails_later_is_tried_again(stage: Stage) -> None:
    attempts = iter([None, OSError("disque plein"), None])

    def before_start() -> None:
        if (error := next(attempts)) is not None:
            raise error

    program = stage.program("ouvrier", TALKS)
    stage.supervisor.start_and_wait(Program(program.name, program.command, os.environ, program.is_ready, before_start))
    stage.kill("ouvrier")
    assert "ouvrier n’a pas pu être relancé : disque plein" in stage.output.getvalue()

"""One supervisor: starts programs in order, restarts what dies, stops all in the reverse order."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fleet.embedded.console import Console
from fleet.embedded.errors import StartError
from fleet.embedded.tied import RunsAs, tied
from fleet.files import write_private

FIRST_DELAY, LONGEST_DELAY = 0.2, 10.0
LONG_ENOUGH = 30.0
"""A program that lived this long, in seconds, starts again without waiting."""
LONGEST_LINE = 8192
"""Bytes of one line that are kept; a program that never ends its line must not fill our memory."""
POLL = 0.05


class NotReady(StartError):
    """A program did not get ready; the message is French and holds its last lines."""


def nothing() -> None:
    """What most programs need done before each start."""


@dataclass(frozen=True, slots=True)
class Program:
    """Something to run, for as long as we do."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_ready: Callable[[], bool]
    """Asks the program itself; never raises."""
    before_start: Callable[[], None] = nothing
    """Runs before each start, the restarts too; an error is a failed start."""
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals | None = None
    """What it gets when we are killed, all at once; its stop signal unless said."""
    stop_seconds: float = 1.0
    """Seconds kept for its end, before it is killed."""
    runs_as: RunsAs = field(default_factory=RunsAs)


class Child:
    """One program and the process that runs it now."""

    def __init__(self, program: Program, console: Console, on_change: Callable[[], None]) -> None:
        self.program = program
        self.deaths = 0
        self._console = console
        self._on_change = on_change
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher = threading.Thread(target=self._watch, name=f"watch {program.name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def start(self) -> None:
        """Start it, and again whenever it dies, until stop()."""
        self._spawn()
        self._watcher.start()

    def signal_stop(self) -> None:
        """Ask it to end; it is not restarted any more."""
        with self._lock:  # no start can slip in between
            self._stopping.set()
            if self._process is not None and self._process.returncode is None:
                with suppress(ProcessLookupError):
                    os.kill(self._process.pid, self.program.stop_signal)

    def wait_stopped(self, seconds: float) -> bool:
        """Wait for its end; kill it, and whatever it started, when it takes longer. False: it had to be killed."""
        if self._watcher.ident is None:
            return True  # it never started
        self._watcher.join(seconds)
        if not self._watcher.is_alive():
            return True
        if self._process is not None:
            kill_group(self._process.pid)
        self._watcher.join(1)
        return False

    def _spawn(self) -> None:
        self.program.before_start()
        with self._lock:
            if self._stopping.is_set():
                return
            # By the main thread or the watcher, which live as long as it does: the kernel asks for no less.
            self._process = subprocess.Popen(
                tied(self.program.command, self.program.orphan_signal or self.program.stop_signal),
                env=dict(self.program.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # Its own session: Ctrl-C in the terminal reaches us only, and its children can be killed with it.
                start_new_session=True,
                **self.program.runs_as,
            )
        self._on_change()
        threading.Thread(target=self._relay, args=(self._process.stdout,), daemon=True).start()

    def _relay(self, output: IO[bytes]) -> None:
        with output as stream:
            while line := stream.readline(LONGEST_LINE):
                self._console.line(self.program.name, line.decode(errors="replace"))

    def _watch(self) -> None:
        delay = FIRST_DELAY
        while True:
            started = time.monotonic()
            status = self._wait_dead()
            self._on_change()
            if self._stopping.is_set():
                return
            self.deaths += 1
            if time.monotonic() - started > LONG_ENOUGH:
                delay = FIRST_DELAY
            self._console.event(
                f"{self.program.name} {say_end(status)} ; relance dans {say_seconds(delay)}", alarm=True
            )
            if self._stopping.wait(delay):
                return
            delay = min(delay * 2, LONGEST_DELAY)
            self._respawn()

    def _respawn(self) -> None:
        try:
            self._spawn()
        except (OSError, RuntimeError) as error:
            self._console.event(f"{self.program.name} n’a pas pu être relancé : {error}", alarm=True)
            return
        threading.Thread(target=self._tell_return, args=(self.deaths,), daemon=True).start()

    def _tell_return(self, death: int) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.deaths == death and not self._stopping.is_set():
            if self.program.is_ready():
                self._console.event(f"{self.program.name} est de retour (processus {self.pid})")
                return
            self._stopping.wait(4 * POLL)

    def _wait_dead(self) -> int:
        """Wait for the end of the process; end its group while its pid is still reserved, then let the pid go."""
        process = self._process
        if process is None or process.returncode is not None:
            return 0 if process is None else process.returncode
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        kill_group(process.pid)
        with self._lock:  # nobody signals a pid that is being let go
            return process.wait()


def kill_group(pid: int) -> None:
    """Kill a process that leads a group, and the group: Celery's pool outlives a killed parent otherwise."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def say_end(status: int) -> str:
    """How a process ended, in French."""
    if status >= 0:
        return f"s’est arrêté (code {status})"
    return f"a été tué (signal {signal.Signals(-status).name})"


def say_seconds(seconds: float) -> str:
    """``0,2 s``."""
    return f"{seconds:g} s".replace(".", ",")


def longest_stop(children: Sequence[Child]) -> float:
    """Seconds to keep for a group that stops together."""
    return max((child.program.stop_seconds for child in children), default=0.0)


def wait_until(happened: Callable[[], bool], seconds: float) -> bool:
    """Wait for something to be true; False when it takes too long."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


class Supervisor:
    """The programs of one installation, in the order in which they were started."""

    def __init__(self, console: Console, record: Path) -> None:
        self.console = console
        self._record = record
        self._lock = threading.Lock()
        self._children: dict[str, Child] = {}

    def start(self, *programs: Program) -> None:
        """Start programs side by side, without waiting."""
        for program in programs:
            child = Child(program, self.console, self._write_record)
            self._children[program.name] = child
            try:
                child.start()
            except (OSError, RuntimeError) as error:
                raise NotReady(f"{program.name} n’a pas pu démarrer : {error}") from error

    def wait_ready(self, *names: str, seconds: float = 60.0) -> None:
        """Wait until each program answers; raise NotReady, with its last lines, when one does not."""
        deadline = time.monotonic() + seconds
        for name in names:
            child = self._children[name]
            while not child.program.is_ready():
                if child.deaths >= 3 or time.monotonic() > deadline:
                    raise NotReady(f"{name} n’est pas prêt. Ses dernières lignes :\n{self.console.tail(name)}")
                time.sleep(POLL)

    def start_and_wait(self, *programs: Program, seconds: float = 60.0) -> None:
        """Start programs side by side and wait until all answer."""
        self.start(*programs)
        self.wait_ready(*(program.name for program in programs), seconds=seconds)

    def pids(self) -> dict[str, int]:
        """Name and pid of what runs now."""
        return {name: child.pid for name, child in list(self._children.items()) if child.pid is not None}

    def stop(self, order: Sequence[Sequence[str]], seconds: float = 30.0) -> None:
        """Stop everything: each group of names together, one group after the other, then what no group names.

        All of it takes ``seconds`` at most: a group may use what the later ones' own times leave.
        """
        deadline = time.monotonic() + seconds
        named = {name for group in order for name in group}
        rest = [name for name in reversed(self._children) if name not in named]
        groups = [[self._children[name] for name in group if name in self._children] for group in (*order, rest)]
        for index, group in enumerate(groups):
            reserved = sum(longest_stop(later) for later in groups[index + 1 :])
            self._stop_together(group, deadline - reserved)

    def _stop_together(self, children: list[Child], deadline: float) -> None:
        for child in children:
            child.signal_stop()
        for child in children:
            if not child.wait_stopped(max(deadline - time.monotonic(), 0.1)):
                self.console.event(f"{child.program.name} ne s’arrêtait pas : tué", alarm=True)

    def _write_record(self) -> None:
        with self._lock:
            write_private(self._record, json.dumps(self.pids(), indent=1))

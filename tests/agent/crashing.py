"""An agent that kills itself (SIGKILL) just before its n-th step on the disk or the network.

``python -m tests.agent.crashing`` reads one JSON line for each run, ``{"arguments": […], "crash_at": n}``, and answers
with the exit status (-9: killed). Each run is a fork, so that hundreds of them cost no start of Python.
"""

import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent import packages
from agent.__main__ import execute
from tests.agent.conftest import environment

STEPS = (
    (os, ("open", "write", "fchmod", "chmod", "replace", "unlink", "mkdir")),
    (Path, ("write_bytes", "write_text")),
    (ssl.SSLSocket, ("do_handshake", "sendall", "recv_into")),
)


class Countdown:
    """Counts steps and pulls the plug; a write is torn in the middle."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def watch(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                if real in WRITES:
                    target, content = arguments[:2]
                    real(target, content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return step


WRITES = (os.write, Path.write_bytes, Path.write_text)


def no_fsync(fd: object) -> None:
    """The kernel outlives the process: waiting for the disk would show nothing here."""


def run_and_crash(arguments: list[str], crash_at: int) -> int:
    """Fork, run the agent there, and return how it ended."""
    child = os.fork()
    if child == 0:
        countdown = Countdown(crash_at)
        os.fsync = no_fsync
        for owner, names in STEPS:
            for name in names:
                setattr(owner, name, countdown.watch(getattr(owner, name)))
        os._exit(execute(arguments, {}))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


class CrashingAgent:
    """The process that forks, seen from a test."""

    def __init__(self) -> None:
        line = [sys.executable, "-m", "tests.agent.crashing"]
        self.process = subprocess.Popen(
            line, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def run(self, *arguments: str, crash_at: int = 0) -> int:
        """Exit status of ``preau-agent ARGUMENTS``; -9 when it was killed at that step."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"arguments": arguments, "crash_at": crash_at}) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate(timeout=10)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the agent prints is no answer
    packages.browsers(Path("/"))  # read once here rather than in every fork
    for line in sys.stdin:
        wanted = json.loads(line)
        print(run_and_crash(wanted["arguments"], wanted["crash_at"]), file=answers, flush=True)


if __name__ == "__main__":
    main()

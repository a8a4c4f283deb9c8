"""Children that do not outlive us: the kernel asks them to stop when `preau up` dies, even by kill -9."""

import shutil
import signal
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TypedDict


class RunsAs(TypedDict, total=False):
    """Arguments of Popen: under which account a program runs, and where."""

    cwd: Path
    user: int
    group: int
    extra_groups: list[int]


def tied(command: Sequence[str], number: signal.Signals) -> list[str]:
    """The command, which gets this signal when the *thread* that starts it ends. Raise FileNotFoundError without it.

    `setpriv` (util-linux) sets it and becomes the command, so the pid is the command's own. It does so as the account
    that the command runs under: changing account later would undo it.
    """
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(2, "No such program", command[0])
    setpriv = find_setpriv()
    if setpriv is None:
        return list(command)
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--", *command]


@cache
def find_setpriv() -> str | None:
    """A `setpriv` that knows how; None on a machine without: there the next start ends what a killed one left."""
    program = shutil.which("setpriv")
    if program is None:
        return None
    tried = subprocess.run([program, "--pdeathsig", "TERM", "--", "true"], capture_output=True, check=False)
    return program if tried.returncode == 0 else None

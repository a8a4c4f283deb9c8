"""Runs a command on one core and tells what the kernel counted: seconds, processor seconds, peak memory."""

import os
import statistics
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple


class Run(NamedTuple):
    """One whole process."""

    wall: float
    cpu: float
    """Seconds of processor, user and system."""
    peak: int
    """Bytes."""


def run(command: Sequence[str], *, output: int | None = None) -> Run:
    """Run a command on the last core, its output to a descriptor or nowhere; raise ChildProcessError when it fails."""
    start = time.perf_counter()
    if (child := os.fork()) == 0:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        os.dup2(os.open(os.devnull, os.O_WRONLY) if output is None else output, 1)
        os.execv(command[0], list(command))
    _, status, usage = os.wait4(child, 0)
    if status:
        raise ChildProcessError(f"{' '.join(command)}: {os.waitstatus_to_exitcode(status)}")
    return Run(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def python(*arguments: str, output: int | None = None) -> Run:
    """The same for this Python."""
    return run([sys.executable, *arguments], output=output)


def tell(numbers: Sequence[float], unit: str, digits: int = 2) -> str:
    """Median, and the range in brackets."""
    low, middle, high = (f"{number:.{digits}f}" for number in (min(numbers), statistics.median(numbers), max(numbers)))
    return f"{middle} {unit} ({low}–{high})"


def tell_runs(runs: Sequence[Run]) -> str:
    """All that a number of runs say."""
    return ", ".join(
        [
            f"wall {tell([r.wall for r in runs], 's')}",
            f"processor {tell([r.cpu for r in runs], 's')}",
            f"peak {tell([r.peak / 1e6 for r in runs], 'MB', 0)}",
        ]
    )

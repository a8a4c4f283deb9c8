"""Processes that a killed `preau up` left behind: found by a mark in their environment, ended before the next start."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from fleet.embedded.layout import MARK


def find_leftovers(var: Path) -> list[psutil.Process]:
    """Live processes that were started for this state folder, ourselves and our parents left out."""
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in psutil.process_iter() if process.pid not in spared and is_marked(process, var)]


def is_marked(process: psutil.Process, var: Path) -> bool:
    """Whether a process carries the mark of this folder; those that we may not read are not ours."""
    try:
        return process.environ().get(MARK) == str(var)
    except (psutil.Error, OSError):
        return False


def end(processes: Iterable[psutil.Process], patience: float = 3.0) -> None:
    """Ask each to stop, then kill what remains. A pid taken over by another program meanwhile is left alone."""
    remaining = list(processes)
    for process in remaining:
        _signal(process.terminate)
    _gone, alive = psutil.wait_procs(remaining, timeout=patience)
    for process in alive:
        _signal(process.kill)
    psutil.wait_procs(alive, timeout=patience)


def _signal(act: Callable[[], None]) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        return  # it ended by itself

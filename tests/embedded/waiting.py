"""Waiting for something to become true, without guessing how long it takes."""

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Far longer than anything takes: it only ends a test that would hang."""


def until(happened: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Return as soon as it is true; fail, saying what was awaited, when it never is."""
    deadline = time.monotonic() + patience
    while not happened():
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.02)

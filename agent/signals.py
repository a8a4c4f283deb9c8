"""SIGTERM and SIGINT: stop at once while waiting, and otherwise between two steps."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from agent.errors import Stopped


class Stop:
    """Whether somebody asked us to stop. Raises Stopped at once inside ``interruptible()``, else when ``check()`` is
    called: nothing that was begun is left half done."""

    def __init__(self) -> None:
        self.requested = False
        self.may_raise = False

    def listen(self) -> None:
        """Receive the signals (main thread only)."""
        signal.signal(signal.SIGTERM, self.receive)
        signal.signal(signal.SIGINT, self.receive)

    def receive(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        self.requested = True
        if self.may_raise:
            raise Stopped("Arrêt demandé.")

    def check(self) -> None:
        if self.requested:
            raise Stopped("Arrêt demandé.")

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Around waits: the network, and the time until the next check-in."""
        self.may_raise = True
        try:
            self.check()
            yield
        finally:
            self.may_raise = False

    def sleep(self, seconds: float) -> None:
        with self.interruptible():
            time.sleep(seconds)

"""How far this process is behind: what is dear to answer is refused first, so that cache hits and blocks still pass."""

import asyncio
import math

BEAT_SECONDS = 0.1
LATE_SECONDS = 0.25
"""What each beat may come late; twice in a row, for a pause of once (a pair that is opened) is no overload."""


class Pulse:
    """A timer that looks how late it is itself: that much everything waits in this event loop."""

    def __init__(self) -> None:
        self.timer: asyncio.TimerHandle | None = None
        self.due = math.inf
        self.late = 0
        """Beats in a row that came late."""

    def start(self) -> None:
        """Beat from now on, in the running loop."""
        if self.timer is None:
            self.wait(asyncio.get_running_loop())

    def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self.due = loop.time() + BEAT_SECONDS
        self.timer = loop.call_later(BEAT_SECONDS, self.beat, loop)

    def beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self.late = self.late + 1 if loop.time() - self.due > LATE_SECONDS else 0
        self.wait(loop)

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.late = 0

    def is_late(self) -> bool:
        """Whether there is more to do than this process can."""
        return self.late > 1

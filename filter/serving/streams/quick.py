"""Streams by the compiled plane: what it knows the answer to is answered at once, without a task of its own."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from filter.metrics import ANSWER_BUCKETS, Metrics
from filter.plane.handing import Handed, Reason
from filter.plane.teacher import Teacher

if TYPE_CHECKING:
    from filter.plane._plane import Plane

Quick = Callable[[bytes, str, str | None], bytes | None]
"""(query, client's address, device's label) -> a whole reply, b"" for a query that gets none, or None when the handler
has to answer."""


def never(_query: bytes, _client: str, _label: str | None) -> bytes | None:
    return None


class QuickAnswers:
    """The plane, asked for one query. What it does not know it is taught, as over UDP."""

    def __init__(self, plane: "Plane", teacher: Teacher, metrics: Metrics) -> None:
        self.plane = plane
        self.teacher = teacher
        self.metrics = metrics
        self.answers = self.nanoseconds = 0
        """Since they were told last, and how long they took in all."""

    def __call__(self, query: bytes, client: str, label: str | None) -> bytes | None:
        """A device that tells its label has a profile of its own, and a reply that UDP would cut room here."""
        if label is not None or "%" in client:
            return None
        began = time.monotonic_ns()
        reason, reply, message, stored = self.plane.answer(query, client, time.time_ns() // 1000, began // 1000, True)
        if reason == Reason.ANSWERED:
            self.answers += 1
            self.nanoseconds += time.monotonic_ns() - began
            return reply
        if reason == Reason.DROPPED:
            return b""
        self.metrics.handed_over.labels(Reason(reason).name.lower()).inc()
        if reason > Reason.MISSED:
            self.teacher.learn(Handed(query, client, Reason(reason), message, stored))
        return None

    def tell(self) -> None:
        """Count these answers among all others; they are of the quickest kind."""
        answers, nanoseconds = self.answers, self.nanoseconds
        self.answers = self.nanoseconds = 0
        self.metrics.answer_seconds.add([answers, *(0 for _ in ANSWER_BUCKETS)], nanoseconds // 1000)

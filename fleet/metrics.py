"""What this process counts while it works. No address, serial, school or name of a person is ever a label.

What is true of the whole fleet is read from the database when somebody asks: see exposition.py.
"""

from collections.abc import Callable
from time import perf_counter

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

enrollments = Counter("fleet_enrollments_total", "Enrolments by outcome", ["outcome"])
checkins = Counter("fleet_checkins_total", "Check-ins answered, by outcome", ["outcome"])
checkin_seconds = Histogram(
    "fleet_checkin_seconds", "Time to answer a check-in", buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
)
tickets_opened = Counter("fleet_tickets_opened_total", "Tickets opened", ["kind"])
tickets_closed = Counter("fleet_tickets_closed_total", "Tickets closed", ["kind"])
http_seconds = Histogram(
    "fleet_http_seconds",
    "Time to answer a request, by part of the controller and class of status",
    ["part", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)

for kind in ("incident", "request"):  # a series that starts at 0 lets rate() see the first event
    tickets_opened.labels(kind)
    tickets_closed.labels(kind)

PARTS = ("agent", "filter", "api")
"""First segments of the paths that are told apart; every other path is the portal's."""


def part_of(path: str) -> str:
    """The part of the controller that a path belongs to: a label with four values, whatever is asked."""
    first = path.lstrip("/").partition("/")[0]
    return first if first in PARTS else "portal"


HELD = "preau.held_seconds"
"""In a request's scope: seconds that its answer was held on purpose, while nothing changed."""


def note_held(scope: Scope, seconds: float) -> None:
    """Take the time that a request was made to wait out of the time that it took."""
    scope[HELD] = scope.get(HELD, 0.0) + seconds


class TimeAnswers:
    """ASGI middleware: every answer's time, by part and class of status; an exception that escapes is a 5xx.

    What an answer was held on purpose does not count: a question that waits for a change is no slow one.
    """

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = perf_counter) -> None:
        self.app = app
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = self.clock(), 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, note_status)
        finally:
            worked = self.clock() - started - scope.get(HELD, 0.0)
            http_seconds.labels(part_of(scope["path"]), f"{status // 100}xx").observe(worked)

"""The talks with the controller that go on side by side: policy, names, reports, requests, previews. Answers wait for
none.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from filter.metrics import Metrics
from filter.updates.controller import TalkFailed
from filter.updates.pair import Pair
from filter.updates.previews import Previewer
from filter.updates.reporter import Reporter
from filter.updates.requests import Courier
from filter.updates.updater import Updater

log = logging.getLogger("filter")

HOLD_SECONDS = 25
"""How long the controller may hold its answer while nothing changes."""
SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
UNHELD_PAUSE = 5.0
"""Between two questions to a controller that answers at once though nothing changed."""
LAST_SECONDS = 3.0
"""How long the report may take that a filter sends when it is stopped."""
SOON = 5.0
"""From a change of files to the report that tells it, more or less: one change reaches all filters at once."""


def back_off(failures: int, first: float) -> float:
    """Seconds before the next try: twice as many each time, never the same for all filters."""
    pause = min(first * (1 << min(failures - 1, 10)), max(first, LONGEST_PAUSE))
    return pause * random.uniform(0.5, 1.5)  # noqa: S311  # spreads load, guards nothing


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for it that long; whether it came."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


@dataclass(slots=True)
class Conversation:
    """Five talks, each at its own pace; none of them ends, whatever the others meet."""

    updater: Updater
    reporter: Reporter
    courier: Courier
    previewer: Previewer
    metrics: Metrics
    pair: Callable[[], Pair | None]
    interval: float
    """Seconds between two reports."""

    async def go_on(self) -> None:
        """Talk for ever."""
        talks = (self.follow_policy, self.follow_names, self.report, self.hand_requests_over, self.answer_previews)
        tasks = [asyncio.create_task(self.keep_on(talk)) for talk in talks]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def keep_on(self, talk: Callable[[], Awaitable[None]]) -> None:
        """Begin anew should a fault of ours end a talk: answers go on meanwhile."""
        while True:
            task = asyncio.ensure_future(talk())
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
            log.error("a talk with the controller broke off", exc_info=task.exception())
            await asyncio.sleep(self.interval)

    async def attempt(self, what: str, send: Callable[[], Awaitable[str]]) -> str | None:
        """What came of one try, counted; None when it failed."""
        try:
            outcome = await send()
        except TalkFailed as error:
            log.warning(f"{what} failed", extra={"outcome": error.outcome, "error": str(error)})  # noqa: G004  # five fixed words
            self.metrics.talks.labels(what, error.outcome).inc()
            return None
        self.metrics.talks.labels(what, outcome).inc()
        return outcome

    @property
    def first_pause(self) -> float:
        return min(self.interval, SHORTEST_PAUSE)

    async def follow_policy(self) -> None:
        """Ask again as soon as an answer came: the controller holds it until something changes."""
        failures, hold = 0, 0  # the first answer is wanted at once, whatever it is
        while True:
            asked_at, heard = time.monotonic(), self.heard()
            outcome = await self.attempt("policy", lambda wait=hold: self.updater.poll_policy(wait))  # type: ignore[misc]  # mypy guesses no default
            failures = failures + 1 if outcome is None else 0
            was_held = time.monotonic() - asked_at >= hold / 2 or heard != self.heard()
            if failures:
                await asyncio.sleep(back_off(failures, self.first_pause))
            elif outcome != "installed" and not was_held:
                await asyncio.sleep(back_off(1, min(self.interval, UNHELD_PAUSE)))
            hold = 0 if failures else HOLD_SECONDS

    def heard(self) -> tuple[str | None, str | None]:
        """What the controller spoke of last, besides the policy."""
        return self.updater.announced, self.updater.previews.announced

    async def follow_names(self) -> None:
        """Fetch names when others are announced; not all filters in the same second, unless there are none yet."""
        failures = 0
        while True:
            await self.updater.news.wait()
            if failures or self.updater.names is not None:
                await asyncio.sleep(back_off(max(failures, 1), self.first_pause if failures else self.interval / 2))
            outcome = await self.attempt("names", self.updater.fetch_names)
            failures = 0 if outcome else failures + 1
            if outcome is None:
                self.updater.look_again()

    async def report(self) -> None:
        """Tell how we are, at irregular intervals and soon after other files came; less often while nobody hears it."""
        failures = 0
        while True:
            self.updater.changed.clear()
            outcome = await self.attempt("report", self.send_report)
            failures = 0 if outcome else failures + 1
            pause = back_off(max(failures, 1), self.interval)
            if failures:
                await asyncio.sleep(pause)
            elif await is_set_within(self.updater.changed, pause):
                await asyncio.sleep(back_off(1, min(self.interval, SOON)))  # further changes are in the same report

    async def end(self) -> None:
        """Tell what was counted since the last report: it is gone with this process."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.attempt("report", self.send_report)

    async def send_report(self) -> str:
        await self.reporter.send(self.pair())
        return "sent"

    async def hand_requests_over(self) -> None:
        """Give each request to unblock a site to the controller, soon after it was made and until it took it."""
        failures = 0
        while True:
            await self.courier.news.wait()
            if failures:
                await asyncio.sleep(back_off(failures, self.first_pause))
            outcome = await self.attempt("request", self.courier.send_all)
            failures = 0 if outcome else failures + 1

    async def answer_previews(self) -> None:
        """Say what a change would do here, each time the controller asks."""
        failures = 0
        while True:
            await self.previewer.news.arrived.wait()
            if failures:
                await asyncio.sleep(back_off(failures, self.first_pause))
            outcome = await self.attempt("preview", self.previewer.answer_next)
            failures = 0 if outcome else failures + 1

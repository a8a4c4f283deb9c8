"""What the controller is told: how this filter is, and hourly totals by verdict and category. No name, no address."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

import httpx2

from filter.metrics import Metrics
from filter.totals import Total
from filter.updates.controller import check_status, unreachable
from filter.updates.pair import Pair

PATH = "/filter/v1/reports"
MOST_COUNTS = 2_000
"""Lines of each kind in one report: a few milliseconds of work, between which queries are answered."""
MOST_PIECES = 50
"""Reports in a row; after a long outage the rest follows the next time."""


@dataclass(slots=True)
class Reporter:
    """Sends totals of this run that changed since they were last taken: one that arrives twice changes nothing."""

    client: httpx2.AsyncClient
    metrics: Metrics
    version: str
    started_at: datetime
    health: Callable[[], dict[str, object]]
    gather: Callable[[], Awaitable[None]]
    """Has everything in the metrics that was counted until now, wherever it was."""
    run: str = field(default_factory=lambda: str(uuid4()))

    def compose(self, pair: Pair | None, counts: Sequence[Total], school_counts: Sequence[Total]) -> dict[str, object]:
        """The report as JSON values. ``counts`` are over all schools, ``school_counts`` the same by school."""
        return {
            "version": self.version,
            "run": self.run,
            "started_at": self.started_at.isoformat(),
            "bundle_serial": pair and pair.names.serial,
            "bundle_digest": pair and pair.names.digest,
            "policy_serial": pair and pair.settings.serial,
            "policy_digest": pair and pair.settings.digest,
            "health": self.health(),
            "counts": [line(total, "action", "category") for total in counts],
            "school_counts": [line(total, "school", "action", "category") for total in school_counts],
        }

    async def send(self, pair: Pair | None) -> None:
        """Post what is new, the newest hours first, in as many reports as it takes; raise TalkFailed."""
        await self.gather()
        for _ in range(MOST_PIECES):
            if not await self.send_piece(pair):
                return

    async def send_piece(self, pair: Pair | None) -> bool:
        """Post one report; whether there was more to tell. Raises TalkFailed: its lines are told again, then."""
        hourly, by_school = self.metrics.hourly, self.metrics.by_school
        counts, school_counts = hourly.news(MOST_COUNTS), by_school.news(MOST_COUNTS)
        try:
            response = await self.client.post(PATH, json=self.compose(pair, counts, school_counts))
        except httpx2.HTTPError as error:
            raise unreachable(error) from error
        check_status(response, 200, 202, 204)
        hourly.told(counts)
        by_school.told(school_counts)
        return MOST_COUNTS in {len(counts), len(school_counts)}


def line(total: Total, *names: str) -> dict[str, object]:
    """One total as JSON values."""
    return {"hour": total.hour.isoformat(), **dict(zip(names, total.key, strict=True)), "queries": total.queries}

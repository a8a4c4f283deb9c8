"""What the controller is told: how this filter is, and hourly totals by verdict and category. No name, no address."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

import httpx2

from filter.controller import check_status, unreachable
from filter.metrics import Metrics
from filter.pair import Pair

PATH = "/filter/v1/reports"
MOST_COUNTS = 10_000
"""Lines of each kind in one report, for the controller's limit of bytes; beyond them the oldest hours stay untold."""


@dataclass(slots=True)
class Reporter:
    """Sends totals of this run: a report that arrives twice changes nothing."""

    client: httpx2.AsyncClient
    metrics: Metrics
    version: str
    started_at: datetime
    health: Callable[[], dict[str, object]]
    now: Callable[[], datetime]
    run: str = field(default_factory=lambda: str(uuid4()))

    def compose(self, pair: Pair | None) -> dict[str, object]:
        """The report as JSON values. ``counts`` are over all schools, ``school_counts`` the same by school."""
        self.metrics.forget_old_hours(self.now())
        return {
            "version": self.version,
            "run": self.run,
            "started_at": self.started_at.isoformat(),
            "bundle_serial": pair and pair.names.serial,
            "bundle_digest": pair and pair.names.digest,
            "policy_serial": pair and pair.settings.serial,
            "policy_digest": pair and pair.settings.digest,
            "health": self.health(),
            "counts": [
                {"hour": hour.isoformat(), "action": action, "category": category, "queries": queries}
                for (hour, action, category), queries in sorted(self.metrics.hourly.items())
            ][-MOST_COUNTS:],
            "school_counts": [
                {"hour": hour.isoformat(), "school": school, "action": action, "category": category, "queries": queries}
                for (hour, school, action, category), queries in sorted(self.metrics.by_school.items())
            ][-MOST_COUNTS:],
        }

    async def send(self, pair: Pair | None) -> None:
        """Post one report; raise TalkFailed."""
        try:
            response = await self.client.post(PATH, json=self.compose(pair))
        except httpx2.HTTPError as error:
            raise unreachable(error) from error
        check_status(response, 200, 202, 204)

"""What the controller is told: how this filter is, and hourly totals by verdict and category. No name, no address."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

import httpx2

from filter.metrics import Metrics
from filter.updater import UpdateFailed

PATH = "/filter/v1/reports"


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

    def compose(self, serial: int | None, digest: str | None) -> dict[str, object]:
        """The report as JSON values."""
        self.metrics.forget_old_hours(self.now())
        return {
            "version": self.version,
            "run": self.run,
            "started_at": self.started_at.isoformat(),
            "bundle_serial": serial,
            "bundle_digest": digest,
            "health": self.health(),
            "counts": [
                {"hour": hour.isoformat(), "action": action, "category": category, "queries": queries}
                for (hour, action, category), queries in sorted(self.metrics.hourly.items())
            ],
        }

    async def send(self, serial: int | None, digest: str | None) -> None:
        """Post one report; raise UpdateFailed."""
        try:
            response = await self.client.post(PATH, json=self.compose(serial, digest))
        except httpx2.HTTPError as error:
            raise UpdateFailed("unreachable", f"{type(error).__name__}: {error}") from error
        if response.status_code in {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
            raise UpdateFailed(
                "credential", f"the controller refuses this filter's credential ({response.status_code})"
            )
        if not response.is_success:
            raise UpdateFailed("controller", f"the controller answered {response.status_code}")

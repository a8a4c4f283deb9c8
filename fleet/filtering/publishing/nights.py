"""Which night a moment belongs to: pure."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")


def night_of(now: datetime) -> date:
    """The date of the morning that ends the night: from noon to noon in Paris, whatever the clock change."""
    local = now.astimezone(PARIS)
    return local.date() + timedelta(days=1) if local.hour >= 12 else local.date()

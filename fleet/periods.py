"""Periods that people give: from a moment to another."""

from datetime import datetime, timedelta

from fleet.errors import Invalid


def check_period(starts: datetime, ends: datetime, now: datetime, longest: timedelta) -> None:
    """Raise Invalid unless it ends after it starts, after now, and within ``longest``."""
    if ends <= max(starts, now):
        raise Invalid("grant.bad_period", "La fin doit être à venir, et après le début.")
    if ends - min(starts, now) > longest:
        raise Invalid("grant.too_long", f"Un accès dure au plus {longest.days // 366} ans : il se renouvelle.")

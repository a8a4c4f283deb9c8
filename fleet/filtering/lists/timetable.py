"""When a source is fetched next: politely, less and less often while it fails. Pure."""

from datetime import UTC, datetime, timedelta

BACK_OFF = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180))
"""After the first failure, the second…; the last one again and again."""
LONGEST_WAIT = timedelta(days=1)
"""What a server may ask for (``Retry-After``)."""


def is_quiet(quiet_from: int | None, quiet_until: int | None, moment: datetime) -> bool:
    """Whether the server is left alone: from one hour of UTC to another, across midnight when they say so."""
    if quiet_from is None or quiet_until is None or quiet_from == quiet_until:
        return False
    hour = moment.astimezone(UTC).hour
    if quiet_from < quiet_until:
        return quiet_from <= hour < quiet_until
    return hour >= quiet_from or hour < quiet_until


def next_polite(quiet_from: int | None, quiet_until: int | None, moment: datetime) -> datetime:
    """The moment itself, or the end of the quiet hours that it falls in."""
    if quiet_until is None or not is_quiet(quiet_from, quiet_until, moment):
        return moment
    end = moment.astimezone(UTC).replace(hour=quiet_until % 24, minute=0, second=0, microsecond=0)
    return end if end > moment else end + timedelta(days=1)


def after_failure(failures: int, now: datetime, wanted_wait: timedelta | None = None) -> datetime:
    """When to try again after so many failures in a row, or as late as the server asked."""
    wait = BACK_OFF[min(failures, len(BACK_OFF)) - 1] if failures else BACK_OFF[0]
    return now + max(wait, min(wanted_wait or wait, LONGEST_WAIT))

"""Limits on wrong tokens, counted in PostgreSQL so that every controller sees them."""

import ipaddress
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from fleet import metrics
from fleet.enrollment.models import EnrollmentFailure
from fleet.errors import NotFound, TooMany

WINDOW = timedelta(minutes=10)
PER_ADDRESS = 10
IN_ALL = 300


def network_of(address: str) -> str:
    """What counts as one guesser: an IPv4 address, or the /64 that one IPv6 line owns."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def refuse_when_guessing(session: Session, address: str, now: datetime) -> None:
    """Raise TooMany after too many wrong tokens from this address, or from everywhere: a right one is refused too."""
    recent = select(func.count()).where(EnrollmentFailure.at > now - WINDOW)
    mine = session.scalar(recent.where(EnrollmentFailure.address == network_of(address))) or 0
    if mine >= PER_ADDRESS or (session.scalar(recent) or 0) >= IN_ALL:
        metrics.enrollments.labels("too_many_attempts").inc()
        raise TooMany(
            "token.too_many_attempts", "Trop de codes faux ont été essayés. Attendez dix minutes, puis réessayez."
        )


def note_guess(session: Session, error: NotFound, address: str, now: datetime) -> NotFound:
    """Count a wrong token; the error that is returned keeps that trace although the request fails."""
    session.add(EnrollmentFailure(address=network_of(address), at=now))
    return NotFound(error.code, error.detail, keeps_changes=True)


def purge(session: Session, now: datetime) -> None:
    """Forget guesses that no longer count."""
    session.execute(delete(EnrollmentFailure).where(EnrollmentFailure.at <= now - WINDOW))

"""Limits on wrong tokens, counted in PostgreSQL so that every controller sees them."""

from datetime import datetime, timedelta

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from fleet import metrics
from fleet.enrollment.models import EnrollmentFailure
from fleet.errors import FleetError, NotFound, TooMany
from fleet.guesser import network_of

WINDOW = timedelta(minutes=10)
PER_ADDRESS = 10
IN_ALL = 300


def refuse_when_guessing(session: Session, address: str, now: datetime) -> None:
    """Raise TooMany after too many wrong tokens from this address: a right one is refused too."""
    mine = _recent(now).where(EnrollmentFailure.address == network_of(address))
    if (session.scalar(mine) or 0) >= PER_ADDRESS:
        raise _too_many()


def note_guess(session: Session, error: NotFound, address: str, now: datetime) -> FleetError:
    """Count a wrong token; the error that is returned keeps that trace although the request fails.

    Beyond IN_ALL wrong ones from everywhere it is TooMany, and nothing more is written. Right tokens still pass then:
    60 random bits hold, and thirty strangers must not close enrolment for a whole département.
    """
    if (session.scalar(_recent(now)) or 0) >= IN_ALL:
        return _too_many()
    session.add(EnrollmentFailure(address=network_of(address), at=now))
    return NotFound(error.code, error.detail, keeps_changes=True)


def _recent(now: datetime) -> Select[int]:
    return select(func.count()).where(EnrollmentFailure.at > now - WINDOW)


def _too_many() -> TooMany:
    metrics.enrollments.labels("too_many_attempts").inc()
    return TooMany(
        "token.too_many_attempts", "Trop de codes faux ont été essayés. Attendez dix minutes, puis réessayez."
    )


def purge(session: Session, now: datetime) -> None:
    """Forget guesses that no longer count."""
    session.execute(delete(EnrollmentFailure).where(EnrollmentFailure.at <= now - WINDOW))

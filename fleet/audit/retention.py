"""How long entries are kept. The database refuses to forget anything younger than 180 days, whoever asks."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fleet.actors import tell

SHORTEST, LONGEST = 180, 1095
"""Days: the CNIL's recommendation on logs (délibération 2021-122) is six months to a year, three at the very most."""


def forget(session: Session, days: int, now: datetime) -> int:
    """Cut off what is older than so many days; return how many entries went. The chain says that it was cut."""
    kept = timedelta(days=min(max(days, SHORTEST), LONGEST))
    tell(session.connection())
    return session.scalar(select(func.audit_cut(now - kept))) or 0

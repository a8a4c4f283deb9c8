"""Browsers in which a person signed in before, recognised by a cookie that says nothing else."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from fleet.accounts.models import KnownBrowser
from fleet.stored_secrets import digest, new_secret

KEPT = timedelta(days=365)


def find(session: Session, user_id: UUID, token: str | None, now: datetime) -> KnownBrowser | None:
    """The browser, when this person signed in there within the last year."""
    if not token:
        return None
    query = select(KnownBrowser).where(KnownBrowser.token_hash == digest(token), KnownBrowser.user_id == user_id)
    return session.scalar(query.where(KnownBrowser.last_used_at > now - KEPT))


def remember(session: Session, user_id: UUID, token: str | None, now: datetime) -> str:
    """Note that the person signed in there; what its cookie holds from now on.

    A value that we did not hand out is never taken over: a stranger could have planted it.
    """
    known = find(session, user_id, token, now)
    if known is not None and token:
        known.last_used_at = now
        return token
    if not token or session.scalar(select(KnownBrowser.id).where(KnownBrowser.token_hash == digest(token))) is None:
        token = new_secret()
    session.add(KnownBrowser(token_hash=digest(token), user_id=user_id, last_used_at=now))
    session.flush()
    return token


def forget_all(session: Session, user_id: UUID) -> None:
    """None of this person's browsers is known any more."""
    session.execute(delete(KnownBrowser).where(KnownBrowser.user_id == user_id))


def purge(session: Session, now: datetime) -> int:
    """Forget browsers unused for a year; how many."""
    gone = delete(KnownBrowser).where(KnownBrowser.last_used_at <= now - KEPT).returning(KnownBrowser.id)
    return len(session.execute(gone).all())

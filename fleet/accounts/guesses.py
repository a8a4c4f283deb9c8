"""Limits on wrong guesses that let no stranger lock a person out of their own account.

Counted in PostgreSQL, so that every controller sees them, by who guesses rather than by whose account is guessed at:
- a browser in which the person signed in before shows its own cookie and has its own count. Nobody else's guesses
  stop it, wherever they come from (OWASP, "Slow Down Online Guessing Attacks with Device Cookies"; the Authentication
  Cheat Sheet warns of the lock-out by strangers that counting by account alone makes possible);
- any other guesser is a network and the account it tries: a stranger elsewhere locks nobody out;
- and a network as a whole, whatever the account, with room for a town hall behind one address.
After three wrong guesses each further one has to wait, twice as long each time. Nothing sleeps meanwhile: what comes
too early is refused, so that guessers hold no connection.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from uuid import UUID
from zlib import crc32

from sqlalchemy import Select, delete, func, or_, select
from sqlalchemy.orm import Session

from fleet.accounts.models import Guess, SignInFailure
from fleet.errors import TooMany
from fleet.guesser import network_of

FREE_GUESSES = 3
LONGEST_WAIT = 60.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many wrong guesses are let through within the window."""

    window: timedelta
    each: int
    """Of one guesser at one account."""
    network: int
    """Of one network at all accounts."""


LIMITS = {
    Guess.PASSWORD: Limit(timedelta(minutes=15), each=10, network=100),
    Guess.CODE: Limit(timedelta(minutes=15), each=5, network=50),
    Guess.TOKEN: Limit(timedelta(minutes=15), each=100, network=100),
    Guess.LINK: Limit(timedelta(minutes=15), each=100, network=100),
    Guess.MAIL: Limit(timedelta(hours=1), each=3, network=30),
}
SLOWED = frozenset({Guess.PASSWORD, Guess.CODE})
"""What people choose or type. The others have 256 random bits: their limits only spare the database."""
CODES_IN_ALL = 20
"""Wrong codes for one account within a day, from networks it never signed in from: who gets there has the password.
Three codes of a million are right at any moment, so this many leave a chance of one in 16,000 a day."""
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Guesser:
    """Who guesses, and at which account ("" for none in particular)."""

    kind: Guess
    email: str
    address: str
    browser_id: UUID | None = None

    @property
    def network(self) -> str:
        return network_of(self.address)


def refuse_when_guessing(session: Session, guesser: Guesser, now: datetime) -> None:
    """Raise TooMany when this guesser has to wait. Call it before the guess is looked at."""
    limit = LIMITS[guesser.kind]
    own = _own(guesser).where(SignInFailure.at > now - limit.window)
    count, last = session.execute(own.with_only_columns(func.count(), func.max(SignInFailure.at))).one()
    if count >= limit.each:
        raise too_many()
    if guesser.kind in SLOWED and count >= FREE_GUESSES:
        _refuse_early(count, last, now)
        _refuse_at_once(session, guesser)
    if guesser.browser_id is None:
        _refuse_network(session, guesser, limit, now)


def _own(guesser: Guesser) -> Select[SignInFailure]:
    rows = select(SignInFailure).where(SignInFailure.kind == guesser.kind, SignInFailure.email == guesser.email)
    if guesser.browser_id is not None:
        return rows.where(SignInFailure.browser_id == guesser.browser_id)
    return rows.where(SignInFailure.address == guesser.network, SignInFailure.browser_id.is_(None))


def _refuse_early(count: int, last: datetime, now: datetime) -> None:
    wait = min(2.0 ** (count - FREE_GUESSES), LONGEST_WAIT)
    left = wait - (now - last).total_seconds()
    if left > 0:
        raise TooMany("account.too_early", f"Attendez {ceil(left)} s avant de réessayer.")


def _refuse_at_once(session: Session, guesser: Guesser) -> None:
    """One guess at a time: many sent at once would all be counted after they were answered."""
    key = crc32(f"{guesser.kind}|{guesser.email}|{guesser.browser_id or guesser.network}".encode())
    if not session.scalar(select(func.pg_try_advisory_xact_lock(0x67756573, key - 2**31))):
        raise TooMany("account.too_early", "Un autre essai est en cours. Attendez un instant avant de réessayer.")


def _refuse_network(session: Session, guesser: Guesser, limit: Limit, now: datetime) -> None:
    recent = select(func.count()).where(SignInFailure.kind == guesser.kind, SignInFailure.browser_id.is_(None))
    of_network = recent.where(SignInFailure.address == guesser.network, SignInFailure.at > now - limit.window)
    if (session.scalar(of_network) or 0) >= limit.network:
        raise too_many()
    if guesser.kind is Guess.CODE:
        of_account = recent.where(SignInFailure.email == guesser.email, SignInFailure.at > now - DAY)
        if (session.scalar(of_account) or 0) >= CODES_IN_ALL:
            raise TooMany(
                "account.too_many_codes",
                "Trop de codes faux pour ce compte aujourd’hui. Connectez-vous depuis un navigateur déjà utilisé, ou "
                "demandez à l’équipe technique de réinitialiser votre second facteur.",
            )


def too_many() -> TooMany:
    return TooMany("account.too_many_failures", "Trop d’essais. Attendez un quart d’heure, puis réessayez.")


def note(session: Session, guesser: Guesser, now: datetime) -> None:
    """Count one; the error that follows must keep the session's changes."""
    session.add(
        SignInFailure(
            kind=guesser.kind, email=guesser.email, address=guesser.network, browser_id=guesser.browser_id, at=now
        )
    )
    session.flush()  # while the door is still the gate


def forgive(session: Session, guesser: Guesser) -> None:
    """A right guess: the wrong ones before it were typing errors."""
    session.execute(
        delete(SignInFailure).where(SignInFailure.id.in_(_own(guesser).with_only_columns(SignInFailure.id)))
    )


def purge(session: Session, now: datetime) -> int:
    """Forget guesses that no longer count; how many."""
    over = [
        (SignInFailure.kind == kind) & (SignInFailure.at <= now - (DAY if kind is Guess.CODE else limit.window))
        for kind, limit in LIMITS.items()
    ]
    return len(session.execute(delete(SignInFailure).where(or_(*over)).returning(SignInFailure.id)).all())

"""Mails about accounts, and the links in them: one use, one secret, an end.

A link's secret is drawn when its letter is written and stands in that letter alone; the database has its digest. It is
the address's fragment, which browsers never send: no log, proxy or Referer sees it. The page hands it over by POST.
Whoever asks for a reset gets the same answer in the same time whether the address is known or not: all that happens
then is a row; the worker looks the address up later.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, selectinload

from fleet import owed_mail
from fleet.accounts import guesses
from fleet.accounts.guesses import Guesser
from fleet.accounts.models import AccountLetter, Guess, LetterKind, User
from fleet.config import FleetConfig
from fleet.errors import NotFound
from fleet.mail import Letter
from fleet.owed_mail import ClaimedMail
from fleet.stored_secrets import digest, new_secret

LIVES = {LetterKind.INVITATION: timedelta(days=7), LetterKind.RESET: timedelta(hours=1)}
KEPT = timedelta(days=90)
RESETS_A_DAY = 5
"""To one address, whoever asks."""
PARIS = ZoneInfo("Europe/Paris")
PATHS = {LetterKind.INVITATION: "/invitation", LetterKind.RESET: "/reset/new"}


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """A link that still opens, and whose account it is (grants loaded)."""

    letter: AccountLetter
    user: User


def owe(session: Session, kind: LetterKind, recipient: str, user_id: UUID | None, what: str, now: datetime) -> UUID:
    """A row for one mail; its id."""
    letter = AccountLetter(
        kind=kind, recipient=recipient, user_id=user_id, what=what, queued_at=now, next_attempt_at=now
    )
    session.add(letter)
    session.flush()
    return letter.id


def owe_reset(session: Session, email: str, now: datetime) -> UUID | None:
    """A row for a reset that was asked for; None when that address had enough of them today."""
    recent = select(func.count()).where(
        AccountLetter.kind == LetterKind.RESET,
        AccountLetter.recipient == email,
        AccountLetter.queued_at > now - guesses.DAY,
    )
    if (session.scalar(recent) or 0) >= RESETS_A_DAY:
        return None
    return owe(session, LetterKind.RESET, email, None, "", now)


def withdraw(session: Session, user_id: UUID, now: datetime) -> None:
    """No link of this person opens any more, and none leaves that has not left."""
    live = (AccountLetter.user_id == user_id) & AccountLetter.used_at.is_(None) & AccountLetter.withdrawn_at.is_(None)
    session.execute(
        update(AccountLetter)
        .where(live, AccountLetter.kind != LetterKind.CHANGED)
        .values(withdrawn_at=now)
        .execution_options(synchronize_session="fetch")
    )


def claim(session: Session, letter_id: UUID, config: FleetConfig, now: datetime) -> ClaimedMail | None:
    """Take a due mail and write it, with a link of its own; None when there is nothing to send.

    A mail that is tried again has a new link and is a new mail: the one before may or may not have arrived.
    """
    letter = owed_mail.take(session, AccountLetter, letter_id, now)
    if letter is None:
        return None
    user = find_recipient(session, letter)
    if user is None or letter.withdrawn_at is not None:
        letter.gave_up_at, letter.error = now, "sans objet"
        return None
    token = ""
    if letter.kind in LIVES:
        token = new_secret()
        letter.user_id, letter.token_hash, letter.expires_at = user.id, digest(token), now + LIVES[letter.kind]
    return ClaimedMail(AccountLetter, letter.id, letter.attempts, compose(letter, user, token, config))


def find_recipient(session: Session, letter: AccountLetter) -> User | None:
    """The active account that a letter is for."""
    column = (User.email == letter.recipient) if letter.user_id is None else (User.id == letter.user_id)
    return session.scalar(select(User).where(column, User.is_active))


def compose(letter: AccountLetter, user: User, token: str, config: FleetConfig) -> Letter:
    """What the letter says."""
    host = urlsplit(config.public_url).hostname or "localhost"
    subject, body = TEXTS[letter.kind]
    end = letter.expires_at.astimezone(PARIS).strftime("%d/%m/%Y à %H:%M") if letter.expires_at else ""
    return Letter(
        sender=config.mail_from,
        recipient=letter.recipient,
        recipient_name=user.name,
        subject=subject,
        body=body.format(
            name=user.name,
            what=letter.what,
            url=config.public_url,
            host=host,
            link=f"{config.public_url}{PATHS.get(letter.kind, '')}#{token}",
            end=end,
            email=user.email,
            moment=letter.queued_at.astimezone(PARIS).strftime("%d/%m/%Y à %H:%M"),
        ),
        message_id=f"<account-{letter.id}-{letter.attempts}@{host}>",
        thread_id=f"<account-{letter.id}@{host}>",
        written_at=letter.queued_at,
    )


def open_link(session: Session, kind: LetterKind, token: str, address: str, now: datetime) -> OpenedLink:
    """The link behind a secret, its row locked; raise NotFound, the same for every reason, or TooMany."""
    query = select(AccountLetter).where(AccountLetter.token_hash == digest(token.strip()[:200]))
    letter = session.scalar(query.with_for_update())
    if letter is not None and is_open(letter, kind, now):
        user = session.scalar(
            select(User).where(User.id == letter.user_id, User.is_active).options(selectinload(User.grants))
        )
        if user is not None:
            return OpenedLink(letter, user)
    guesser = Guesser(Guess.LINK, "", address)
    guesses.refuse_when_guessing(session, guesser, now)
    guesses.note(session, guesser, now)
    raise NotFound(
        "link.over", "Ce lien n’est plus valable : il a déjà servi, ou son délai a passé.", keeps_changes=True
    )


def is_open(letter: AccountLetter, kind: LetterKind, now: datetime) -> bool:
    """Whether a link may still be used."""
    over = letter.used_at is not None or letter.withdrawn_at is not None
    return letter.kind is kind and not over and letter.expires_at is not None and letter.expires_at > now


def find_invitation(session: Session, user_id: UUID) -> AccountLetter | None:
    """The last invitation that a person was sent, for showing how it stands."""
    query = select(AccountLetter).where(AccountLetter.user_id == user_id, AccountLetter.kind == LetterKind.INVITATION)
    return session.scalar(query.order_by(AccountLetter.queued_at.desc()).limit(1))


def purge(session: Session, now: datetime) -> int:
    """Forget mails of long ago, with the addresses that strangers typed; how many."""
    old = delete(AccountLetter).where(AccountLetter.queued_at <= now - KEPT).returning(AccountLetter.id)
    return len(session.execute(old).all())


TEXTS = {
    LetterKind.INVITATION: (
        "Votre accès à Préau",
        """Bonjour {name},

{what} vous ouvre un accès à Préau, le parc numérique, l’ENT et la navigation sûre de vos écoles.

Pour choisir votre mot de passe et vous connecter :
{link}

Ce lien sert une fois, jusqu’au {end}. Passé ce délai, demandez-en un autre à la personne qui vous invite.
Si ce courriel ne vous dit rien, ne faites rien : sans vous, ce compte ne s’ouvre pas.

Préau, {url}
""",
    ),
    LetterKind.RESET: (
        "Votre mot de passe Préau",
        """Bonjour {name},

Quelqu’un, vous sans doute, a demandé un nouveau mot de passe pour {email}.

Pour le choisir :
{link}

Ce lien sert une fois, jusqu’au {end}. Si vous n’avez rien demandé, ne faites rien : votre mot de passe reste le même.

Préau, {url}
""",
    ),
    LetterKind.CHANGED: (
        "Votre compte Préau a changé",
        """Bonjour {name},

Le {moment} : {what}

Si c’est vous, tout va bien. Sinon, prévenez tout de suite l’équipe technique et demandez un nouveau mot de passe :
{url}/reset

Préau
""",
    ),
}

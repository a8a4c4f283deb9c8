"""People, their roles on nodes, what nodes were granted to see, how people prove who they are, and their sessions."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ColumnElement, Computed, ForeignKey, UniqueConstraint, func
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, HasId
from fleet.owed_mail import OwedMail
from fleet.scope import Role
from fleet.text import fold


def search_text_of(context: DefaultExecutionContext) -> str:
    """What a person is found by: name and address without case or accents."""
    row: dict[str, str] = context.get_current_parameters()  # type: ignore[no-untyped-call]  # it has no annotations
    return fold(row["name"], row["email"])


class User(HasId, Base):
    """A person who signs in. The e-mail address is the login, stored in lower case."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    search_text: Mapped[str] = mapped_column(default=search_text_of)
    password_hash: Mapped[str | None] = mapped_column(deferred=True)
    """Argon2id, as a PHC string; none until an invitation is taken up. Read at the gate only."""
    has_password: Mapped[bool] = mapped_column(Computed("password_hash IS NOT NULL", persisted=True))
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_signed_in_at: Mapped[datetime | None]
    grants: Mapped[list["RoleGrant"]] = relationship(lazy="raise", cascade="all, delete-orphan")


class Dated:
    """What holds from a moment (None: always) to another (None: for good), this one not included."""

    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]

    @classmethod
    def holds_at(cls, now: datetime) -> ColumnElement[bool]:
        """The condition of rows that hold now: the request's clock decides, and no nightly job."""
        return (cls.starts_at.is_(None) | (cls.starts_at <= now)) & (cls.ends_at.is_(None) | (cls.ends_at > now))

    def is_held_at(self, now: datetime) -> bool:
        """The same of a row that was read."""
        return (self.starts_at is None or self.starts_at <= now) and (self.ends_at is None or now < self.ends_at)


class RoleGrant(HasId, Dated, Base):
    """A role on one node, at times for a while only; no node at all is the operator."""

    __tablename__ = "role_grants"
    __table_args__ = (
        CheckConstraint("collectivity_id IS NULL OR school_id IS NULL", name="one_node"),
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
    )

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    role: Mapped[Role]
    collectivity_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("collectivities.id", ondelete="CASCADE"))
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"))


class NodeGrant(HasId, Base):
    """Sight of a node's rows, given to the people of another node until a date: they read, and change nothing.

    Who is given it: ``to_collectivity`` or ``to_school``. What they see: a collectivity with its schools, or a school.
    Taken back early, it keeps the row.
    """

    __tablename__ = "node_grants"
    __table_args__ = (
        CheckConstraint("num_nonnulls(to_collectivity_id, to_school_id) = 1", name="one_grantee"),
        CheckConstraint("num_nonnulls(collectivity_id, school_id) = 1", name="one_node"),
        CheckConstraint("ends_at > starts_at", name="ends_after_start"),
    )

    to_collectivity_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("collectivities.id", ondelete="CASCADE"), index=True
    )
    to_school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"), index=True)
    collectivity_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("collectivities.id", ondelete="CASCADE"), index=True
    )
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"), index=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime] = mapped_column(index=True)
    reason: Mapped[str]
    given_at: Mapped[datetime]
    given_by: Mapped[str]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]

    @classmethod
    def holds_at(cls, now: datetime) -> ColumnElement[bool]:
        """The condition of grants that hold now."""
        return (cls.starts_at <= now) & cls.is_open_at(now)

    @classmethod
    def is_open_at(cls, now: datetime) -> ColumnElement[bool]:
        """The condition of grants that hold now or will."""
        return (cls.ends_at > now) & cls.ended_at.is_(None)


class WebSession(HasId, Base):
    """A signed-in browser. Only the SHA-256 of its cookie is kept."""

    __tablename__ = "web_sessions"

    token_hash: Mapped[str] = mapped_column(unique=True, deferred=True)
    csrf_token: Mapped[str] = mapped_column(deferred=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]  # when the person last proved who they are
    is_proven: Mapped[bool] = mapped_column(default=False)  # by a second factor as well
    address: Mapped[str] = mapped_column(default="")
    browser: Mapped[str] = mapped_column(default="")  # as it called itself


class PendingSignIn(HasId, Base):
    """A browser whose password was right and whose second factor is awaited. It opens nothing."""

    __tablename__ = "pending_sign_ins"

    token_hash: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime]


class KnownBrowser(HasId, Base):
    """A browser in which this person signed in before: its wrong guesses are counted apart (guesses.py)."""

    __tablename__ = "known_browsers"
    __table_args__ = (UniqueConstraint("token_hash", "user_id"),)

    token_hash: Mapped[str]
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    last_used_at: Mapped[datetime]


class Guess(StrEnum):
    """What may be guessed at."""

    PASSWORD = "password"  # noqa: S105 - a name, no secret
    CODE = "code"
    TOKEN = "token"  # noqa: S105 - a name, no secret
    LINK = "link"
    MAIL = "mail"  # no wrong guess, but a mail that somebody asked for


class SignInFailure(HasId, Base):
    """A wrong guess, kept while it counts towards a limit."""

    __tablename__ = "sign_in_failures"

    kind: Mapped[Guess] = mapped_column(default=Guess.PASSWORD)
    email: Mapped[str] = mapped_column(index=True)
    address: Mapped[str] = mapped_column(index=True)
    browser_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("known_browsers.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(index=True)


class SecondFactor(Base):
    """The secret that a person's telephone shares with us (TOTP, RFC 6238), sealed."""

    __tablename__ = "second_factors"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    sealed_secret: Mapped[str] = mapped_column(deferred=True)
    started_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]  # off until a first code was right
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)
    """The time step of the last code that was accepted: neither it nor an older one is accepted again."""


class RecoveryCode(HasId, Base):
    """Stands in for the telephone once. Only its SHA-256 is kept."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[str]
    used_at: Mapped[datetime | None]


class LetterKind(StrEnum):
    """Why an account gets a mail."""

    INVITATION = "invitation"
    RESET = "reset"
    CHANGED = "changed"  # how one signs in was changed


class AccountLetter(OwedMail, Base):
    """One mail owed to a person, and the link in it. The link's secret is made when the letter is written, and is in
    the letter only: here is its SHA-256.
    """

    __tablename__ = "account_letters"

    kind: Mapped[LetterKind]
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    """None: somebody asked for a reset; whether that address has an account is looked up when the letter is due."""
    what: Mapped[str] = mapped_column(default="")
    """Of a change: the sentence that says it. Of an invitation: who invites."""
    token_hash: Mapped[str | None] = mapped_column(unique=True, deferred=True)
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]


class ApiToken(HasId, Base):
    """What a program presents instead of a person: one role on one node, never more than its maker has."""

    __tablename__ = "api_tokens"
    __table_args__ = (CheckConstraint("collectivity_id IS NULL OR school_id IS NULL", name="one_node"),)

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    prefix: Mapped[str]  # what people recognise it by
    token_hash: Mapped[str] = mapped_column(unique=True, deferred=True)
    role: Mapped[Role]
    collectivity_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("collectivities.id", ondelete="CASCADE"))
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class OidcIdentity(HasId, Base):
    """Who a person is to an identity provider: its own name for them, which never changes, unlike an address."""

    __tablename__ = "oidc_identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"), UniqueConstraint("user_id", "issuer"))

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    issuer: Mapped[str]
    subject: Mapped[str]
    linked_at: Mapped[datetime]


class OidcFlow(HasId, Base):
    """A sign-in that is away at a provider. One answer is taken for it, from the browser that it began in."""

    __tablename__ = "oidc_flows"

    state_hash: Mapped[str] = mapped_column(unique=True)
    browser_hash: Mapped[str]
    provider: Mapped[str]
    nonce: Mapped[str]
    code_verifier: Mapped[str]
    wanted: Mapped[str]  # the page to go on to
    confirms: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("web_sessions.id", ondelete="CASCADE"))
    """The session whose person proves again who they are; None: a new sign-in."""
    expires_at: Mapped[datetime]

"""People, their roles on nodes, what nodes were granted to see, and sessions."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, HasId
from fleet.scope import Role


class User(HasId, Base):
    """A person who signs in. The e-mail address is the login, stored in lower case."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str] = mapped_column(deferred=True)  # argon2id, PHC string; read at the gate only
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
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

    token_hash: Mapped[str] = mapped_column(unique=True)
    csrf_token: Mapped[str]
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class SignInFailure(HasId, Base):
    """A wrong password, kept while it counts towards a limit."""

    __tablename__ = "sign_in_failures"

    email: Mapped[str] = mapped_column(index=True)
    address: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(index=True)

"""People, their roles on nodes, and their sessions."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, HasId
from fleet.scope import Role


class User(HasId, Base):
    """A person who signs in. The e-mail address is the login, stored in lower case."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]  # argon2id, PHC string
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    grants: Mapped[list["RoleGrant"]] = relationship(lazy="raise", cascade="all, delete-orphan")


class RoleGrant(HasId, Base):
    """A role on one node; no node at all is the operator."""

    __tablename__ = "role_grants"
    __table_args__ = (CheckConstraint("collectivity_id IS NULL OR school_id IS NULL", name="one_node"),)

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    role: Mapped[Role]
    collectivity_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("collectivities.id", ondelete="CASCADE"))
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"))


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

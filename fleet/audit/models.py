"""The log: entries, the links that chain them in the order of commits, and where the chain begins and ends."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base


class AuditLink(Base):
    """The place of one entry: ``hash`` is SHA-256(hash before ‖ the entry's digest ‖ number as 8 bytes, highest first).

    Numbers have no gap. Written at commit, by the database itself (functions.sql).
    """

    __tablename__ = "audit_links"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    entry_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class AuditEntry(Base):
    """One change of one row, or one event: who, what, from where, before and after. Nothing ever alters it.

    ``before`` and ``after`` hold the columns that changed, by name. No foreign key: an entry outlives what it tells of.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_at", "at", postgresql_using="brin"),
        Index("ix_audit_entries_table_name_row_id", "table_name", "row_id"),
        Index("ix_audit_entries_actor_id", "actor_id"),
        Index("ix_audit_entries_collectivity_id", "collectivity_id"),
        Index("ix_audit_entries_school_id", "school_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    """Where it lies in the database; its place in the chain is the link's number."""
    transaction_id: Mapped[int] = mapped_column(BigInteger)
    """What happened together, or not at all."""
    at: Mapped[datetime]
    actor_kind: Mapped[str]  # fleet.actors.ActorKind
    actor_id: Mapped[str | None]
    actor_name: Mapped[str | None]
    """As it was then."""
    address: Mapped[str | None]
    request_id: Mapped[str | None]
    operation: Mapped[str | None]  # "tickets.close_ticket", "preau account create"
    database_user: Mapped[str]
    action: Mapped[
        str
    ]  # insert, update, delete, leave and arrive (a row that changed owner), truncate, cut, or an event
    table_name: Mapped[str]
    row_id: Mapped[str | None]
    subject: Mapped[str | None]
    """What people called the row."""
    collectivity_id: Mapped[uuid.UUID | None]
    school_id: Mapped[uuid.UUID | None]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of all of the above but the id (functions.sql, audit_digest)."""

    link: Mapped[AuditLink | None] = relationship(
        primaryjoin="AuditEntry.id == foreign(AuditLink.entry_id)", lazy="joined", viewonly=True, uselist=False
    )

    @property
    def number(self) -> int | None:
        """Its place in the chain; None before the commit of its own transaction."""
        return self.link.number if self.link else None


class AuditHead(Base):
    """The one row that knows the last link, and the last one that was cut off at the beginning."""

    __tablename__ = "audit_head"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    start_number: Mapped[int] = mapped_column(BigInteger)
    start_hash: Mapped[bytes] = mapped_column(LargeBinary)

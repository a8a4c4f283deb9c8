"""What is blocked for whom, the bundles that say so, and the filters that fetched them."""

import uuid
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, HasId


class FilterProfile(HasId, Base):
    """Categories and names blocked or allowed for those who use it. One is the default."""

    __tablename__ = "filter_profiles"

    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    is_default: Mapped[bool] = mapped_column(default=False)
    blocked_categories: Mapped[list[str]] = mapped_column(default=list)
    allowed_categories: Mapped[list[str]] = mapped_column(default=list)  # stay reachable though a blocked list has them
    denied_names: Mapped[list[str]] = mapped_column(default=list)
    allowed_names: Mapped[list[str]] = mapped_column(default=list)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class FilterNetwork(HasId, Base):
    """Clients of this network get that profile; the longest prefix wins."""

    __tablename__ = "filter_networks"

    cidr: Mapped[str] = mapped_column(unique=True)
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"))
    profile_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("filter_profiles.id"))

    profile: Mapped[FilterProfile] = relationship(lazy="raise")


class PublicationState(StrEnum):
    REQUESTED = "requested"
    COMPILING = "compiling"
    PUBLISHED = "published"
    FAILED = "failed"

    @property
    def label(self) -> str:
        return {
            "requested": "Demandée",
            "compiling": "En cours",
            "published": "Publiée",
            "failed": "Échouée",
        }[self]


class Publication(HasId, Base):
    """One bundle. ``serial`` only grows; going back is publishing the old content anew."""

    __tablename__ = "filter_publications"

    serial: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    state: Mapped[PublicationState] = mapped_column(default=PublicationState.REQUESTED)
    requested_at: Mapped[datetime]
    requested_by: Mapped[str | None]  # None: the nightly run
    night: Mapped[date | None] = mapped_column(unique=True)  # of the nightly run: asked for twice, compiled once
    started_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)  # a compile that kills its worker is not tried for ever
    published_at: Mapped[datetime | None]
    digest: Mapped[str | None]  # SHA-256 of the file, hex
    size: Mapped[int | None] = mapped_column(BigInteger)
    report: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None]


class PublicationChunk(Base):
    """One mebibyte of a bundle: controllers share nothing but the database, and a range is read without the rest."""

    __tablename__ = "filter_publication_chunks"

    publication_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("filter_publications.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class FilterNode(HasId, Base):
    """A filter and its own credential, which is not its neighbour agent's."""

    __tablename__ = "filter_nodes"

    name: Mapped[str] = mapped_column(unique=True)
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="SET NULL"))
    secret_hash: Mapped[str]
    registered_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    version: Mapped[str | None]
    bundle_serial: Mapped[int | None] = mapped_column(BigInteger)
    health: Mapped[dict[str, Any]] = mapped_column(default=dict)


class FilterCount(Base):
    """Queries of one hour by verdict. A filter sends its run's totals: a repeated report changes nothing."""

    __tablename__ = "filter_counts"

    filter_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("filter_nodes.id", ondelete="CASCADE"), primary_key=True)
    run: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    action: Mapped[str] = mapped_column(primary_key=True)
    category: Mapped[str] = mapped_column(primary_key=True)
    queries: Mapped[int] = mapped_column(BigInteger)

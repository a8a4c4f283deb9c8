"""Where lists come from, what is blocked for whom, the files that say so, and the filters that fetched them."""

import uuid
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, LargeBinary, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from fleet.db import Base, HasId


class PublicationState(StrEnum):
    REQUESTED = "requested"
    COMPILING = "compiling"
    PUBLISHED = "published"
    UNCHANGED = "unchanged"
    """Nothing new to publish: the publication before stays in force."""
    FAILED = "failed"
    RETIRED = "retired"
    """Published once, in a layout that no filter reads any more."""

    @property
    def label(self) -> str:
        return {
            "requested": "Demandée",
            "compiling": "En cours",
            "published": "Publiée",
            "unchanged": "Sans changement",
            "failed": "Échouée",
            "retired": "Ancien format",
        }[self]


class Publication(HasId, Base):
    """One names file. ``serial`` only grows; going back is publishing the old content anew."""

    __tablename__ = "filter_publications"

    serial: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    state: Mapped[PublicationState] = mapped_column(default=PublicationState.REQUESTED)
    requested_at: Mapped[datetime]
    requested_by: Mapped[str | None]  # None: the nightly run
    night: Mapped[date | None] = mapped_column(unique=True)  # of the nightly run: asked for twice, compiled once
    started_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)  # a compile that kills its worker is not tried for ever
    published_at: Mapped[datetime | None]
    returns_to: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_publications.id", ondelete="SET NULL"))
    """The publication whose content this one publishes anew; None: what the lists hold."""
    digest: Mapped[str | None]  # of the content (the header's), hex: the same for the same content, whatever serial
    size: Mapped[int | None] = mapped_column(BigInteger)
    report: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None]

    @property
    def etag(self) -> str:
        """What a filter knows this file by: the same content published anew is another file."""
        return f"{self.digest}.{self.serial}"


class PublicationChunk(Base):
    """One mebibyte of a names file: controllers share the database only, and a range is read without the rest."""

    __tablename__ = "filter_publication_chunks"

    publication_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("filter_publications.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class PublicationDelta(HasId, Base):
    """What turns an earlier names file into a publication's, for filters on slow lines."""

    __tablename__ = "filter_publication_deltas"
    __table_args__ = (UniqueConstraint("publication_id", "from_etag"),)

    publication_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("filter_publications.id", ondelete="CASCADE"))
    from_etag: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)


class DeltaChunk(Base):
    """One mebibyte of a delta."""

    __tablename__ = "filter_delta_chunks"

    delta_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("filter_publication_deltas.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class SigningKey(HasId, Base):
    """The key that signs what filters fetch. The private half never leaves this table but to sign."""

    __tablename__ = "filter_signing_keys"

    public_hex: Mapped[str] = mapped_column(unique=True)
    private_pem: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())


class FetchOutcome(StrEnum):
    """How the last fetch of a source ended. The values are stable."""

    ACCEPTED = "accepted"
    UNCHANGED = "unchanged"
    HELD = "held"
    REJECTED = "rejected"
    """What came is what a person rejected before."""
    UNREACHABLE = "unreachable"
    BROKEN_OFF = "broken_off"
    FORBIDDEN_ADDRESS = "forbidden_address"
    BAD_ANSWER = "bad_answer"
    TOO_LARGE = "too_large"
    WRONG_CHECKSUM = "wrong_checksum"
    NOT_A_LIST = "not_a_list"

    @property
    def label(self) -> str:
        return {
            "accepted": "Reçue",
            "unchanged": "Sans changement",
            "held": "Retenue",
            "rejected": "Rejetée",
            "unreachable": "Injoignable",
            "broken_off": "Interrompue",
            "forbidden_address": "Adresse interdite",
            "bad_answer": "Refusée par le serveur",
            "too_large": "Trop volumineuse",
            "wrong_checksum": "Somme de contrôle fausse",
            "not_a_list": "Pas une liste",
        }[self]


class FilterSource(HasId, Base):
    """Where lists come from, what they are called here, and how the last fetch ended."""

    __tablename__ = "filter_sources"

    slug: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    url: Mapped[str | None]  # None: the controller's own folder (PREAU_UT1_DIR, or the small set that ships)
    format: Mapped[str] = mapped_column(default="")  # "": recognised by its content
    category: Mapped[str] = mapped_column(default="")  # of a source of one list
    categories: Mapped[dict[str, str]] = mapped_column(JSONB, default=dict)
    """Of a tree: its name -> ours; "" leaves it out."""
    licence: Mapped[str] = mapped_column(default="")
    is_internal: Mapped[bool] = mapped_column(default=False)  # lives on a private network: its addresses may be private
    checksum_url: Mapped[str | None]  # MD5 of the file, alone or among others' (md5sum's format)
    quiet_from: Mapped[int | None]  # from this hour of UTC…
    quiet_until: Mapped[int | None]  # …to this one its server is left alone
    every_hours: Mapped[int] = mapped_column(default=24)
    shrink_percent: Mapped[int] = mapped_column(default=50)  # a list with less than this of its last good one is held
    growth_percent: Mapped[int] = mapped_column(default=200)
    popular_limit: Mapped[int] = mapped_column(default=3)  # more popular names newly blocked than this, and it is held
    is_enabled: Mapped[bool] = mapped_column(default=True)
    added_at: Mapped[datetime]
    due_at: Mapped[datetime | None]  # next fetch; None: never
    is_wanted: Mapped[bool] = mapped_column(default=False)  # a person waits: published once it came
    checked_at: Mapped[datetime | None]
    outcome: Mapped[FetchOutcome | None]
    reason: Mapped[str] = mapped_column(default="")  # French, of a failure
    failures: Mapped[int] = mapped_column(default=0)  # in a row


class ContentState(StrEnum):
    """What became of a content that was fetched."""

    PARTIAL = "partial"
    FETCHED = "fetched"
    """Whole, and not yet judged."""
    HELD = "held"
    GOOD = "good"
    REJECTED = "rejected"
    REPLACED = "replaced"


class SourceContent(HasId, Base):
    """What a source sent once. One is good (compiled), one more may wait for a person or for its other half."""

    __tablename__ = "filter_source_contents"
    __table_args__ = (
        Index(
            "uq_filter_source_contents_current", "source_id", "state", unique=True,
            postgresql_where=text("state IN ('partial', 'fetched', 'held', 'good')"),
        ),
    )  # fmt: skip

    source_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("filter_sources.id", ondelete="CASCADE"))
    state: Mapped[ContentState]
    fetched_at: Mapped[datetime]
    etag: Mapped[str | None]
    last_modified: Mapped[str | None]
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    digest: Mapped[str | None]  # SHA-256 of what came, hex
    format: Mapped[str] = mapped_column(default="")
    names: Mapped[int] = mapped_column(BigInteger, default=0)
    report: Mapped[dict[str, Any]] = mapped_column(default=dict)  # lists, with counts and popular names
    doubts: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)  # why it is held
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]


class ContentChunk(Base):
    """One mebibyte of what a source sent, compressed (zlib)."""

    __tablename__ = "filter_content_chunks"

    content_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("filter_source_contents.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class FilterNode(HasId, Base):
    """A filter and its own credential, which is not its neighbour agent's."""

    __tablename__ = "filter_nodes"

    name: Mapped[str] = mapped_column(unique=True)
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="SET NULL"))
    secret_hash: Mapped[str] = mapped_column(deferred=True)
    registered_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    version: Mapped[str | None]
    bundle_serial: Mapped[int | None] = mapped_column(BigInteger)
    policy_serial: Mapped[int | None] = mapped_column(BigInteger)
    health: Mapped[dict[str, Any]] = mapped_column(default=dict)


class FilterCount(Base):
    """Queries of one hour by verdict. A filter sends its run's totals: a repeated report changes nothing."""

    __tablename__ = "filter_counts"

    filter_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("filter_nodes.id", ondelete="CASCADE"), primary_key=True)
    run: Mapped[str] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    school: Mapped[str] = mapped_column(primary_key=True, default="")  # UAI; "": over all schools of the filter
    action: Mapped[str] = mapped_column(primary_key=True)
    category: Mapped[str] = mapped_column(primary_key=True)
    queries: Mapped[int] = mapped_column(BigInteger)

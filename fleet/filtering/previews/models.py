"""What a change would do to names that schools really ask for: what was asked of the gateways, and their answers."""

import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from fleet.db import Base, HasId
from fleet.filtering.policy.layers import LayerSettings


class PreviewKind(StrEnum):
    """What is about to change."""

    LAYER = "layer"
    """What a node says of a profile."""
    CONTENT = "content"
    """A held content of a source would be accepted, or the controller's folder published as it is."""
    RETURN = "return"
    """The lists of an earlier publication would come back."""

    @property
    def label(self) -> str:
        return {"layer": "Réglage", "content": "Liste retenue", "return": "Retour à une publication"}[self]


class PreviewState(StrEnum):
    """How far a preview is."""

    PREPARING = "preparing"
    ASKING = "asking"
    DONE = "done"
    ABANDONED = "abandoned"
    FAILED = "failed"

    @property
    def label(self) -> str:
        return {
            "preparing": "En préparation",
            "asking": "En cours",
            "done": "Terminé",
            "abandoned": "Abandonné",
            "failed": "Échoué",
        }[self]


LONGEST_PREPARATION = timedelta(minutes=15)
"""After that one looks for the worker."""
OPEN_STATES = (PreviewState.PREPARING, PreviewState.ASKING)


class PreviewOutcome(StrEnum):
    """What a filter made of it. The values are part of the contract with filters."""

    JUDGED = "judged"
    NO_COUNTS = "no_counts"
    OTHER_NAMES = "other_names"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def label(self) -> str:
        return {
            "judged": "Jugé",
            "no_counts": "Ne compte pas les noms demandés",
            "other_names": "N’a pas les listes du moment",
            "refused": "A refusé les fichiers d’essai",
            "failed": "N’a pas pu juger",
        }[self]


class FilterPreview(HasId, Base):
    """One question to the gateways: which of the names that they counted would this change block or open?"""

    __tablename__ = "filter_previews"
    __table_args__ = (Index("ix_filter_previews_asked_at", "asked_at"),)

    kind: Mapped[PreviewKind]
    subject: Mapped[str]  # what people call it: « Élémentaire, École Jean Macé »
    about: Mapped[dict[str, Any]] = mapped_column(default=dict)  # of a layer: {"says": LayerSettings}
    profile_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_profiles.id", ondelete="SET NULL"))
    collectivity_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("collectivities.id", ondelete="SET NULL"))
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="SET NULL"))
    room_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_rooms.id", ondelete="SET NULL"))
    source_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_sources.id", ondelete="SET NULL"))
    content_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_source_contents.id", ondelete="SET NULL"))
    publication_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_publications.id", ondelete="SET NULL"))
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    judged_at: Mapped[datetime]
    """The moment for which verdicts are taken: schedules say other things at night than in class."""
    ends_at: Mapped[datetime | None]
    """Until when filters are asked; None while it is being prepared."""
    threshold: Mapped[int]
    """Devices that must have asked for a name for a filter to tell it."""
    days: Mapped[int]
    """The last days of counts that are judged."""
    state: Mapped[PreviewState] = mapped_column(default=PreviewState.PREPARING)
    reason: Mapped[str] = mapped_column(default="")
    """French: why it failed, or why there was nothing to ask."""
    attempts: Mapped[int] = mapped_column(default=0)  # a preparation that kills its worker is not tried for ever
    base_names: Mapped[str | None]  # tags of what was in force when it was asked
    base_policy: Mapped[str | None]
    names_tag: Mapped[str | None]  # of the candidates; None: that file stays as it is
    policy_tag: Mapped[str | None]
    policy: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)  # as gzip, which is how it travels
    delta_size: Mapped[int | None] = mapped_column(BigInteger)

    @property
    def says(self) -> LayerSettings | None:
        """The edit of a layer that is asked about, as the form may publish it later; None for other kinds."""
        return msgspec.convert(self.about["says"], LayerSettings) if "says" in self.about else None

    @property
    def revision(self) -> str | None:
        """Of the layer that the edit would replace (see policy.revisions); None for other kinds."""
        return self.about.get("before")

    @property
    def decisions(self) -> str | None:
        """Digest of all that people had decided when it was asked (see FilterPolicy); None: nobody noted it."""
        return self.about.get("decisions")

    @property
    def published_by(self) -> str | None:
        """Who made it count; None: nobody did yet."""
        return self.about["published"]["by"] if "published" in self.about else None

    def state_at(self, now: datetime) -> PreviewState:
        """The state, in which a question whose time is over is done though nobody noted it yet, and one that no worker
        prepared in time failed: until one does, should it come back.
        """
        is_over = self.state is PreviewState.ASKING and self.ends_at is not None and self.ends_at <= now
        is_late = self.state is PreviewState.PREPARING and self.asked_at + LONGEST_PREPARATION <= now
        return PreviewState.DONE if is_over else PreviewState.FAILED if is_late else self.state


class PreviewChunk(Base):
    """One mebibyte of the delta that leads from the names in force to the candidate names."""

    __tablename__ = "filter_preview_chunks"

    preview_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("filter_previews.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class PreviewAnswer(Base):
    """What one filter found. Sent twice, it is one answer: the first."""

    __tablename__ = "filter_preview_answers"

    preview_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("filter_previews.id", ondelete="CASCADE"), primary_key=True
    )
    filter_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("filter_nodes.id", ondelete="CASCADE"), primary_key=True)
    outcome: Mapped[PreviewOutcome]
    judged: Mapped[int] = mapped_column(default=0)
    withheld: Mapped[int] = mapped_column(default=0)
    truncated: Mapped[bool] = mapped_column(default=False)
    changes: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    answered_at: Mapped[datetime]

"""Schools, known by their UAI."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.collectivities.models import Collectivity
from fleet.db import Base, HasId, search_index


class SchoolLevel(StrEnum):
    PRIMARY = "primary"  # premier degré: maternelle, élémentaire, primaire
    MIDDLE = "middle"  # collège
    HIGH = "high"  # lycée


class School(HasId, Base):
    """An établissement. ``collectivity`` runs it and so sees it; ``commune`` is where it stands."""

    __tablename__ = "schools"
    __table_args__ = (search_index("schools"),)

    uai: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    level: Mapped[SchoolLevel]
    nature: Mapped[str | None]  # as the directory words it: "ECOLE MATERNELLE"
    is_public: Mapped[bool] = mapped_column(default=True)
    is_open: Mapped[bool] = mapped_column(default=True)
    is_synthetic: Mapped[bool] = mapped_column(default=False)  # made up for the demo, never for decisions
    collectivity_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("collectivities.id"), index=True)
    commune_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("collectivities.id"), index=True)
    address: Mapped[str | None]
    postcode: Mapped[str | None]
    locality: Mapped[str | None]
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    pupils: Mapped[int | None]
    search_text: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    collectivity: Mapped[Collectivity] = relationship(lazy="raise", foreign_keys=[collectivity_id])
    commune: Mapped[Collectivity | None] = relationship(lazy="raise", foreign_keys=[commune_id])

"""Communes, EPCI, syndicats scolaires, département, région: who owns schools and kit."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, HasId, search_index


class CollectivityKind(StrEnum):
    COMMUNE = "commune"
    EPCI = "epci"
    SYNDICAT = "syndicat"
    DEPARTMENT = "department"
    REGION = "region"


class Collectivity(HasId, Base):
    """A legal body of the territory. A commune has an INSEE code (text: "2A004"), every one may have a SIREN."""

    __tablename__ = "collectivities"
    __table_args__ = (search_index("collectivities"),)

    kind: Mapped[CollectivityKind]
    name: Mapped[str]
    siren: Mapped[str | None] = mapped_column(unique=True)
    insee_code: Mapped[str | None] = mapped_column(unique=True)
    legal_form: Mapped[str | None]  # CC, CA, CU, METRO for an EPCI
    population: Mapped[int | None]
    postcodes: Mapped[list[str]] = mapped_column(default=list)
    search_text: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    groups: Mapped[list["Collectivity"]] = relationship(
        secondary="collectivity_memberships",
        primaryjoin=lambda: Collectivity.id == Membership.member_id,
        secondaryjoin=lambda: Collectivity.id == Membership.group_id,
        order_by=lambda: Collectivity.name,
        viewonly=True,
        lazy="raise",
    )
    """The EPCI and syndicats that it belongs to, by name: public facts, that give sight of nothing."""


class Membership(Base):
    """``member`` belongs to ``group``: a commune to its EPCI and a syndicat. It gives no sight of anything."""

    __tablename__ = "collectivity_memberships"

    member_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("collectivities.id", ondelete="CASCADE"), primary_key=True)
    group_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("collectivities.id", ondelete="CASCADE"), primary_key=True)


class FormerCommune(Base):
    """A commune déléguée or associée: its name and INSEE code live on in old files, and lead to the present commune."""

    __tablename__ = "former_communes"

    insee_code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    commune_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("collectivities.id", ondelete="CASCADE"), index=True)

"""ENT portals, their deep links, and which school uses which."""

import uuid
from enum import StrEnum

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, HasId


class EntProduct(StrEnum):
    ONE = "one"
    NEO = "neo"
    BENEYLU = "beneylu"
    OTHER = "other"


class EntPortal(HasId, Base):
    """One address where pupils and teachers sign in."""

    __tablename__ = "ent_portals"

    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    product: Mapped[EntProduct]
    url: Mapped[str]
    links: Mapped[list["EntLink"]] = relationship(
        lazy="raise", order_by="EntLink.position", cascade="all, delete-orphan"
    )


class EntLink(HasId, Base):
    """A page inside a portal worth its own icon: messagerie, cahier de textes."""

    __tablename__ = "ent_links"
    __table_args__ = (UniqueConstraint("portal_id", "slug"),)

    portal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("ent_portals.id", ondelete="CASCADE"))
    position: Mapped[int]
    slug: Mapped[str]
    title: Mapped[str]
    url: Mapped[str]


class SchoolEnt(Base):
    """The portal of a school."""

    __tablename__ = "school_ents"

    school_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"), primary_key=True)
    portal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("ent_portals.id", ondelete="CASCADE"), index=True)

"""Filters of a list that a person keeps under a name."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from fleet.db import Base, HasId


class ListName(StrEnum):
    """The lists whose filters can be kept; the page has the same name."""

    SCHOOLS = "schools"
    COLLECTIVITIES = "collectivities"
    DEVICES = "devices"
    TICKETS = "tickets"


class SavedFilter(HasId, Base):
    """What one person looks for again and again, as the query of the list's address. Nobody else sees it."""

    __tablename__ = "saved_filters"
    __table_args__ = (
        UniqueConstraint("user_id", "list", "name"),
        Index(
            "uq_saved_filters_default", "user_id", "list", unique=True, postgresql_where=text("is_default")
        ),  # one list opens with one filter
    )

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    list: Mapped[ListName]
    name: Mapped[str]
    query: Mapped[str]
    """``q=guise&status=new``, without the page."""
    is_default: Mapped[bool] = mapped_column(default=False)
    """The list opens with it."""
    saved_at: Mapped[datetime]

"""HTTP shapes of grants."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field

from fleet.bodies import STRICT, BodyMoment, BodyUuid
from fleet.grants.service import Given, GrantState


class GrantIn(BaseModel):
    """Who is given sight (``to_…``) of what (the other two): of each pair one id, and one only."""

    model_config = STRICT

    to_collectivity_id: BodyUuid | None = None
    to_school_id: BodyUuid | None = None
    collectivity_id: BodyUuid | None = None
    school_id: BodyUuid | None = None
    starts_at: BodyMoment | None = None
    ends_at: BodyMoment
    reason: Annotated[str, Field(min_length=1, max_length=400)]


class GrantOut(BaseModel):
    """A grant; ``to`` and ``node`` are what people call the two."""

    id: UUID
    to_collectivity_id: UUID | None
    to_school_id: UUID | None
    to: str
    collectivity_id: UUID | None
    school_id: UUID | None
    node: str
    state: GrantState
    starts_at: datetime
    ends_at: datetime
    reason: str
    given_at: datetime
    given_by: str
    ended_at: datetime | None
    ended_by: str | None

    @classmethod
    def of(cls, given: Given) -> Self:
        grant = given.grant
        return cls(
            id=grant.id,
            to_collectivity_id=grant.to_collectivity_id,
            to_school_id=grant.to_school_id,
            to=given.to,
            collectivity_id=grant.collectivity_id,
            school_id=grant.school_id,
            node=given.node,
            state=given.state,
            starts_at=grant.starts_at,
            ends_at=grant.ends_at,
            reason=grant.reason,
            given_at=grant.given_at,
            given_by=grant.given_by,
            ended_at=grant.ended_at,
            ended_by=grant.ended_by,
        )

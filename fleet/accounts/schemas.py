"""What accounts' routes take and give."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fleet.bodies import AS_TEXT, STRICT, BodyMoment, BodyUuid
from fleet.scope import Role


class SignInIn(BaseModel):
    model_config = STRICT

    email: str = Field(max_length=254)
    password: str = Field(max_length=256)
    code: str = Field("", max_length=64)
    """Of the telephone or of recovery, for an account with a second factor."""


class ConfirmIn(BaseModel):
    model_config = STRICT

    secret: str = Field(max_length=256)
    """A code of the second factor where there is one, else the password."""


class GrantOut(BaseModel):
    role: Role
    collectivity_id: str | None
    school_id: str | None


class MeOut(BaseModel):
    name: str
    email: str
    grants: list[GrantOut]
    csrf_token: str
    owes_second_factor: bool
    """Until it is set up in the portal, every other route answers 403 second_factor.owed."""


class SessionOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str
    browser: str
    is_proven: bool


class TokenIn(BaseModel):
    model_config = STRICT

    name: str = Field(min_length=1, max_length=80)
    role: Annotated[Role, AS_TEXT]
    collectivity_id: BodyUuid | None = None
    school_id: BodyUuid | None = None
    expires_at: BodyMoment


class TokenOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    prefix: str
    role: Role
    collectivity_id: UUID | None
    school_id: UUID | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class NewTokenOut(TokenOut):
    token: str
    """The whole of it, seen this once."""

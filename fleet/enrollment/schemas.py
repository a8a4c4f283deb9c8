"""HTTP shapes of enrolment tokens."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fleet.devices.models import DeviceKind, Platform
from fleet.enrollment.models import EnrollmentToken
from fleet.enrollment.service import MAX_EXPIRY, MAX_USES, IssuedToken


class TokenIn(BaseModel):
    """What a technician asks for."""

    model_config = ConfigDict(strict=True, extra="forbid")

    school_id: UUID
    kind: DeviceKind
    platform: Platform | None = None
    max_uses: Annotated[int, Field(ge=1, le=MAX_USES)] = 1
    expires_in_minutes: Annotated[int, Field(ge=1, le=int(MAX_EXPIRY.total_seconds() // 60))] = 60


class TokenOut(BaseModel):
    """A token without its secret."""

    id: UUID
    hint: str
    school_id: UUID
    school: str
    kind: DeviceKind
    platform: Platform
    max_uses: int
    uses: int
    issued_at: datetime
    issued_by: str | None
    expires_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, token: EnrollmentToken) -> Self:
        return cls(
            id=token.id,
            hint=token.hint,
            school_id=token.school_id,
            school=token.school.name,
            kind=token.kind,
            platform=token.platform,
            max_uses=token.max_uses,
            uses=token.uses,
            issued_at=token.issued_at,
            issued_by=token.issued_by,
            expires_at=token.expires_at,
            revoked_at=token.revoked_at,
        )


class IssuedTokenOut(BaseModel):
    """A token just issued: the only time that its text is shown."""

    token: TokenOut
    text: str
    url: str
    command: str

    @classmethod
    def of(cls, issued: IssuedToken, command: str) -> Self:
        return cls(token=TokenOut.of(issued.token), text=issued.text, url=issued.url, command=command)


class TokenPage(BaseModel):
    """One page of tokens."""

    items: list[TokenOut]
    total: int
    page: int
    pages: int

"""HTTP shapes of enrolment tokens."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fleet.bodies import BodyUuid
from fleet.devices.models import DeviceKind, Platform
from fleet.devices.schemas import In, Kind, OnPlatform
from fleet.enrollment.service import MAX_EXPIRY, MAX_KEY, MAX_USES, IssuedToken

Key = Annotated[
    str,
    Field(min_length=8, max_length=MAX_KEY, description="Choisie par le formulaire : envoyé deux fois, fait une fois."),
]


class TokenIn(In):
    """What a technician asks for."""

    school_id: BodyUuid
    kind: Kind
    platform: OnPlatform | None = None
    max_uses: Annotated[int, Field(ge=1, le=MAX_USES)] = 1
    expires_in_minutes: Annotated[int, Field(ge=1, le=int(MAX_EXPIRY.total_seconds() // 60))] = 60
    request_key: Key | None = None


class WifiIn(In):
    """The network that an Android tablet joins to download its device owner."""

    ssid: Annotated[str, Field(max_length=32)]
    password: Annotated[str, Field(max_length=64)] = ""
    security: Annotated[str, Field(max_length=4)] = "WPA"
    hidden: bool = False


class ProfileIn(In):
    """Which tablet's profile is wanted. ``wifi`` matters for Android only."""

    device_id: BodyUuid
    wifi: WifiIn | None = None


class SchoolName(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    uai: str
    name: str


class TokenOut(BaseModel):
    """A token without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    hint: str
    school: SchoolName
    kind: DeviceKind
    platform: Platform
    max_uses: int
    uses: int
    issued_at: datetime
    issued_by: str | None
    expires_at: datetime
    revoked_at: datetime | None


class IssuedTokenOut(BaseModel):
    """A token just issued: the only time that its text is shown."""

    token: TokenOut
    text: str
    url: str
    command: str

    @classmethod
    def of(cls, issued: IssuedToken, command: str) -> Self:
        """With the line to type on the machine."""
        return cls(token=TokenOut.model_validate(issued.token), text=issued.text, url=issued.url, command=command)

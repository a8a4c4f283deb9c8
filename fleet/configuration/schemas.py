"""HTTP shapes of configuration."""

from pydantic import BaseModel, ConfigDict

from fleet.devices.schemas import In


class SettingIn(In):
    """What a layer says of one resource: the whole of it, in place of what it said before."""

    value: dict[str, object]


class SettingOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    resource: str
    value: dict[str, object]
    updated_by: str | None


class ExplainedOut(BaseModel):
    """One value, and the layer that had the last word on it."""

    path: str
    value: object
    layer: str
    label: str
    overrides: tuple[str, ...]


class EffectiveOut(BaseModel):
    """The state of a device, or of any display of a school, and who set each value."""

    revision: str
    desired: dict[str, object]
    explained: list[ExplainedOut]

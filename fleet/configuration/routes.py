"""HTTP of configuration: what a device or a school gets, who says so, and saying it."""

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from fleet.accounts.access import CurrentViewer
from fleet.clock import Now
from fleet.configuration import service
from fleet.configuration.models import Setting
from fleet.configuration.schemas import EffectiveOut, ExplainedOut, SettingIn, SettingOut
from fleet.db import DbSession
from fleet.devices import service as devices
from fleet.devices.models import Device
from fleet.errors import Invalid
from fleet.schools import service as schools
from fleet.schools.models import School

router = APIRouter(prefix="/api/v1/configuration", tags=["configuration"])


def wanted_layer(
    session: DbSession, viewer: CurrentViewer, school_id: UUID | None = None, device_id: UUID | None = None
) -> tuple[School | None, Device | None]:
    """The layer that a URL names: a school, a device, or (neither) the département."""
    if school_id is not None and device_id is not None:
        raise Invalid("configuration.one_layer", "Nommez une école ou un appareil, pas les deux.")
    if device_id is not None:
        return None, devices.get_device(session, viewer, device_id)
    return (schools.get_school(session, viewer, school_id) if school_id else None), None


WantedLayer = Annotated[tuple[School | None, Device | None], Depends(wanted_layer)]


@router.get("")
def get_effective(request: Request, session: DbSession, viewer: CurrentViewer, layer: WantedLayer) -> EffectiveOut:
    """What a device (or any Linux display of a school) should hold now, and which layer set each value."""
    school, device = layer
    config = request.app.state.config
    if device is not None:
        school_id, desired = device.school_id, service.desired_state_for(session, device, config)
    elif school is not None:
        school_id, desired = school.id, service.school_state_for(session, school.id, config)
    else:
        raise Invalid("configuration.which", "Nommez une école (school_id) ou un appareil (device_id).")
    explained = service.explain(session, config, school_id=school_id, device=device)
    return EffectiveOut(
        revision=desired.revision,
        desired=asdict(desired),
        explained=[ExplainedOut(**asdict(each)) for each in explained],
    )


@router.put("/{resource}", response_model=SettingOut)
def set_value(
    resource: str, body: SettingIn, session: DbSession, viewer: CurrentViewer, layer: WantedLayer, now: Now
) -> Setting:
    """Say what a layer wants of a resource: shortcuts, browser or dns."""
    school, device = layer
    return service.set_value(session, viewer, resource, body.value, school=school, device=device, now=now)


@router.delete("/{resource}", status_code=204)
def clear_value(resource: str, session: DbSession, viewer: CurrentViewer, layer: WantedLayer, now: Now) -> None:
    """Make a layer silent about a resource: those below speak again."""
    school, device = layer
    service.clear_value(session, viewer, resource, school=school, device=device, now=now)

"""Outcomes of many devices at once: for lists and for the morning board."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from fleet.configuration.models import ResourceOutcome
from fleet.devices.models import Device, DeviceStatus
from fleet.devices.service import SORTABLE, visible_devices
from fleet.paging import Listing, Page, paginate
from fleet.scope import Viewer

GONE = (DeviceStatus.IN_STOCK, DeviceStatus.LOST, DeviceStatus.RETIRED)
"""Statuses whose last outcomes are old news: nobody is asked to act on them."""


def outcomes_by_device(session: Session, device_ids: Iterable[UUID]) -> Mapping[UUID, Sequence[ResourceOutcome]]:
    """How each resource went on each of these devices, in one query; a device that reported nothing has none."""
    found: dict[UUID, list[ResourceOutcome]] = defaultdict(list)
    query = select(ResourceOutcome).where(ResourceOutcome.device_id.in_(list(device_ids)))
    for outcome in session.scalars(query.order_by(ResourceOutcome.resource)):
        found[outcome.device_id].append(outcome)
    return found


def list_failing(session: Session, viewer: Viewer, page: Page) -> Listing[Device]:
    """Devices in service that the viewer sees and that last reported a failed resource, school loaded."""
    failed = exists().where(ResourceOutcome.device_id == Device.id, ResourceOutcome.status == "failed")
    query = visible_devices(viewer).where(failed, Device.status.not_in(GONE))
    return paginate(session, query, page, SORTABLE, "asset_tag")

"""The list of devices as a file for a spreadsheet."""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from fleet.devices.labels import KINDS, PLATFORMS, STATUSES
from fleet.devices.models import Device
from fleet.devices.service import Criteria, filter_devices, visible_devices
from fleet.scope import Viewer
from fleet.table_file import Sheet

COLUMNS = (
    "etiquette", "nom", "type", "plateforme", "etat", "uai", "ecole", "collectivite", "salle", "fabricant", "modele",
    "numero_de_serie", "enrole_le", "profil_emis_le", "vu_le", "silencieux_depuis",
)  # fmt: skip
PARIS = ZoneInfo("Europe/Paris")


def export_devices(session: Session, viewer: Viewer, criteria: Criteria) -> Sheet:
    """Every device that the viewer sees and that fits, by asset tag, as a table; times are those of Paris."""
    query = filter_devices(visible_devices(viewer), **criteria).order_by(Device.asset_tag, Device.id)
    return Sheet(COLUMNS, map(_row, session.scalars(query.execution_options(yield_per=500))))


def _row(device: Device) -> tuple[object, ...]:
    school = device.school
    return (
        device.asset_tag, device.name, KINDS[device.kind], PLATFORMS[device.platform], STATUSES[device.status],
        school and school.uai, school and school.name, school and school.collectivity.name,
        device.room, device.manufacturer, device.model, device.serial,
        _local(device.enrolled_at), _local(device.profile_issued_at),
        _local(device.last_seen_at), _local(device.silent_since),
    )  # fmt: skip


def _local(moment: datetime | None) -> str | None:
    return moment.astimezone(PARIS).strftime("%d/%m/%Y %H:%M") if moment else None

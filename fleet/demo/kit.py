"""The demonstration's tablets and kits: invented serial numbers in real schools, some tablets with their profile."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.config import FleetConfig
from fleet.demo.people import TECHNICIAN, viewer_of
from fleet.devices import service as devices
from fleet.devices.models import Device, DeviceKind, DeviceStatus, Platform
from fleet.enrollment import service as enrollment
from fleet.schools import service as schools

SERIAL = "DEMO-"
"""How every serial number of the demonstration begins."""


@dataclass(frozen=True, slots=True)
class Lot:
    """Several of the same in one school."""

    uai: str
    kind: DeviceKind
    platform: Platform
    name: str
    manufacturer: str
    model: str
    count: int
    profiles: int = 0
    """How many of them were given their profile."""
    status: DeviceStatus = DeviceStatus.IN_STOCK


IPAD = (DeviceKind.TABLET, Platform.IPADOS, "Tablette", "Apple", "iPad 10e génération")
ANDROID = (DeviceKind.TABLET, Platform.ANDROID, "Tablette", "Samsung", "Galaxy Tab A9")
VIDEO = (DeviceKind.VIDEO_KIT, Platform.NONE, "Malle vidéo", "Sony", "ZV-1, pied, micro")
ROBOTS = (DeviceKind.ROBOT_KIT, Platform.NONE, "Malle robots", "Thymio", "6 robots et chargeurs")
HEADPHONES = (DeviceKind.ACCESSORY, Platform.NONE, "Casques audio", "Sennheiser", "lot de 12")
LOTS = (
    Lot("0021094D", *IPAD, count=8, profiles=3),
    Lot("0021093C", *ROBOTS, count=1, status=DeviceStatus.ACTIVE),
    Lot("0021089Y", *ANDROID, count=6),
    Lot("0021089Y", *VIDEO, count=1, status=DeviceStatus.ACTIVE),
    Lot("0021997K", *IPAD, count=6, profiles=2),
    Lot("0021997K", *HEADPHONES, count=2, status=DeviceStatus.ACTIVE),
    Lot("0021955P", *IPAD, count=5),
    Lot("0021955P", *VIDEO, count=1, status=DeviceStatus.ACTIVE),
    Lot("0020993U", *ANDROID, count=5),
    Lot("0020993U", *ROBOTS, count=2, status=DeviceStatus.ACTIVE),
)


def ensure_kit(session: Session, config: FleetConfig, now: datetime) -> int:
    """Register the lots, once; return how many devices were added. What people remove afterwards stays removed."""
    if session.scalar(select(Device.id).where(Device.serial.startswith(SERIAL)).limit(1)) is not None:
        return 0
    viewer = viewer_of(session, TECHNICIAN)
    numbers = serial_numbers()
    for lot in LOTS:
        school = schools.get_school_by_uai(session, viewer, lot.uai)
        for index in range(lot.count):
            device = devices.register_device(
                session, viewer, kind=lot.kind, platform=lot.platform, school=school, name=f"{lot.name} {index + 1}",
                manufacturer=lot.manufacturer, model=lot.model, serial=next(numbers), status=lot.status, now=now,
            )  # fmt: skip
            if index < lot.profiles:
                enrollment.issue_profile(session, viewer, device, now, config)
    return sum(lot.count for lot in LOTS)


def serial_numbers() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"{SERIAL}{number:05d}"

"""How long a change takes to be a signed policy: ``python -m benchmarks.policy [SCHOOLS]``.

A real PostgreSQL of its own; schools with two rooms, each with a network, a third of them with layers of their own, and
as many labelled screens as rooms. The change is a lesson that starts, with everything its request does but HTTP.
"""

import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.orm import Session

from filter.bundle import PolicyFile
from filter.settings import Verdict
from fleet.accounts.models import User
from fleet.collectivities.models import Collectivity, CollectivityKind
from fleet.devices.models import Device, DeviceKind, DeviceStatus, Platform
from fleet.embedded.layout import ROOT_STATE
from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres
from fleet.filtering import service
from fleet.filtering.exceptions import lessons
from fleet.filtering.gateways.packing import pack
from fleet.filtering.policy.layers import LayerSettings, NameLine
from fleet.filtering.policy.models import FilterLabel, FilterLayer, FilterNetwork, FilterRoom
from fleet.filtering.policy.profiles import policy_settings
from fleet.migrate import migrate
from fleet.schools.models import School, SchoolLevel
from fleet.scope import Grant, Role, Viewer

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
SCHOOLS, ROOMS, RUNS = 483, 2, 21


def fill(session: Session, schools: int) -> list[FilterRoom]:
    """Schools, rooms, networks, labels and layers."""
    service.ensure_default_profile(session, NOW)
    profile_ids = [profile.id for profile in service.list_profiles(session)]
    says = LayerSettings(names=tuple(NameLine(f"site{n}.example", Verdict.ALLOW) for n in range(5)))
    rooms = []
    for number in range(schools):
        commune = Collectivity(kind=CollectivityKind.COMMUNE, name=f"Commune {number}", insee_code=f"{number:05d}")
        school = School(uai=f"{number:07d}A", name=f"École {number}", level=SchoolLevel.PRIMARY, collectivity=commune)
        session.add(school)
        session.flush()
        if number % 3 == 0:
            content = msgspec.to_builtins(says)
            session.add(FilterLayer(school_id=school.id, content=content, updated_at=NOW, updated_by="essai"))
        rooms += [add_room(session, school, place, number * ROOMS + place, profile_ids) for place in range(ROOMS)]
    session.flush()
    return rooms


def add_room(session: Session, school: School, place: int, number: int, profile_ids: list[UUID]) -> FilterRoom:
    """A room with a network and a screen."""
    room = FilterRoom(school_id=school.id, name=f"Salle {place}")
    device = Device(
        asset_tag=f"T{number}", kind=DeviceKind.DISPLAY, platform=Platform.LINUX, status=DeviceStatus.ACTIVE,
        name="Écran", school_id=school.id, label=uuid4().hex[:12], search_text="",
    )  # fmt: skip
    session.add_all([room, device])
    session.flush()
    profile_id = profile_ids[number % len(profile_ids)]
    cidr = f"10.{number // 250}.{number % 250}.0/24"
    session.add(FilterNetwork(cidr=cidr, school_id=school.id, room_id=room.id, profile_id=profile_id))
    session.add(FilterLabel(device_id=device.id, profile_id=profile_id, room_id=room.id))
    return room


def measure(engine: Engine, room_ids: list[UUID], viewer: Viewer) -> list[tuple[float, float]]:
    """Milliseconds from the call to the end of the commit, and of this process's CPU, lesson after lesson."""
    took = []
    for room_id in room_ids:
        begun, worked = time.perf_counter(), time.process_time()
        with Session(engine) as session, session.begin():
            lessons.start_lesson(session, viewer, room_id, minutes=60, names=["musee.example"], now=NOW)
        took.append(((time.perf_counter() - begun) * 1000, (time.process_time() - worked) * 1000))
    return took


def main() -> None:
    schools = int(sys.argv[1]) if len(sys.argv) > 1 else SCHOOLS
    ROOT_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT_STATE))
    directory.chmod(0o755)
    server = Postgres(directory / "postgres", free_port())
    server.start()
    try:
        migrate(server.url())
        engine = create_engine(server.url())
        with Session(engine) as session, session.begin():
            room_ids = [room.id for room in fill(session, schools)[:: max(1, schools * ROOMS // RUNS)]][:RUNS]
            user = User(email="essai@example.test", name="Essai", password_hash="")
            session.add(user)
            session.flush()
            viewer = Viewer(user.id, user.name, user.email, (Grant(Role.ADMIN),))
        took = measure(engine, room_ids, viewer)
        with Session(engine) as session:
            report(session, directory, schools, took)
        engine.dispose()
    finally:
        server.stop()
        shutil.rmtree(directory)


def report(session: Session, directory: Path, schools: int, took: list[tuple[float, float]]) -> None:
    packed = pack(session)
    content, compressed = (packed.content, packed.compressed) if packed else (b"", b"")
    path = directory / "policy"
    path.write_bytes(content)
    settings = policy_settings(session, NOW + timedelta(minutes=1))
    waited, worked = zip(*took, strict=True)
    serial = PolicyFile.open(path).serial
    sys.stdout.write(
        f"{schools} schools, {len(settings.networks)} networks, {len(settings.labels)} labels, "
        f"{len(settings.profiles)} distinct profiles, {session.scalar(select(func.count(FilterLayer.id)))} layers: "
        f"policy {len(content) / 1024:.0f} kB, {len(compressed):,} bytes as it travels (serial {serial}); "
        f"a lesson starts, request to commit: median {statistics.median(waited):.0f} ms "
        f"({statistics.median(worked):.0f} of CPU), slowest {max(waited):.0f} of {len(took)}\n"
    )


if __name__ == "__main__":
    main()

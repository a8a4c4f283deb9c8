"""What row-level security costs: ``python -m benchmarks.rights [DEVICES]`` (100,000; half as many tickets again).

A real PostgreSQL of its own. Each list is asked through its service, `visible_to` and all, turn by turn with and
without row-level security on the same connection: as the person's door, and as the tables' owner, whom no policy holds.
What is told is the ratio of the two medians of one run, whatever else the machine does meanwhile. Statements that enter
a door are in both, and their own cost is told beside.
"""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.orm import Session

from fleet.accounts.sight import scope_of
from fleet.collectivities import service as collectivities
from fleet.collectivities.models import Collectivity
from fleet.devices import service as devices
from fleet.doors import Door, Scope, apply
from fleet.embedded.layout import ROOT_STATE
from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres
from fleet.migrate import migrate
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.scope import Grant, Role, Viewer
from fleet.tickets import service as tickets

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
DEVICES, ROUNDS = 100_000, 21
FILL = """
INSERT INTO collectivities (id, kind, name, insee_code, postcodes, search_text)
SELECT gen_random_uuid(), CASE WHEN n = 0 THEN 'department' ELSE 'commune' END, 'Commune ' || n,
       lpad(n::text, 5, '0'), '[]', 'commune ' || n FROM generate_series(0, :collectivities - 1) n;
CREATE TEMP TABLE nodes AS SELECT id, row_number() OVER (ORDER BY insee_code) - 1 AS n FROM collectivities;
INSERT INTO schools (id, uai, name, level, is_public, is_open, is_synthetic, collectivity_id, commune_id,
                     search_text)
SELECT gen_random_uuid(), lpad(s::text, 7, '0') || 'A', 'École ' || s, 'primary', true, true, false, c.id, c.id,
       'ecole ' || s
FROM generate_series(1, :collectivities * 5 / 2) s
JOIN nodes c ON c.n = CASE WHEN s % 40 = 0 THEN 0 ELSE s % :collectivities END;
CREATE TEMP TABLE places AS SELECT id, collectivity_id, row_number() OVER (ORDER BY uai) - 1 AS n FROM schools;
INSERT INTO devices (id, asset_tag, kind, platform, status, name, school_id, macs, label, facts, facts_hash,
                     desired_revision, applied_revision, search_text)
SELECT gen_random_uuid(), 'T' || d, 'display', 'linux', 'active', 'Écran ' || d, p.id, '[]', 'l' || d, '{}', '', '', '',
       'ecran ' || d
FROM generate_series(1, :devices) d JOIN places p ON p.n = d % (SELECT count(*) FROM places);
INSERT INTO tickets (id, kind, subject, status, title, description, collectivity_id, school_id, opened_at, updated_at,
                     search_text)
SELECT gen_random_uuid(), 'incident', 'school', CASE WHEN t % 9 = 0 THEN 'new' ELSE 'closed' END, 'Panne ' || t, 'x',
       p.collectivity_id, p.id, now() - t * interval '1 minute', now(), 'panne ' || t
FROM generate_series(1, :devices * 3 / 2) t JOIN places p ON p.n = t % (SELECT count(*) FROM places)
"""
Reading = Callable[[Session, Viewer], object]
LISTS: Mapping[str, Reading] = {
    "schools, a page": schools.list_schools,
    "devices, a page": devices.list_devices,
    "devices, found by a word": lambda session, viewer: devices.list_devices(session, viewer, search="ecran 77"),
    "devices, counted": devices.count_devices,
    "tickets, a page": tickets.list_tickets,
    "tickets, those that are open": lambda session, viewer: tickets.list_tickets(session, viewer, open_only=True),
    "tickets, counted": tickets.count_tickets,
    "collectivities, a page": collectivities.list_collectivities,
}


def fill(connection: Connection, number: int) -> None:
    """Collectivities of which the first is a département with a school of every forty; the others have two or three."""
    figures = {"devices": number, "collectivities": max(50, number // 50)}
    for statement in FILL.split(";\n"):
        connection.execute(text(statement), figures)
    connection.commit()
    connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))


def people(session: Session) -> dict[str, Viewer]:
    """Staff, the officer of the département, the officer of a commune, the lead of a school."""
    department = session.scalars(select(Collectivity.id).where(Collectivity.insee_code == "00000")).one()
    school = session.scalars(select(School).where(School.collectivity_id != department).limit(1)).one()
    grants = {
        "staff": Grant(Role.TECHNICIAN),
        "officer of a département": Grant(Role.OFFICER, department),
        "officer of a commune": Grant(Role.OFFICER, school.collectivity_id),
        "school lead": Grant(Role.SCHOOL_LEAD, None, school.id),
    }
    return {name: Viewer(UUID(int=1), name, "", (grant,)) for name, grant in grants.items()}


def spent(connection: Connection, settings: Mapping[str, str], viewer: Viewer, read: Reading) -> float:
    """Milliseconds of one list in a transaction of its own, entering included."""
    begun = time.perf_counter()
    with Session(connection) as session:
        apply(session.connection(), settings)
        read(session, viewer)
    connection.rollback()
    return (time.perf_counter() - begun) * 1000


def compare(connection: Connection, viewer: Viewer, scope: Scope, read: Reading, rounds: int) -> tuple[float, float]:
    """Medians with and without row-level security, asked turn by turn."""
    door = Door.STAFF if viewer.sees_all else Door.WEB
    held, free = ({"role": role} | dict(scope.settings()) for role in (door.value, "none"))
    for settings in (held, free, held, free):  # plans and pages are warm, of both
        spent(connection, settings, viewer, read)
    pairs = [(spent(connection, held, viewer, read), spent(connection, free, viewer, read)) for _ in range(rounds)]
    with_security, without = zip(*pairs, strict=True)
    return statistics.median(with_security), statistics.median(without)


def report(connection: Connection, rounds: int) -> None:
    with Session(connection) as session:
        viewers = people(session)
        scopes = {name: scope_of(session, viewer) for name, viewer in viewers.items() if not viewer.sees_all}
    connection.rollback()
    for name, viewer in viewers.items():
        scope = scopes.get(name, Scope(viewer.user_id))
        sys.stdout.write(f"{name} ({len(scope.school_ids) or 'all'} schools)\n")
        for title, read in LISTS.items():
            held, free = compare(connection, viewer, scope, read, rounds)
            sys.stdout.write(f"  {title:32} {free:8.2f} ms without, {held:8.2f} with: × {held / free:.2f}\n")
    entering = statistics.median(
        spent(connection, {"role": Door.WEB.value}, viewers["staff"], lambda *_: None) for _ in range(10 * rounds)
    )
    sys.stdout.write(f"a transaction that only enters a door: {entering:.2f} ms\n")


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else DEVICES
    ROOT_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT_STATE))
    directory.chmod(0o755)
    server = Postgres(directory / "postgres", free_port())
    server.start()
    try:
        migrate(server.url())
        engine = create_engine(server.url())
        with engine.connect() as connection:
            fill(connection, number)
        with engine.connect() as connection:
            report(connection, ROUNDS if number >= DEVICES else 3)
        engine.dispose()
    finally:
        server.stop()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()

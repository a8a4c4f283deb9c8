"""Lists, search and a collectivity's page over a département's whole life: ``python -m benchmarks.places [--runs 40]``.

100,000 devices, 200,000 tickets, 2,000 collectivities and 6,000 schools in a real PostgreSQL; pages asked of the real
application by a technician, who sees all, and by an officer. Prints each page's p95 and how many statements it takes.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID

from fastapi.testclient import TestClient
from sqlalchemy import Connection, Engine, create_engine, event, select, text
from sqlalchemy.orm import Session

from dashboards.portal.app import create_portal
from fleet.collectivities.models import Collectivity
from fleet.config import FleetConfig
from fleet.devices.models import Device
from fleet.embedded.layout import ROOT_STATE
from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres
from fleet.migrate import migrate
from fleet.schools.models import School
from fleet.scope import Role
from fleet.tickets.models import Ticket
from tests.factories import make_user
from tests.sign_in import signed_in

WARM = 8
"""Requests that do not count: templates and statements are compiled, then prepared by the driver after some uses."""
MOST_MILLISECONDS, MOST_STATEMENTS = 200.0, 12


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is."""

    collectivities: int = 2_000
    schools: int = 6_000
    devices: int = 100_000
    tickets: int = 200_000


WORDS = "{bohain,chauny,guise,hirson,laon,marle,origny,ribemont,soissons,tergnier,vervins,wassigny}"
FAULTS = "{ecran noir,tablette cassee,wifi lent,imprimante muette,son absent,mise a jour,clavier abime,ent ferme}"
FILL = """
INSERT INTO collectivities (id, kind, name, insee_code, population, postcodes, search_text)
SELECT md5('c' || n)::uuid, CASE WHEN n % 40 = 0 THEN 'epci' ELSE 'commune' END, initcap(word) || ' ' || n,
       'B' || lpad(n::text, 5, '0'), n % 30000, to_jsonb(ARRAY['0' || (2000 + n % 900)]),
       word || ' ' || n || ' b' || lpad(n::text, 5, '0') || ' 0' || (2000 + n % 900)
FROM (SELECT n, (CAST(:words AS text[]))[1 + n % 12] AS word FROM generate_series(1, :collectivities) n) each;
INSERT INTO schools (id, uai, name, level, is_public, is_open, is_synthetic, collectivity_id, commune_id, postcode,
                     pupils, search_text)
SELECT md5('s' || n)::uuid, '8' || lpad(n::text, 6, '0') || 'X', 'Ecole ' || initcap(word) || ' ' || n, 'primary', true,
       n % 50 > 0, true, md5('c' || owner)::uuid, md5('c' || (1 + n % :collectivities))::uuid,
       '0' || (2000 + n % 900), n % 300,
       'ecole ' || word || ' ' || n || ' ' || '8' || lpad(n::text, 6, '0') || 'x 0' || (2000 + n % 900)
FROM (SELECT n, (CAST(:words AS text[]))[1 + n / 7 % 12] AS word,
             CASE WHEN n % 10 = 0 THEN 40 ELSE 1 + n % :collectivities END AS owner
      FROM generate_series(1, :schools) n) each;
INSERT INTO devices (id, asset_tag, kind, platform, status, name, school_id, macs, facts, facts_hash, serial, label,
                     last_seen_at, silent_since, desired_revision, applied_revision, search_text)
SELECT md5('d' || n)::uuid, 'BEN-' || lpad(n::text, 6, '0'), (ARRAY['display', 'tablet', 'laptop'])[1 + n % 3],
       'linux', (ARRAY['active', 'active', 'active', 'staged', 'failed', 'retired'])[1 + n % 6], 'Ecran ' || n,
       md5('s' || (1 + n % :schools))::uuid, '[]', '{}', '', upper(substr(md5('serial' || n), 1, 12)),
       substr(md5('l' || n), 1, 20), now() - n % 100000 * interval '1 minute',
       CASE WHEN n % 20 = 0 THEN now() END, '', '',
       'ben ' || lpad(n::text, 6, '0') || ' ecran ' || n || ' ' || substr(md5('serial' || n), 1, 12)
FROM generate_series(1, :devices) n;
INSERT INTO tickets (id, kind, subject, status, title, description, collectivity_id, school_id, device_id, opened_at,
                     updated_at, planned_for, search_text)
SELECT md5('t' || n)::uuid, 'incident', 'device',
       CASE WHEN n % 20 = 0 THEN (ARRAY['new', 'assigned', 'planned', 'pending'])[1 + n / 20 % 4] ELSE 'closed' END,
       initcap(fault) || ' ' || n, repeat('Depuis ce matin, rien ne va plus. ', 6), s.collectivity_id, s.id,
       md5('d' || (1 + n % :devices))::uuid, now() - n * interval '3 minutes', now() - n * interval '2 minutes',
       CASE WHEN n % 20 = 0 THEN now() + n * interval '1 minute' END,
       n || ' ' || fault || ' ' || n || ' ' || s.search_text || repeat(' depuis ce matin rien ne va plus', 6)
FROM (SELECT n, (CAST(:faults AS text[]))[1 + n % 8] AS fault FROM generate_series(1, :tickets) n) each
JOIN schools s ON s.id = md5('s' || (1 + n % :schools))::uuid;
"""
"""The server makes the rows itself: faster than any client could send them. Names are made of some of the Aisne."""
PAGES: Mapping[str, str] = {
    "schools": "/schools",
    "schools, searched": "/schools?q=soissons+ecole",
    "schools, by name": "/schools?sort=-name&state=all",
    "schools, by postcode": "/schools?q=0215",
    "schools, mistyped": "/schools?q=soisons",
    "collectivities": "/collectivities",
    "collectivities, searched": "/collectivities?q=laon",
    "a collectivity": "/collectivities/{collectivity}",
    "a large collectivity": "/collectivities/{large}",
    "a school": "/schools/{school}",
    "devices": "/devices",
    "devices, by name": "/devices?sort=name",
    "devices, by school": "/devices?sort=school",
    "devices, last seen": "/devices?sort=-last_seen",
    "devices, silent": "/devices?silent=true&kind=tablet",
    "devices, last page": "/devices?page={last_devices}",
    "devices, by serial": "/devices?q={serial}",
    "devices, by commune": "/devices?q=laon",
    "devices, two letters": "/devices?q=ec",
    "devices, mistyped": "/devices?q=soisons",
    "devices of a collectivity": "/devices?collectivity={large}",
    "tickets": "/tickets",
    "tickets, all": "/tickets?status=all",
    "tickets, last page": "/tickets?status=all&page={last_tickets}",
    "tickets, by title": "/tickets?status=all&sort=title",
    "tickets, modified": "/tickets?status=all&sort=-updated_at",
    "tickets, planned": "/tickets?sort=planned_for",
    "tickets, by number": "/tickets?status=all&q={number}",
    "tickets, by words": "/tickets?status=all&q=imprimante+muette+laon",
    "tickets, mistyped": "/tickets?status=all&q=soisons",
    "the box": "/search?q=laon",
    "the box, a serial": "/search?q={serial}",
    "the box, mistyped": "/search?q=soisons",
    "jobs": "/jobs",
    "API: devices": "/api/v1/devices?search=guise",
    "API: tickets": "/api/v1/tickets?search=wifi+lent",
}
OFFICERS = ("schools", "a large collectivity", "devices", "devices, by name", "devices, by serial", "tickets",
            "tickets, by words", "the box")  # fmt: skip
"""Pages that an officer of the large collectivity opens too."""


def fill(connection: Connection, sizes: Sizes = Sizes()) -> None:
    """Put that much into an empty, migrated database."""
    values = {
        "words": WORDS, "faults": FAULTS, "collectivities": sizes.collectivities, "schools": sizes.schools,
        "devices": sizes.devices, "tickets": sizes.tickets,
    }  # fmt: skip
    for statement in FILL.split(";\n")[:-1]:
        used = {name: value for name, value in values.items() if f":{name}" in statement}
        connection.execute(text(statement), used)


def addresses(session: Session, sizes: Sizes) -> dict[str, str]:
    """The pages of this database."""
    facts = {
        "collectivity": session.scalar(select(Collectivity.id).where(Collectivity.insee_code == "B00001")),
        "large": large(session),
        "school": session.scalar(select(School.id).limit(1)),
        "serial": session.scalar(select(Device.serial).where(Device.asset_tag == "BEN-000042")),
        "number": session.scalar(select(Ticket.number).where(Ticket.title.like("% 42"))),
        "last_devices": sizes.devices // 25,
        "last_tickets": sizes.tickets // 25,
    }
    return {name: path.format(**facts) for name, path in PAGES.items()}


def large(session: Session) -> UUID:
    """The collectivity that runs a tenth of the schools."""
    return session.scalars(select(Collectivity.id).where(Collectivity.insee_code == "B00040")).one()


@contextmanager
def counting(target: type[Engine] | Connection) -> Iterator[list[str]]:
    """Every statement sent meanwhile, savepoints aside."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            sent.append(statement)

    event.listen(target, "before_cursor_execute", note)
    yield sent
    event.remove(target, "before_cursor_execute", note)


def measure(client: TestClient, path: str, runs: int) -> tuple[float, float, int]:
    """Median and p95 of asking for a page, in milliseconds, and its statements."""
    times = []
    for _ in range(WARM):
        client.get(path)
    for _ in range(runs):
        started = time.perf_counter()
        answer = client.get(path)
        times.append((time.perf_counter() - started) * 1000)
        assert answer.status_code == 200, (path, answer.status_code)
    with counting(Engine) as sent:
        client.get(path)
    return median(times), quantiles(times, n=20)[-1], len(sent)


def run(postgres: Postgres, runs: int, sizes: Sizes) -> bool:
    """Measure every page; whether all keep within the bounds."""
    migrate(postgres.url())
    engine = create_engine(postgres.url())
    started = time.perf_counter()
    with engine.begin() as connection:
        fill(connection, sizes)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    print(f"filled in {time.perf_counter() - started:.0f} s: {sizes}")
    with Session(engine, expire_on_commit=False) as session:
        people = {
            "technician": make_user(session, Role.TECHNICIAN),
            "officer": make_user(session, Role.OFFICER, collectivity=session.get_one(Collectivity, large(session))),
        }
        pages = addresses(session, sizes)
        session.commit()
    app = create_portal(
        FleetConfig(
            database_url=postgres.url(),
            broker_url="memory://",
            public_url="https://preau.example.test",
            second_factor_required=False,
        )
    )
    are_kept = True
    for who, user in people.items():
        with TestClient(app, base_url="https://preau.example.test") as client:
            signed_in(client, user)
            print(f"\n{who:30} {'median':>8} {'p95, ms':>8} {'statements':>11}")
            for name in pages if who == "technician" else OFFICERS:
                middle, p95, statements = measure(client, pages[name], runs)
                is_kept = p95 < MOST_MILLISECONDS and statements <= MOST_STATEMENTS
                are_kept &= is_kept
                print(f"  {name:28} {middle:8.1f} {p95:8.1f} {statements:11}{'' if is_kept else '   TOO MUCH'}")
    engine.dispose()
    return are_kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--share", type=int, default=1, help="divide every size by so much")
    options = parser.parse_args()
    whole = Sizes()
    sizes = Sizes(*(max(50, getattr(whole, name) // options.share) for name in Sizes.__slots__))
    ROOT_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT_STATE))
    directory.chmod(0o755)
    postgres = Postgres(directory / "postgres", free_port())
    postgres.start("-c", "fsync=off", "-c", "shared_buffers=256MB")
    try:
        are_kept = run(postgres, options.runs, sizes)
    finally:
        postgres.stop()
        shutil.rmtree(directory)
    print(
        f"\nbounds: p95 < {MOST_MILLISECONDS:.0f} ms, {MOST_STATEMENTS} statements: {'kept' if are_kept else 'BROKEN'}"
    )


if __name__ == "__main__":
    main()

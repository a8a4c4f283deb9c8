"""How long after a click a room is in its lesson: ``python -m benchmarks.lesson [DIR] [--runs 30] [--schools 483]
[--others 100]``.

End to end, in processes of their own: the HTTP request that starts the lesson over TLS, the controller with the schools
of `benchmarks.policy`, the policy on its way, a filter that follows, and the answer to a client with an address of the
room. Other filters wait for the same policy in another process; each takes and unpacks it, as a gateway does.
"""

import argparse
import asyncio
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import dns.exception
import dns.message
import dns.query
import dns.rcode
import httpx2
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from benchmarks.policy import SCHOOLS, fill
from benchmarks.processes import tell
from fleet.accounts import service as accounts
from fleet.embedded.layout import ROOT_STATE
from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres
from fleet.filtering import service
from fleet.filtering.exceptions import rooms
from fleet.filtering.gateways import nodes
from fleet.filtering.policy.places import find_place
from fleet.migrate import migrate
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from tests.factories import make_school, make_user
from tests.filter.running import ROOT, RunningFilter
from tests.filter.scripted import ScriptedUpstream
from tests.fleet.publishing import write_lists
from tests.fleet.stores import Broker
from tests.installation import CONTROLLER, WORKER, Installation

MUST = 5.0
"""Seconds."""
LESSON, ELSE = "musee.example", "journal.example"
MOST_ROOMS = 200
"""Each has a network of 127.0.0.0/8."""


class Measured(NamedTuple):
    """Seconds from the click."""

    answered: float
    """Until the page of the click came."""
    in_force: float
    """Until a client of the room was first answered by the lesson's rule."""


def furnish(database_url: str, schools: int, wanted: int, others: int) -> tuple[str, list[UUID], list[str]]:
    """A whole département, and a school with these rooms; who leads it, its rooms, credentials of other filters."""
    engine = create_engine(database_url)
    with Session(engine) as session, session.begin():
        fill(session, schools)
        staff = accounts.get_viewer(session, make_user(session, Role.TECHNICIAN).id)
        school = make_school(session)
        lead = make_user(session, Role.SCHOOL_LEAD, school=school).email
        found = [add_room(session, staff, school, number) for number in range(1, wanted + 1)]
        credentials = [nodes.register_filter(session, f"autre {n}", None, utc_now())[1] for n in range(others)]
    engine.dispose()
    return lead, found, credentials


def add_room(session: Session, staff: Viewer, school: School, number: int) -> UUID:
    room = rooms.add_room(session, staff, school, f"Salle {number}", utc_now())
    found = find_place(session, staff, room_id=room.id)
    rooms.add_network(session, staff, f"127.{number}.0.0/24", service.ensure_default_profile(session), found, utc_now())
    return room.id


def utc_now() -> datetime:
    return datetime.now(UTC)


def client_in(number: int) -> str:
    return f"127.{number}.0.7"


def is_in_lesson(client: str, port: int) -> bool:
    """Whether a name that is not the lesson's is blocked; an answer that is lost is none."""
    query = dns.message.make_query(ELSE, "A", use_edns=0)
    try:
        reply = dns.query.udp(query, "127.0.0.1", timeout=1, port=port, source=client)
    except dns.exception.Timeout:
        return False
    return reply.rcode() == dns.rcode.NXDOMAIN


def measure(client: httpx2.Client, room_id: UUID, address: str, port: int) -> Measured:
    """Click, while a client of the room asks again and again."""
    if is_in_lesson(address, port):
        sys.exit("the room is in a lesson already")
    in_force: list[float] = []

    def watch() -> None:
        while not is_in_lesson(address, port):
            time.sleep(0.002)
        in_force.append(time.perf_counter())

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    clicked = time.perf_counter()
    answer = client.post("/api/v1/filtering/lessons", json={"room_id": str(room_id), "minutes": 45, "names": [LESSON]})
    answered = time.perf_counter()
    if answer.status_code != httpx2.codes.CREATED:
        sys.exit(answer.text)
    watching.join(60)
    if not in_force:
        sys.exit("the lesson never came")
    return Measured(answered - clicked, in_force[0] - clicked)


async def wait_as_gateway(client: httpx2.AsyncClient, credential: str) -> None:
    """Ask for the policy for ever, as a filter does."""
    tag = ""
    while True:
        headers = {"Authorization": f"Bearer {credential}", "Accept-Encoding": "gzip", "If-None-Match": tag}
        answer = await client.get("/filter/v1/policy", params={"wait": 25 if tag else 0}, headers=headers)
        if not tag:
            print("waits", flush=True)
        tag = answer.headers["ETag"]


async def wait_as_gateways(url: str, ca_file: str, credentials: list[str]) -> None:
    """All of them, each with a connection of its own."""
    limits = httpx2.Limits(max_connections=None)
    context = ssl.create_default_context(cafile=ca_file)
    async with httpx2.AsyncClient(base_url=url, verify=context, timeout=60, trust_env=False, limits=limits) as client:
        await asyncio.gather(*(wait_as_gateway(client, credential) for credential in credentials))


def start_others(installation: Installation, credentials: list[str]) -> "subprocess.Popen[str]":
    """The process in which the other filters wait, once all of them do."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.lesson", "--gateways", installation.url,
         str(installation.certificates.ca_file)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if process.stdin is None or process.stdout is None:
        raise ChildProcessError("no pipes")
    process.stdin.write("\n".join(credentials))
    process.stdin.close()
    for _ in credentials:
        process.stdout.readline()
    return process


def measure_all(installation: Installation, lead: str, room_ids: list[UUID]) -> list[Measured]:
    """One lesson after the other, each in a room of its own."""
    with ScriptedUpstream() as upstream, installation.signed_in(lead) as client:
        upstream.add(f"{ELSE}. 300 IN A 192.0.2.80")
        options = [*installation.register("passerelle"), "--upstream", upstream.address]
        with RunningFilter(*options) as running:
            running.wait_for("pair in use")
            return [
                measure(client, room_id, client_in(number), running.port) for number, room_id in enumerate(room_ids, 1)
            ]


def bench(directory: Path, args: argparse.Namespace) -> None:
    server, broker = Postgres(directory / "postgres", free_port()), Broker(directory / "valkey")
    server.start()
    broker.start()
    installation = Installation(directory, server.url(), write_lists(directory), broker.url)
    others = None
    try:
        migrate(server.url())
        lead, room_ids, credentials = furnish(server.url(), args.schools, args.runs, args.others)
        installation.start(CONTROLLER, WORKER)
        installation.preau("filter", "publish")
        others = start_others(installation, credentials)
        report(measure_all(installation, lead, room_ids), args)
    finally:
        if others is not None:
            others.kill()
            others.wait()
        installation.close()
        broker.stop()
        server.stop()


def report(measured: list[Measured], args: argparse.Namespace) -> None:
    in_force = [each.in_force for each in measured]
    print(
        f"{args.schools} schools, {args.others} other filters, {len(measured)} lessons: from the click to its page "
        f"{tell([each.answered for each in measured], 's')}; to the first answer by the lesson's rule "
        f"{tell(in_force, 's')}: {MUST / statistics.median(in_force):.0f} times less than it may be, at worst "
        f"{MUST / max(in_force):.1f} times (must: {MUST:.0f} s)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", help="a new folder, removed afterwards, is made in it")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--schools", type=int, default=SCHOOLS)
    parser.add_argument("--others", type=int, default=100)
    parser.add_argument("--gateways", nargs=2, metavar=("URL", "CA"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.gateways:
        url, ca_file = args.gateways
        asyncio.run(wait_as_gateways(url, ca_file, sys.stdin.read().split()))
        return
    ROOT_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=args.directory or ROOT_STATE))
    directory.chmod(0o755)
    try:
        bench(directory, args)
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()

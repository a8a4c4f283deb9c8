"""What the audit log costs: ``python -m benchmarks.audit [--runs 7] [--changes 300] [--rows 5000]``.

The same work in two databases of one PostgreSQL (fsync on), with the log's triggers and without, in turn: one change
a transaction, a check-in that leaves no entry, an import in one transaction, eight writers at once. Ratios are of the
same round.
"""

import argparse
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg

from benchmarks.processes import tell
from fleet.audit.triggers import wanted
from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres
from fleet.migrate import migrate

WRITERS = 8
DEVICES = 200
FACTS = '{"os": "Debian 12", "memory": 8000000000, "disk": {"size": 256000000000, "free": 200000000000}}'
ADD = (
    "INSERT INTO devices (id, asset_tag, kind, platform, status, name, macs, label, facts, facts_hash,"
    " desired_revision, applied_revision, search_text)"
    f" VALUES (%s, %s, 'display', 'linux', 'active', %s, '[]', %s, '{FACTS}', 'x', '', '', '')"
)
ACTOR = """{"kind": "person", "id": "7", "name": "Alix", "address": "192.0.2.7", "operation": "devices.edit_device"}"""
Connection = psycopg.Connection[tuple[object, ...]]
Work = Callable[[str, int], float]
"""What to run on a database, how many times; seconds for all."""


def add_devices(connection: Connection, count: int) -> list[uuid.UUID]:
    identifiers = [uuid.uuid4() for _ in range(count)]
    rows = [(each, each.hex, f"Écran {number}", each.hex) for number, each in enumerate(identifiers)]
    connection.cursor().executemany(ADD, rows)
    return identifiers


def prepare(server: Postgres, name: str, *, is_audited: bool) -> str:
    """A migrated database with some devices; its URL for psycopg."""
    server.ensure_database(name)
    migrate(server.url(name))
    url = server.url(name).replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        if not is_audited:
            for trigger in wanted():
                connection.execute(f"DROP TRIGGER {trigger.name} ON {trigger.table}".encode())
        add_devices(connection, DEVICES)
    return url


def tell_actor(connection: Connection) -> None:
    """As every transaction of the application does, audited or not."""
    connection.execute("SELECT set_config('preau.actor', %s, true)", (ACTOR,))


def change(url: str, count: int, column: str = "name") -> float:
    """Transactions that each change one column of one device."""
    statement = f"UPDATE devices SET {column} = %s WHERE id = %s".encode()
    with psycopg.connect(url) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM devices LIMIT %s", (DEVICES,))]
        connection.commit()
        start = time.perf_counter()
        for number in range(count):
            tell_actor(connection)
            connection.execute(statement, (uuid.uuid4().hex, ids[number % len(ids)]))
            connection.commit()
        return time.perf_counter() - start


def check_in(url: str, count: int) -> float:
    """The same with a column that entries never tell."""
    return change(url, count, "applied_revision")


def import_rows(url: str, count: int) -> float:
    """Rows added in one transaction."""
    with psycopg.connect(url) as connection:
        start = time.perf_counter()
        tell_actor(connection)
        add_devices(connection, count)
        connection.commit()
        return time.perf_counter() - start


def write_together(url: str, count: int) -> float:
    """As many changes, shared out among writers at once."""
    threads = [threading.Thread(target=change, args=(url, count // WRITERS)) for _ in range(WRITERS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def compare(name: str, work: Work, urls: Sequence[str], count: int, runs: int) -> None:
    """Both databases in turn; each round begins with the other one."""
    audited, bare = urls
    for url in urls:
        work(url, count)  # caches and plans
    pairs = []
    for number in range(runs):
        order = (audited, bare) if number % 2 else (bare, audited)
        took = {url: work(url, count) for url in order}
        pairs.append((took[audited], took[bare]))
    ratios = [with_log / without for with_log, without in pairs]
    each = [1e6 * with_log / count for with_log, _ in pairs], [1e6 * without / count for _, without in pairs]
    print(f"{name}: x {tell(ratios, 'with the log')}; {tell(each[0], 'µs', 0)} each, {tell(each[1], 'µs', 0)} without")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--rows", type=int, default=5000)
    args = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="preau-audit-"))
    directory.chmod(0o755)
    server = Postgres(directory / "postgres", free_port())
    try:
        server.start()
        urls = prepare(server, "audited", is_audited=True), prepare(server, "bare", is_audited=False)
        compare("one change a transaction", change, urls, args.changes, args.runs)
        compare("check-ins that leave no entry", check_in, urls, args.changes, args.runs)
        compare(f"import of {args.rows} rows", import_rows, urls, args.rows, args.runs)
        compare(f"{WRITERS} writers at once", write_together, urls, args.changes, args.runs)
        tell_size(urls[0])
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def tell_size(url: str) -> None:
    """Bytes on disk for each entry, indexes and link included."""
    size = "SELECT (pg_total_relation_size('audit_entries') + pg_total_relation_size('audit_links'))::bigint"
    with psycopg.connect(url) as connection:
        bytes_, entries = connection.execute(f"{size}, (SELECT count(*) FROM audit_links)".encode()).fetchall()[0]
    assert isinstance(bytes_, int)
    assert isinstance(entries, int)
    print(f"{entries} entries: {bytes_ / entries:.0f} bytes each on disk")


if __name__ == "__main__":
    main()

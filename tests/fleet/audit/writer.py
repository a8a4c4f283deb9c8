"""A process that changes rows over eight connections until it is killed: `python -m tests.fleet.audit.writer URL`.

Each commit that PostgreSQL confirmed is one line on standard output: the row's id and how many entries it must have.
"""

import random
import sys
import threading
import uuid

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from tests.fleet.audit.changes import RENAME, add_commune

CONNECTIONS = 8
MOST = 2000
"""Commits of each connection at most: whoever forgets to kill it is not held for ever."""


def write(engine: Engine, lock: threading.Lock) -> None:
    """Transactions of one to three entries; every fifth one rolls a savepoint back, or all of itself."""
    chance = random.Random()
    for _ in range(MOST):
        try:
            with engine.connect() as connection, connection.begin() as transaction:
                identifier = add_commune(connection, "a")
                changes = chance.randrange(3)
                for number in range(changes):
                    connection.execute(RENAME, {"id": identifier, "name": f"b{number}"})
                if chance.random() < 0.2:
                    savepoint = connection.begin_nested()
                    connection.execute(RENAME, {"id": identifier, "name": "nothing"})
                    savepoint.rollback()
                if chance.random() < 0.2:
                    transaction.rollback()
                    continue
            with lock:
                sys.stdout.write(f"{identifier} {1 + changes}\n")
                sys.stdout.flush()
        except DBAPIError:
            return


def main() -> None:
    engine = create_engine(sys.argv[1], pool_size=CONNECTIONS)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    lock = threading.Lock()
    threads = [threading.Thread(target=write, args=(engine, lock)) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def read_commits(output: str) -> dict[uuid.UUID, int]:
    """Row -> entries, of whole lines only."""
    lines = output.splitlines() if output.endswith("\n") else output.splitlines()[:-1]
    return {uuid.UUID(row): int(entries) for row, entries in (line.split() for line in lines)}


if __name__ == "__main__":
    main()

"""Text to signed names file on one core: whole processes, from the command line to the renamed file.

``python -m benchmarks.compile [DIR] [--count 5000000] [--runs 5]``
"""

import argparse
import sqlite3
import sys
import tempfile
from pathlib import Path

from benchmarks.names import COUNT, tree
from benchmarks.processes import python, tell_runs
from filter.bundle import NamesFile
from filter.signing import SigningKey, trust

MUST = "must: 15 s, 500 MB, 13 bytes a name"


def load_set(directory: Path) -> None:
    """What a script would do: every name in a Python set."""
    names: set[bytes] = set()
    for path in sorted(directory.glob("*/domains")):
        with path.open("rb") as file:
            names.update(line.strip() for line in file)
    sys.stdout.write(f"{len(names)}\n")


def load_sqlite(directory: Path, out: Path) -> None:
    """What Pi-hole's gravity.db is: a table of names and lists, and an index; nothing is checked here."""
    out.unlink(missing_ok=True)
    database = sqlite3.connect(out)
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("CREATE TABLE gravity (domain TEXT NOT NULL, adlist_id INTEGER NOT NULL)")
    for number, path in enumerate(sorted(directory.glob("*/domains"))):
        with path.open(encoding="utf-8") as file:
            database.executemany("INSERT INTO gravity VALUES (?, ?)", ((line.strip(), number) for line in file))
    database.execute("CREATE INDEX idx_gravity ON gravity (domain, adlist_id)")
    database.commit()
    database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path(tempfile.gettempdir()) / "preau-benchmarks")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    print(tree(args.directory / str(args.count), args.count))
    lists, out, database = args.directory / str(args.count), args.directory / "names", args.directory / "gravity.db"
    key = SigningKey.generate()
    pem = args.directory / "private.pem"
    pem.write_bytes(key.to_pem())
    command = ["-m", "filter", "compile", "--ut1", str(lists), "--sign", str(pem), "--serial", "1", "--out", str(out)]
    runs, digests = [], set()
    for _ in range(args.runs):
        runs.append(python(*command))
        digests.add(NamesFile.open(out, trust([key.public_hex])).digest)
    names = NamesFile.open(out)
    print(f"preau-filter compile: {tell_runs(runs)} ({MUST})")
    per_name = names.size / names.names
    print(f"  {names.names} names, {names.size} bytes, {per_name:.2f} bytes a name; different digests: {len(digests)}")
    peer = "import sys; from pathlib import Path; import benchmarks.compile as peers; "
    in_set = python("-c", f"{peer}peers.load_set(Path(sys.argv[1]))", str(lists))
    print(f"Python set, here: {tell_runs([in_set])}")
    in_sqlite = python("-c", f"{peer}peers.load_sqlite(*map(Path, sys.argv[1:]))", str(lists), str(database))
    size = database.stat().st_size / names.names
    print(f"SQLite as Pi-hole's gravity.db, here: {tell_runs([in_sqlite])}, {size:.1f} bytes a name")
    database.unlink()


if __name__ == "__main__":
    main()

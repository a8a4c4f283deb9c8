"""Open and verify five million names, then answer: how long it takes, and what it adds to a worker's memory.

``python -m benchmarks.open [DIR] [--count 5000000] [--runs 7]``. The file is in the page cache, as after a download.
"""

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from benchmarks.names import COUNT, tree
from benchmarks.processes import python, tell
from filter.bundle import NamesFile
from filter.compiler import compile_names
from filter.domains import hash_name
from filter.lists.ut1 import read_ut1
from filter.signing import SigningKey, trust

LOOK_UPS = 50_000


def memory() -> dict[str, int]:
    """Bytes of this process, by kind (proc_pid_smaps_rollup(5))."""
    lines = [line.split() for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()[1:]]
    kinds = {name.rstrip(":"): int(number) * 1024 for name, number, _ in lines}
    private = kinds["Private_Clean"] + kinds["Private_Dirty"]
    return {
        "private": private,
        "shared": kinds["Shared_Clean"] + kinds["Shared_Dirty"],
        "anonymous": kinds["Anonymous"],
    }


def some_names(directory: Path) -> Iterator[bytes]:
    """Half of them listed, from all over the table, half not."""
    with (directory / "adult" / "domains").open("rb") as file:
        for line in islice(file, LOOK_UPS // 2):
            yield line.strip()
            yield b"x." + line.strip()


def worker(path: Path, directory: Path, public: str) -> None:
    """What one worker does, with its figures as JSON."""
    asked = next(some_names(directory))
    verify = trust([public])
    gc.collect()
    before = memory()
    start, worked = time.perf_counter(), time.process_time()
    names = NamesFile.open(path, verify)
    opened = time.perf_counter()
    first = names.find_set(hash_name(asked, names.header.key))
    answered, worked = time.perf_counter(), time.process_time() - worked
    found = sum(names.find_set(hash_name(name, names.header.key)) is not None for name in some_names(directory))
    done = time.perf_counter()
    gc.collect()
    added = {kind: amount - before[kind] for kind, amount in memory().items()}
    figures = {
        "open": opened - start,
        "first": answered - start,
        "worked": worked,
        "look_up": (done - answered) / LOOK_UPS,
    }
    json.dump({**figures, **added, "found": found, "right": first is not None}, sys.stdout)


def set_worker(directory: Path) -> None:
    """The same for a Python set, the quickest thing that one can write."""
    asked = next(some_names(directory))
    gc.collect()
    before = memory()
    start = time.perf_counter()
    names: set[bytes] = set()
    for path in sorted(directory.glob("*/domains")):
        with path.open("rb") as file:
            names.update(line.strip() for line in file)
    right = asked in names
    done = time.perf_counter()
    added = {kind: amount - before[kind] for kind, amount in memory().items()}
    json.dump({"first": done - start, **added, "right": right}, sys.stdout)


def ask(call: str, *arguments: object) -> dict[str, float]:
    """Run one of the workers in a process of its own."""
    reading, writing = os.pipe()
    code = f"import sys; from pathlib import Path; import benchmarks.open as b; {call}"
    python("-c", code, *map(str, arguments), output=writing)
    os.close(writing)
    with os.fdopen(reading) as file:
        figures: dict[str, float] = json.load(file)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path(tempfile.gettempdir()) / "preau-benchmarks")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    print(tree(args.directory / str(args.count), args.count))
    lists, path = args.directory / str(args.count), args.directory / "names"
    key = SigningKey.generate()
    compile_names(read_ut1(lists), path, serial=1, compiled_at=datetime.now(UTC), sign=key.sign)
    other = NamesFile.open(path)  # another worker has every page mapped, so that what is shared counts as shared
    for table in (other.fanout, other.hashes, other.set_ids):
        sum(table)
    call = "b.worker(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])"
    runs = [ask(call, path, lists, key.public_hex) for _ in range(args.runs)]
    print(f"{other.names} names, {other.size} bytes, signature and digest verified, page cache warm")
    print(f"open, verify, first answer: {tell([1e3 * r['first'] for r in runs], 'ms', 0)} (must: 150 ms)")
    print(f"  processor: {tell([1e3 * r['worked'] for r in runs], 'ms', 0)}")
    print(f"  of it the first answer: {tell([1e3 * (r['first'] - r['open']) for r in runs], 'ms', 2)}")
    print(f"one look-up from Python: {tell([1e6 * r['look_up'] for r in runs], 'µs')}")
    private = tell([r["private"] / 1e6 for r in runs], "MB")
    print(f"private memory added by it and {LOOK_UPS} look-ups: {private} (must: 2)")
    print(f"  of it written to, its own for good: {tell([r['anonymous'] / 1e6 for r in runs], 'MB')}")
    print(f"  shared file pages: {tell([r['shared'] / 1e6 for r in runs], 'MB', 1)}")
    print(f"  right answers: {all(r['right'] and r['found'] >= LOOK_UPS // 2 - 100 for r in runs)}")
    peer = ask("b.set_worker(Path(sys.argv[1]))", lists)
    print(f"Python set, here: {peer['first']:.1f} s to the first answer, {peer['private'] / 1e6:.0f} MB private")


if __name__ == "__main__":
    main()

"""How many bytes a change of one name in a hundred costs, and how long it takes to make and to apply.

``python -m benchmarks.delta [DIR]``: of the names of benchmarks.names, 0.5 % go, 0.5 % come and 0.2 % change lists.
"""

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.names import COUNT, SHARES, SYNTHETIC, tree
from filter.compiler import CompileReport, compile_names
from filter.layout.delta import apply_delta, make_delta
from filter.lists.ut1 import read_ut1

GONE, MOVED = 0.005, 0.002
PERCENT = 100


def change(old: Path, new: Path) -> None:
    """Write the lists of the next night."""
    chance = random.Random(3)
    number = 0
    for category, after in zip(SHARES, [*list(SHARES)[1:], next(iter(SHARES))], strict=True):
        lines = (old / category / "domains").read_text("ascii").splitlines()
        kept = [name for name in lines if chance.random() >= GONE]
        fresh = [f"nouveau{number + n}.n{n % 97}{SYNTHETIC}" for n in range(len(lines) - len(kept))]
        number += len(fresh)
        for folder in (category, after):
            (new / folder).mkdir(parents=True, exist_ok=True)
        with (new / category / "domains").open("a") as file:
            file.writelines(f"{name}\n" for name in kept + fresh)
        with (new / after / "domains").open("a") as file:
            file.writelines(f"{name}\n" for name in chance.sample(kept, round(len(kept) * MOVED)))


def compile_tree(directory: Path, out: Path, serial: int) -> CompileReport:
    return compile_names(read_ut1(directory), out, serial=serial, compiled_at=datetime(2026, 11, 22, tzinfo=UTC))


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path(tempfile.gettempdir()) / "preau-benchmarks")
    parser.add_argument("--count", type=int, default=COUNT)
    args = parser.parse_args()
    told = tree(args.directory / str(args.count), args.count)
    work = Path(tempfile.mkdtemp(dir=args.directory))
    try:
        change(args.directory / str(args.count), work / "lists")
        old, new, made = work / "old", work / "new", work / "made"
        before = compile_tree(args.directory / str(args.count), old, 1)
        after = compile_tree(work / "lists", new, 2)
        making = seconds(lambda: (work / "delta").write_bytes(make_delta(old, new)))
        applying = seconds(lambda: apply_delta(old, work / "delta", made))
        size = (work / "delta").stat().st_size
        print(told)
        print(f"{before.names} names become {after.names}: 0.5 % gone, 0.5 % new, 0.2 % in another list")
        share = PERCENT * size / after.size
        print(f"delta {size} bytes, {share:.2f} % of {after.size} (must: 3 % for a change of 1 %)")
        print(f"made in {making:.1f} s, applied and checked in {applying:.1f} s")
        print("same bytes" if made.read_bytes() == new.read_bytes() else "NOT THE SAME BYTES")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()

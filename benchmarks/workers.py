"""What a query costs one process that does all, one worker, and two: ``python -m benchmarks.workers [DIR]
[--count 100000] [--runs 3] [--seconds 5]``.

UDP, closed loop, blocked names and answers from the cache in turn. The client shares the machine: processor time of the
filter for each query is what can be compared, queries a second are only what was left for it.
"""

import argparse
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.names import tree
from benchmarks.processes import tell
from tests.filter.prompt import PromptUpstream
from tests.filter.running import ROOT, RunningFilter
from tests.filter.standing import standing_of
from tests.requirements import find

COUNT = 100_000
LINES = 20_000
KNOWN = 500
"""Names that the filter asks for once and keeps."""
BLOCKED_CATEGORIES = ("malware", "phishing")
CLIENTS = 64
"""Ports that the client asks from: the kernel deals them out to the workers."""
WARM_SECONDS = 2
WORKERS = (0, 1, 2)


class Measured(NamedTuple):
    """One run."""

    rate: float
    """Queries answered a second."""
    cost: float
    """Seconds of processor for each, of all processes of the filter."""
    lost: int
    pss: int
    """Bytes of all processes, what they share counted once."""


def write_queries(lists: Path, path: Path) -> None:
    """As many blocked names as others."""
    chance = random.Random(3)
    blocked = [line for each in BLOCKED_CATEGORIES for line in (lists / each / "domains").read_text().split()]
    lines = [
        f"{chance.choice(blocked)} A" if number % 2 else f"n{chance.randrange(KNOWN)}.connu.example A"
        for number in range(LINES)
    ]
    path.write_text("".join(f"{line}\n" for line in lines), "ascii")


def compile_lists(lists: Path, out: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "filter", "compile", "--ut1", str(lists), "--out", str(out)],
        check=True, cwd=ROOT, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def ask(port: int, queries: Path, seconds: int) -> tuple[int, float, int]:
    """Queries answered, in how many seconds, and those lost, as dnsperf tells."""
    dnsperf = find("dnsperf")
    if dnsperf is None:
        sys.exit("apt-get install dnsperf")
    options = ["-s", "127.0.0.1", "-p", str(port), "-d", str(queries), "-c", str(CLIENTS), "-l", str(seconds)]
    told = subprocess.run([dnsperf, *options], check=True, capture_output=True, text=True).stdout
    found = [re.findall(rf"{what}:\s+([0-9.]+)", told)[0] for what in ("completed", r"Run time \(s\)", "lost")]
    return int(found[0]), float(found[1]), int(found[2])


def measure(bundle: Path, queries: Path, workers: int, seconds: int) -> Measured:
    with PromptUpstream() as upstream:
        options = ("--bundle", str(bundle), "--upstream", upstream.address, "--workers", str(workers))
        with RunningFilter(*options) as running:
            ask(running.port, queries, WARM_SECONDS)
            before = standing_of(running)
            answered, took, lost = ask(running.port, queries, seconds)
            after = standing_of(running)
    return Measured(answered / took, (after.seconds - before.seconds) / answered, lost, after.pss * 1024)


def describe(workers: int, runs: Sequence[Measured]) -> str:
    name = "one process" if workers == 0 else f"supervisor and {workers} worker{'s' if workers > 1 else ''}"
    return (
        f"{name}: {tell([r.cost * 1e6 for r in runs], 'µs of processor a query')}, "
        f"{tell([r.rate / 1e3 for r in runs], 'kq/s', 1)}, lost {sum(r.lost for r in runs)}, "
        f"Pss {tell([r.pss / 1e6 for r in runs], 'MB', 0)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path(tempfile.gettempdir()) / "preau-benchmarks")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    args = parser.parse_args()
    lists, bundle, queries = args.directory / str(args.count), args.directory / "workers", args.directory / "queries"
    lists.mkdir(parents=True, exist_ok=True)
    print(tree(lists, args.count))
    compile_lists(lists, bundle)
    write_queries(lists, queries)
    runs: dict[int, list[Measured]] = {workers: [] for workers in WORKERS}
    for number in range(args.runs):
        for workers in WORKERS if number % 2 else reversed(WORKERS):
            runs[workers].append(measure(bundle, queries, workers, args.seconds))
    for workers, measured in runs.items():
        print(describe(workers, measured))
    one, two = (statistics.median(r.cost for r in runs[workers]) for workers in (1, 2))
    print(f"two workers over one: processor a query x {two / one:.2f}")


if __name__ == "__main__":
    main()

"""What a refresh costs those who ask meanwhile: both files swapped under load, against the same load without swaps.

``python -m benchmarks.swap [DIR] [--count 5000000] [--pairs 7] [--rate 1000] [--swaps 5] [--seconds 12]``

Pairs of runs, each in a new process, in alternating order: p99 with swaps over p99 without, and peak memory likewise.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.names import COUNT, tree
from benchmarks.processes import tell
from tests.filter.running import ROOT, RunningFilter
from tests.filter.scripted import ScriptedUpstream
from tests.requirements import find

MUST = "must: 0 lost, 0 unfiltered, p99 x 1.5, peak x 1.2"
ASKED = ("blocked.swap.example A", "www.blocked.swap.example HTTPS", "open.swap.example A", "n1.swap.example AAAA")
BLOCKED = 3
"""Of ASKED: the third leads to the upstream once, then to the cache."""
LINE = re.compile(r"> (\w+) \S+ \S+ ([0-9.]+)")


class Measured(NamedTuple):
    """One run under load."""

    p50: float
    p99: float
    """Seconds."""
    worst: float
    sent: int
    lost: int
    unfiltered: int
    peak: int
    """Bytes resident at most, mapped file included."""
    private: int
    """Bytes of its own at the end: neither shared nor of a file."""


def publications(directory: Path, count: int) -> list[Path]:
    """Two names files that differ in one list, each with a policy beside it."""
    lists = directory / str(count)
    print(tree(lists, count))
    made = []
    for number in (1, 2):
        extra, out = directory / f"swap{number}.txt", directory / f"swap{number}"
        extra.write_text(
            "".join(f"n{each}.v{number}.example\n" for each in range(count // 100))
            + "blocked.swap.example\nn1.swap.example\n"
        )
        options = ["--ut1", str(lists), "--list", f"{extra}:adult:domains", "--out", str(out), "--serial", str(number)]
        subprocess.run(
            [sys.executable, "-m", "filter", "compile", *options], check=True, cwd=ROOT, stdout=subprocess.DEVNULL
        )
        made.append(out)
    return made


def put(publication: Path, place: Path) -> None:
    """Both files to where the filter reads them, each in one rename."""
    for suffix in ("", ".policy"):
        aside, target = Path(f"{place}{suffix}.new"), Path(f"{place}{suffix}")
        aside.unlink(missing_ok=True)
        os.link(f"{publication}{suffix}", aside)
        aside.replace(target)


def status(pid: int, field: str) -> int:
    """A field of /proc/PID/status, in bytes."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def measure(directory: Path, made: Sequence[Path], args: argparse.Namespace, swaps: int) -> Measured:
    """One filter under load, with that many swaps in the meantime."""
    place = directory / "swap-served"
    put(made[0], place)
    with ScriptedUpstream() as upstream:
        upstream.add("open.swap.example. 3600 IN A 93.184.216.34")
        with RunningFilter("--bundle", str(place), "--upstream", upstream.address) as running:
            running.ask("open.swap.example")
            told = load(directory, running, args, lambda: swap(running, made, place, swaps))
            pid = running.process.pid
            return read(told, status(pid, "VmHWM"), status(pid, "RssAnon"))


def swap(running: RunningFilter, made: Sequence[Path], place: Path, swaps: int) -> None:
    """One after the other, each when the one before is in use and a second has passed."""
    for number in range(1, swaps + 1):
        put(made[number % len(made)], place)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("bundle reloaded", times=number)
        threading.Event().wait(1.0)


def load(directory: Path, running: RunningFilter, args: argparse.Namespace, meanwhile: Callable[[], None]) -> str:
    """What dnsperf saw, a line a reply."""
    queries = directory / "swap.queries"
    queries.write_text("".join(f"{line}\n" for line in ASKED))
    dnsperf = find("dnsperf")
    if dnsperf is None:
        sys.exit("apt-get install dnsperf")
    options = ["-s", "127.0.0.1", "-p", str(running.port), "-d", str(queries), "-v"]
    with (directory / "swap.told").open("w+") as told:
        process = subprocess.Popen([dnsperf, *options, f"-Q{args.rate}", f"-l{args.seconds}"], stdout=told)
        meanwhile()
        if process.poll() is not None:
            sys.exit("the load ended before the last swap: more --seconds")
        process.wait()
        told.seek(0)
        return told.read()


def read(told: str, peak: int, private: int) -> Measured:
    replies = LINE.findall(told)
    times = sorted(float(seconds) for _, seconds in replies)
    sent = int(re.findall(r"Queries sent:\s+(\d+)", told)[0])
    open_ones = sum(code == "NOERROR" for code, _ in replies)
    wrong = max(open_ones - -(-sent // len(ASKED)), 0)
    return Measured(
        p50=times[len(times) // 2],
        p99=times[int(len(times) * 0.99)],
        worst=times[-1],
        sent=sent,
        lost=int(re.findall(r"Queries lost:\s+(\d+)", told)[0]),
        unfiltered=wrong,
        peak=peak,
        private=private,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path(tempfile.gettempdir()) / "preau-benchmarks")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--swaps", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=12)
    args = parser.parse_args()
    args.directory.mkdir(parents=True, exist_ok=True)
    made = publications(args.directory, args.count)
    steady: list[Measured] = []
    swapped: list[Measured] = []
    for pair in range(args.pairs):
        for swaps in (0, args.swaps) if pair % 2 else (args.swaps, 0):
            (swapped if swaps else steady).append(measure(args.directory, made, args, swaps))
    for name, runs in (("steady", steady), (f"{args.swaps} swaps", swapped)):
        print(
            f"{name}: p50 {tell([r.p50 * 1e3 for r in runs], 'ms')}, p99 {tell([r.p99 * 1e3 for r in runs], 'ms')}, "
            f"worst {tell([r.worst * 1e3 for r in runs], 'ms')}, peak {tell([r.peak / 1e6 for r in runs], 'MB', 0)}, "
            f"private {tell([r.private / 1e6 for r in runs], 'MB', 0)}, sent {sum(r.sent for r in runs)}, "
            f"lost {sum(r.lost for r in runs)}, unfiltered {sum(r.unfiltered for r in runs)}"
        )
    ratios = [with_.p99 / without.p99 for with_, without in zip(swapped, steady, strict=True)]
    peaks = [with_.peak / without.peak for with_, without in zip(swapped, steady, strict=True)]
    print(f"p99 x {statistics.median(ratios):.2f}, peak memory x {statistics.median(peaks):.2f} ({MUST})")


if __name__ == "__main__":
    main()

"""This filter beside its peers over UDP, by the bench of `../shared/bench/dns`: ``python -m benchmarks.dns WHAT``.

``flood``: a client that offers more than any server can take, 1 million names; the echo of the bench is the ceiling.
``sizes``: a closed loop with 100,000 and 5 million names, latency at 10,000 questions a second, and the list replaced
under that load. Every round measures each server once; a ratio is the median of its rounds'. Root, two cores, gcc,
dnsperf; and dnsdist and tinycdb, without which there is nothing to compare with.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

HERE = Path(__file__).resolve().parent
BENCH = HERE.parent.parent.parent / "shared" / "bench" / "dns"
ECHO, PEER, OURS, PYTHON = "echo", "dnsdist-cdb", "preau", "preau (python)"
ECHO_ADAPTER = 'prepare() { :; }\nstart() { exec /tmp/dnsbench/stub echo "$PORT"; }\nchange() { :; }\nreload() { :; }\n'
Result: TypeAlias = Mapping[str, "Result | float | str | list[float]"]
Rounds: TypeAlias = list[dict[str, dict[str, float]]]
"""For each round: server -> figure -> value."""


class Bench:
    """Runs single servers, and reads what was measured."""

    def __init__(self, bench: Path, seconds: int, runs: int) -> None:
        self.bench = bench
        self.environ = {**os.environ, "SECS": str(seconds), "RUNS": str(runs)}
        self.folder = Path(tempfile.mkdtemp(prefix="preau-dns-"))
        (self.folder / "echo.sh").write_text(ECHO_ADAPTER)

    def run(self, server: str, size: str, **environ: str) -> Result:
        """One server with one list; raise SystemExit when it did not do its work."""
        results = self.folder / "results.jsonl"
        results.unlink(missing_ok=True)
        own = {ECHO: {"SERVERS": str(self.folder), "NOJOB": "1"}, OURS: {"SERVERS": str(HERE)}}
        own[PYTHON] = {"SERVERS": str(HERE), "PLANE": "python"}
        environ = {**self.environ, **own.get(server, {}), **environ, "RESULTS": str(results)}
        adapter = OURS if server == PYTHON else server
        subprocess.run(["bash", "run.sh", adapter, size], cwd=self.bench, env=environ, check=True, stdout=sys.stderr)
        result: Result = json.loads(results.read_text().splitlines()[-1])
        works = server == ECHO or (result.get("blocked_ok") == 1 and figure(result, "allowed_ok") > 0.99)
        if "error" in result or not works:
            raise SystemExit(f"{server}: {result}")
        return result

    def close(self) -> None:
        shutil.rmtree(self.folder)


def figure(result: Result, *path: str) -> float:
    """A number in there."""
    for key in path[:-1]:
        inner = result[key]
        assert isinstance(inner, Mapping)
        result = inner
    value = result[path[-1]]
    assert isinstance(value, int | float)
    return float(value)


def flood(bench: Bench, rounds: int) -> Iterator[dict[str, dict[str, float]]]:
    """Thousands of answers a second."""
    for _ in range(rounds):
        found = {}
        for server in (ECHO, PEER, OURS, PYTHON):
            result = bench.run(server, "1m", FLOOD="400")
            found[server] = {kind: figure(result, kind, "qps") / 1e3 for kind in ("mix", "blocked", "cached")}
        yield found


def sizes(bench: Bench, rounds: int) -> Iterator[dict[str, dict[str, float]]]:
    """Thousands of answers a second, microseconds, queries lost."""
    for _ in range(rounds):
        found = {}
        for server in (PEER, OURS):
            small = bench.run(server, "100k", NORELOAD="1")
            large = bench.run(server, "5m")
            found[server] = {
                "mix, 100k": figure(small, "mix", "qps") / 1e3,
                "mix, 5m": figure(large, "mix", "qps") / 1e3,
                "5m / 100k": figure(large, "mix", "qps") / figure(small, "mix", "qps"),
                "p99 at 10 kq/s, 5m, us": figure(large, "at10k", "p99_us"),
                "swap: lost": figure(large, "reload", "lost"),
                "swap: s": figure(large, "reload", "s"),
                "swap: peak, MB": figure(large, "reload", "peak_mb"),
                "resident, 5m, MB": figure(large, "rss_mb"),
            }
        yield found


def median(rounds: Rounds, server: str, kind: str, over: str | None = None) -> str:
    """Of the rounds; or of the ratios with another server in the same round."""
    values = [each[server][kind] / (each[over][kind] or 1 if over else 1) for each in rounds]
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def tell(rounds: Rounds, others: Sequence[str]) -> None:
    """One line for each figure of each server, with its ratio to others."""
    for kind in rounds[0][OURS]:
        for server in rounds[0]:
            ratios = [f"x {median(rounds, server, kind, over)} {over}" for over in others if server in (OURS, PYTHON)]
            print(f"{kind:24} {server:16} {median(rounds, server, kind):28} {'   '.join(ratios)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("flood", "sizes"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each run")
    parser.add_argument("--runs", type=int, default=3, help="of each query mix in a round")
    parser.add_argument("--bench", type=Path, default=BENCH)
    given = parser.parse_args()
    if not (given.bench / "run.sh").exists() or shutil.which("dnsdist") is None:
        parser.exit(1, f"needs the bench in {given.bench}, and dnsdist, tinycdb, dnsperf and gcc\n")
    bench = Bench(given.bench, given.seconds, given.runs)
    try:
        rounds = list((flood if given.what == "flood" else sizes)(bench, given.rounds))
        tell(rounds, (ECHO, PEER) if given.what == "flood" else (PEER,))
    finally:
        bench.close()


if __name__ == "__main__":
    main()

"""What a process holds and spends, as the kernel tells it: memory, mapped files, descriptors, processor time, drops."""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.filter.load import children_of
from tests.filter.running import PATIENCE, RunningFilter

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Standing:
    """Of all processes of one filter, at one moment."""

    rss: int
    pss: int
    """Kilobytes; Pss shares what several processes map."""
    descriptors: int
    mapped: int
    """Places where a publication, or a file that was removed, is mapped."""
    seconds: float
    """Of processor time since they began."""

    def __str__(self) -> str:
        return (
            f"rss {self.rss} kB, pss {self.pss} kB, {self.descriptors} descriptors, {self.mapped} mapped, "
            f"{self.seconds:.1f} CPU s"
        )


def processes_of(running: RunningFilter) -> tuple[int, ...]:
    """The supervisor, or the only process, and its workers."""
    return (running.process.pid, *children_of(running.process.pid))


def standing_of(running: RunningFilter) -> Standing:
    processes = processes_of(running)
    memory = [read_memory(each) for each in processes]
    return Standing(
        sum(rss for rss, _ in memory),
        sum(pss for _, pss in memory),
        sum(descriptors_of(each) for each in processes),
        sum(len(mapped_by(each)) for each in processes),
        sum(cpu_seconds(each) for each in processes),
    )


def read_memory(process: int) -> tuple[int, int]:
    """(Rss, Pss) in kilobytes."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return found["Rss"], found["Pss"]


def descriptors_of(process: int) -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


def mapped_by(process: int) -> list[str]:
    """Publications (``*.preau``, ``names``, ``policy``) and removed files that a process maps."""
    lines = Path(f"/proc/{process}/maps").read_text("utf-8", "replace").splitlines()
    paths = [line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6]
    return [path for path in paths if path.startswith("/") and is_publication(path)]


def is_publication(path: str) -> bool:
    name = path.removesuffix(" (deleted)").rpartition("/")[2]
    return path.endswith(" (deleted)") or ".preau" in name or name in {"names", "policy"}


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def udp_drops(ports: Iterable[int]) -> int:
    """Packets that the kernel dropped, as a socket bound to one of these ports was full (proc(5), net/udp)."""
    wanted = set(ports)
    lines = Path("/proc/net/udp").read_text("ascii").splitlines()[1:]
    return sum(int(line.split()[-1]) for line in lines if int(line.split()[1].rpartition(":")[2], 16) in wanted)


def wait_until(
    condition: Callable[[], bool], told: Callable[[], object] = lambda: "", patience: float = PATIENCE
) -> None:
    """Until it holds; fails, saying what is ``told`` then, when it does not in time."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.02)

"""Many queries over UDP at once, and what became of each: blocked names must be blocked, whatever else happens."""

import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dns.message
import dns.rcode

ADDRESS = bytes([93, 184, 216, 34])
"""What every allowed name has, if anybody answers."""
BLOCKED = "jeu.example"
OUTSTANDING = 50
PATIENCE = 6.0
"""Seconds until a query without an answer is lost; the filter itself gives up earlier."""
A = struct.pack("!HH", 1, 1)


@dataclass
class Figures:
    """What a run came to."""

    sent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    memory: int = 0
    """Kilobytes that the filter holds when it is over."""

    def __getattr__(self, outcome: str) -> int:
        if outcome not in {"right", "failed", "stale", "lost", "unfiltered", "wrong"}:
            raise AttributeError(outcome)
        return self.outcomes[outcome]

    def __str__(self) -> str:
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"{self.sent} sent: {told}; slowest {self.slowest:.2f} s; {self.memory} kB"


def queries(prefix: str, count: int) -> Iterator[str]:
    """A third blocked, a third never asked before, a third asked again and again."""
    for number in range(count):
        yield (f"n{number}.{BLOCKED}", f"{prefix}{number}.libre.example", f"{prefix}{number % 7}.connu.example")[
            number % 3
        ]


def run(port: int, prefix: str, count: int = 900) -> Figures:
    """Ask, never more than OUTSTANDING at once; each query is asked once."""
    figures = Figures()
    pending: dict[int, tuple[str, float]] = {}
    names = queries(prefix, count)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        while True:
            while len(pending) < OUTSTANDING and (name := next(names, None)) is not None:
                query = dns.message.make_query(name, "A", id=figures.sent)
                client.send(query.to_wire())
                pending[figures.sent] = name, time.monotonic()
                figures.sent += 1
            if not pending:
                return figures
            if select.select([client], [], [], 0.2)[0]:
                settle(client, pending, figures)
            forget(pending, figures)


def settle(client: socket.socket, pending: dict[int, tuple[str, float]], figures: Figures) -> None:
    try:
        data = client.recv(65_535)
    except OSError:  # nobody listens for a moment: told by what gets lost
        return
    name, started = pending.pop(int.from_bytes(data[:2], "big"), ("", 0.0))
    if name:
        figures.outcomes[judge(name, data)] += 1
        figures.slowest = max(figures.slowest, time.monotonic() - started)


def forget(pending: dict[int, tuple[str, float]], figures: Figures) -> None:
    """What nobody answered is lost."""
    for identifier, (_, started) in list(pending.items()):
        if time.monotonic() - started > PATIENCE:
            del pending[identifier]
            figures.outcomes["lost"] += 1


def judge(name: str, data: bytes) -> str:
    """What a reply says of its query."""
    reply = dns.message.from_wire(data)
    found = [rdata.to_wire() for rrset in reply.answer for rdata in rrset]
    if name.endswith(BLOCKED):
        return "right" if reply.rcode() == dns.rcode.NXDOMAIN and not found else "unfiltered"
    if reply.rcode() == dns.rcode.SERVFAIL:
        return "failed"
    return "right" if found == [ADDRESS] else "wrong"


def memory_of(process: int) -> int:
    """Kilobytes resident, of a process and its children."""
    total = 0
    for each in (process, *children_of(process)):
        lines = Path(f"/proc/{each}/status").read_text("ascii").splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return total


def children_of(process: int) -> list[int]:
    """Whichever of its threads started them; and theirs."""
    told = [path.read_text("ascii") for path in Path(f"/proc/{process}/task").glob("*/children")]
    children = [int(each) for each in " ".join(told).split()]
    return children + [each for child in children for each in children_of(child)]

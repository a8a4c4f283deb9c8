"""TCP, DoT and DoH side by side with dnsdist: the same cached names, one core for the server, another for the client.

dnsperf asks over TCP and DoT, h2load (nghttp2) over DoH: dnsperf loses the answers of servers that put several into one
TLS record, as dnsdist does. Queries a second, the server's processor time for each, and how much of its core others had
meanwhile; medians of paired runs.

    python -m benchmarks.streams [--runs N] [--seconds N]
"""

import argparse
import base64
import os
import re
import shutil
import socket
import socketserver
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.certificates import Authority, Issued

ROOT = Path(__file__).parent.parent
NAMES = [f"www.nom-{number}.example" for number in range(2_000)]
LISTED = [f"bloque-{number}.example" for number in range(1_000)]
CONNECTIONS = 8
SERVER_CORE, CLIENT_CORE = "0", "1"
TICK = os.sysconf("SC_CLK_TCK")
WANTED = {"tcp": 0.7, "dot": 0.7, "doh GET": 0.5, "doh POST": 0.5}


class Result(NamedTuple):
    """One run of a client."""

    rate: float
    micros: float
    """Of processor time for each query."""
    others: float
    """The part of the server's core that others had, 1 for all of it: above a tenth, only ``micros`` says much."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server answers."""

    plain: int
    tls: int
    https: int

    @classmethod
    def free(cls) -> "Ports":
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        ports = [each.getsockname()[1] for each in sockets]
        for each in sockets:
            each.close()
        return cls(*ports)


def pack(name: str) -> bytes:
    labels = b"".join(bytes((len(each),)) + each.encode() for each in name.split("."))
    return struct.pack("!6H", 0, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"


def reply_to(query: bytes) -> bytes:
    """192.0.2.1 for an A, nothing for what a server asks to look after its resolver."""
    end = 12
    while query[end]:
        end += query[end] + 1
    end += 5
    record = b"\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4\xc0\0\2\1" if query[end - 4 : end] == b"\0\1\0\1" else b""
    return query[:2] + b"\x81\x80\0\1" + struct.pack("!3H", bool(record), 0, 0) + query[12:end] + record


class OverUdp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(reply_to(data), self.client_address)


class OverTcp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while len(length := self.rfile.read(2)) == 2:
            reply = reply_to(self.rfile.read(int.from_bytes(length, "big")))
            self.wfile.write(struct.pack("!H", len(reply)) + reply)


class TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def upstream() -> Iterator[int]:
    """Answers over UDP, and over TCP, where dnsdist asks for what it is asked over TCP; asked once for each name."""
    with (
        socketserver.UDPServer(("127.0.0.1", 0), OverUdp) as udp,
        TcpServer(("127.0.0.1", udp.server_address[1]), OverTcp) as tcp,
    ):
        threads = [threading.Thread(target=each.serve_forever) for each in (udp, tcp)]
        for each in threads:
            each.start()
        try:
            yield udp.server_address[1]
        finally:
            udp.shutdown()
            tcp.shutdown()
            for each in threads:
                each.join()


def ours(folder: Path, ports: Ports, issued: Issued, asked: int) -> list[str]:
    """The command that runs this filter."""
    (folder / "liste").write_text("\n".join(LISTED))
    names = folder / "names"
    command = [sys.executable, "-m", "filter"]
    subprocess.run(
        [*command, "compile", "--list", f"{folder / 'liste'}:jeux:domains", "--serial", "1", "--out", str(names)],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return [
        *command, "serve", "--bundle", str(names), "--upstream", f"127.0.0.1:{asked}",
        "--listen", f"127.0.0.1:{ports.plain}", "--listen-tls", f"127.0.0.1:{ports.tls}",
        "--listen-https", f"127.0.0.1:{ports.https}", "--certificate", str(issued.certificate),
        "--certificate-key", str(issued.key),
    ]  # fmt: skip


def dnsdist(folder: Path, ports: Ports, issued: Issued, asked: int) -> list[str]:
    """The command that runs dnsdist with the same names, a cache, and one thread for each kind of listener."""
    files = f'"{issued.certificate}", "{issued.key}"'
    listed = ", ".join(f'"{name}"' for name in LISTED)
    (folder / "dnsdist.conf").write_text(
        'setSecurityPollSuffix("")\n'
        f'newServer({{address="127.0.0.1:{asked}", healthCheckMode="up"}})\n'
        f'setLocal("127.0.0.1:{ports.plain}", {{maxInFlight=200}})\n'
        f'addTLSLocal("127.0.0.1:{ports.tls}", {files}, {{maxInFlight=200}})\n'
        f'addDOHLocal("127.0.0.1:{ports.https}", {files}, "/dns-query")\n'
        'getPool(""):setCache(newPacketCache(100000))\n'
        f"blocked = newSuffixMatchNode()\nblocked:add({{{listed}}})\n"
        "addAction(SuffixMatchNodeRule(blocked), RCodeAction(DNSRCode.NXDOMAIN))\n"
    )
    return ["dnsdist", "--supervised", "--disable-syslog", "-C", str(folder / "dnsdist.conf")]


@contextmanager
def running(command: Sequence[str], ports: Ports) -> Iterator[int]:
    """A server on its core; its process, once it answers."""
    process = subprocess.Popen(
        ["taskset", "-c", SERVER_CORE, *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 30
        while not answers(ports.plain):
            if time.monotonic() > deadline or process.poll() is not None:
                raise TimeoutError(command[0])
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def answers(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        client.connect(("127.0.0.1", port))
        try:
            client.send(pack(NAMES[0]))
            return client.recv(4096)[3] & 15 == 0
        except OSError:
            return False


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def busy_seconds(core: str) -> float:
    """What everybody had of a core since the machine started (proc(5), /proc/stat)."""
    (line,) = (each for each in Path("/proc/stat").read_text("ascii").splitlines() if each.startswith(f"cpu{core} "))
    user, nice, system, _idle, _waiting, *rest = (int(word) for word in line.split()[1:9])
    return (user + nice + system + sum(rest)) / TICK


def by_dnsperf(mode: str, port: int, folder: Path, seconds: int) -> tuple[int, float]:
    """(queries, seconds)."""
    asked = folder / "asked"
    asked.write_text("".join(f"{name} A\n" for name in (*NAMES, *LISTED)))
    text = client(
        "dnsperf", "-m", mode, "-s", "127.0.0.1", "-p", str(port), "-d", str(asked), "-l", str(seconds),
        "-c", str(CONNECTIONS), "-q", "200", "-W",
    )  # fmt: skip
    return int(find(r"Queries completed: +(\d+)", text)), float(find(r"Run time \(s\): +([\d.]+)", text))


def by_h2load(method: str, port: int, folder: Path, seconds: int) -> tuple[int, float]:
    """(queries, seconds), the first second left out."""
    address = f"https://127.0.0.1:{port}/dns-query"
    if method == "GET":
        texts = (base64.urlsafe_b64encode(pack(name)).rstrip(b"=").decode() for name in (*NAMES, *LISTED))
        (folder / "asked").write_text("".join(f"{address}?dns={text}\n" for text in texts))
        what = ["-i", str(folder / "asked")]
    else:
        (folder / "asked").write_bytes(pack(NAMES[0]))
        what = ["-d", str(folder / "asked"), "-H", "content-type: application/dns-message", address]
    text = client("h2load", "-D", str(seconds), "-c", str(CONNECTIONS), "-m", "25", *what)
    done = int(find(r"(\d+) succeeded", text))
    return done, float(seconds)


def client(*command: str) -> str:
    return subprocess.run(
        ["taskset", "-c", CLIENT_CORE, *command], capture_output=True, text=True, check=True, timeout=120
    ).stdout


def find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(text)
    return found[1]


def measure(process: int, load: Callable[[], tuple[int, float]]) -> Result:
    before, busy, began = cpu_seconds(process), busy_seconds(SERVER_CORE), time.monotonic()
    queries, seconds = load()
    own = cpu_seconds(process) - before
    others = (busy_seconds(SERVER_CORE) - busy - own) / (time.monotonic() - began)
    return Result(queries / seconds, own / queries * 1e6, others)


def load_of(kind: str, ports: Ports, folder: Path, seconds: int) -> Callable[[], tuple[int, float]]:
    """What asks by this kind, or LookupError where the program for it is not installed."""
    mode, _, method = kind.partition(" ")
    program = "h2load" if method else "dnsperf"
    if shutil.which(program) is None:
        raise LookupError(f"{program} is not installed")
    if method:
        return lambda: by_h2load(method, ports.https, folder, seconds)
    return lambda: by_dnsperf(mode, ports.tls if mode == "dot" else ports.plain, folder, seconds)


def compare(kind: str, servers: dict[str, tuple[int, Ports]], folder: Path, runs: int, seconds: int) -> str:
    """One line: all servers' medians, and the ratio of the first to each other."""
    try:
        loads = {name: (pid, load_of(kind, ports, folder, seconds)) for name, (pid, ports) in servers.items()}
    except LookupError as missing:
        return f"{kind:9} {missing}"
    results: dict[str, list[Result]] = {name: [] for name in servers}
    for _, load in loads.values():
        load()  # what is not kept yet is asked for now
    for _ in range(runs):
        for name, (pid, load) in loads.items():
            results[name].append(measure(pid, load))
    told = [
        f"{name} {statistics.median(r.rate for r in found) / 1000:.1f} kq/s, "
        f"{statistics.median(r.micros for r in found):.1f} µs, others {statistics.median(r.others for r in found):.0%}"
        for name, found in results.items()
    ]
    mine, *others = results.values()
    for found in others:
        ratio = statistics.median(a.rate / b.rate for a, b in zip(mine, found, strict=True))
        told.append(f"ratio {ratio:.2f} (must be at least {WANTED[kind]})")
    return f"{kind:9} {'; '.join(told)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        issued = Authority.make(folder).issue("127.0.0.1")
        asked = stack.enter_context(upstream())
        kinds = {"preau": ours, **({"dnsdist": dnsdist} if shutil.which("dnsdist") else {})}
        servers = {}
        for name, command in kinds.items():
            ports = Ports.free()
            servers[name] = (stack.enter_context(running(command(folder, ports, issued, asked), ports)), ports)
        for kind in WANTED:
            print(compare(kind, servers, folder, given.runs, given.seconds), flush=True)


if __name__ == "__main__":
    main()

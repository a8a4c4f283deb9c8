"""A machine with two networks: an answer leaves from the address that was asked, over whatever way leads back."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ansible.namespaces import Namespace
from tests.filter.running import ROOT, RunningFilter
from tests.requirements import needs

ASKED, ELSEWHERE = "10.1.0.1", "10.77.7.7"
PORT = 5300
ASK = """
import json, socket, sys
import dns.message
for source in sys.argv[2:]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.connect((sys.argv[1], 5300))
        sock.settimeout(5)
        sock.send(dns.message.make_query("www.jeu.example", "A").to_wire())
        print(json.dumps([source, dns.message.from_wire(sock.recv(4096)).rcode()]))
"""


@dataclass(frozen=True, slots=True)
class Town:
    """The filter's machine, and one that it reaches by two ways."""

    server: Namespace
    client: Namespace


@pytest.fixture
def town() -> Iterator[Town]:
    """The client's own address is reached over the second cable only, and asks over the first."""
    server, client = Namespace.make("wb-server"), Namespace.make("wb-client")
    try:
        for number in (1, 2):
            ends = f"wbs{number}", f"wbc{number}"
            server.link(ends[0], client, ends[1])
            server.ip("addr", "add", f"10.{number}.0.1/24", "dev", ends[0])
            client.ip("addr", "add", f"10.{number}.0.2/24", "dev", ends[1])
        for namespace, ends in ((server, ("wbs1", "wbs2")), (client, ("wbc1", "wbc2"))):
            for name in ("all", *ends):  # what comes in by one cable and leaves by the other is no forgery here
                namespace.run("sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter=0")
        client.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")  # its own address is no neighbour's
        client.ip("addr", "add", f"{ELSEWHERE}/32", "dev", "lo")
        server.ip("route", "add", f"{ELSEWHERE}/32", "via", "10.2.0.2")
        yield Town(server, client)
    finally:
        server.remove()
        client.remove()


class FilterInside(RunningFilter):
    """In a namespace, on every address of it."""

    def __init__(self, namespace: Namespace, *options: str) -> None:
        super().__init__("--listen", f"0.0.0.0:{PORT}", *options)
        self.namespace = namespace

    def start(self) -> "subprocess.Popen[str]":
        command = self.namespace.command(sys.executable, "-m", "filter", *self.options)
        return subprocess.Popen(command, cwd=ROOT, env=self.environ, stderr=subprocess.PIPE, text=True)


@needs("ip", root=True)
@pytest.mark.parametrize("plane", ["auto", "python"])
def test_an_answer_finds_another_way_back(town: Town, bundle_file: Path, plane: str) -> None:
    options = ("--bundle", str(bundle_file), "--upstream", "192.0.2.1", "--plane", plane)
    with FilterInside(town.server, *options):
        told = town.client.run(sys.executable, "-c", ASK, ASKED, "10.1.0.2", ELSEWHERE)
    assert [json.loads(line) for line in told.splitlines()] == [["10.1.0.2", 3], [ELSEWHERE, 3]]

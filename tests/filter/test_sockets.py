"""Where a real filter process answers: several addresses, wildcards, sockets of systemd's, another account's rights."""

import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from filter.endpoints import Endpoint
from filter.serving.sockets import IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_PROBE, Kind, bind
from tests.certificates import Authority
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.encrypted import EncryptedFilter
from tests.filter.load import children_of
from tests.filter.running import ROOT, RunningFilter, receive
from tests.filter.scripted import ScriptedUpstream, free_port

QUERY = dns.message.make_query("www.jeu.example", "A").to_wire()
AS_SYSTEMD = """
import fcntl, os, sys
passed = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[1].split(",")]
for number, descriptor in enumerate(passed):
    os.dup2(descriptor, 3 + number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "filter", *sys.argv[2:]])
"""
"""Hands its sockets over from descriptor 3 on, to the very process whose id it tells."""
SYSTEM_PYTHON = "/usr/bin/python3"
"""One that every account may read; ours may be in somebody's home."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as scripted:
        yield scripted


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_pair(LISTS, SCHOOL, tmp_path_factory.mktemp("sockets") / "ecole.preau", serial=7)


def ask_at(address: str, port: int) -> tuple[bytes, str]:
    """The reply of whoever answers from any address, and which one that was."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(8)
        client.sendto(QUERY, (address, port))
        reply, sender = client.recvfrom(4096)
    return reply, str(sender[0])


@pytest.mark.parametrize(
    ("listen", "addresses"),
    [("0.0.0.0", ["127.0.0.1", "127.0.0.2", "127.3.2.1"]), ("[::]", ["::1"])],
)
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_wildcard_answers_from_the_address_that_was_asked(
    bundle: Path, upstream: ScriptedUpstream, listen: str, addresses: list[str], workers: str
) -> None:
    port = free_port()
    options = ("--bundle", str(bundle), "--upstream", upstream.address, "--listen", f"{listen}:{port}")
    with RunningFilter(*options, "--workers", workers):
        for address in addresses:
            reply, sender = ask_at(address, port)
            assert sender == address
            assert dns.message.from_wire(reply).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("host", "level", "option"),
    [("127.0.0.1", socket.IPPROTO_IP, IP_MTU_DISCOVER), ("::1", socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)],
)
def test_replies_are_never_fragments(host: str, level: int, option: int) -> None:
    """RFC 9715 3.1."""
    with bind(Kind.UDP, Endpoint(host, 0)).sock as sock:
        assert sock.getsockopt(level, option) == PMTUDISC_PROBE


def test_sockets_of_systemds_are_answered_on(bundle: Path, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    issued = authority.issue("127.0.0.1")
    kinds = [(socket.SOCK_DGRAM, "dns"), (socket.SOCK_STREAM, "dns"), (socket.SOCK_STREAM, "dot")]
    passed = [socket.socket(socket.AF_INET, kind) for kind, _ in kinds]
    for each in passed:
        each.bind(("127.0.0.1", 0))
        if each.type == socket.SOCK_STREAM:
            each.listen()
    udp, tcp, dot = (each.getsockname()[1] for each in passed)
    with SocketActivated(passed, [name for _, name in kinds], "--bundle", str(bundle), "--upstream", upstream.address,
                         "--certificate", str(issued.certificate), "--certificate-key", str(issued.key)):  # fmt: skip
        reply, _ = ask_at("127.0.0.1", udp)
        assert dns.message.from_wire(reply).rcode() == dns.rcode.NXDOMAIN
        with socket.create_connection(("127.0.0.1", tcp), timeout=8) as client:
            client.sendall(len(QUERY).to_bytes(2, "big") + QUERY)
            assert receive(client)[:2] == QUERY[:2]
        shaken = subprocess.run(
            ["kdig", f"@127.0.0.1#{dot}", "+tls", "www.jeu.example"], capture_output=True, text=True, timeout=20
        )
        assert "status: NXDOMAIN" in shaken.stdout


class SocketActivated(RunningFilter):
    """A filter that binds nothing: it is started as systemd starts a service of a socket unit."""

    def __init__(self, passed: list[socket.socket], names: list[str], *options: str) -> None:
        super().__init__(*options)
        self.passed = passed
        self.options = ["serve", *options]
        self.environ |= {"LISTEN_FDS": str(len(passed)), "LISTEN_FDNAMES": ":".join(names)}

    def start(self) -> "subprocess.Popen[str]":
        descriptors = [each.fileno() for each in self.passed]
        return subprocess.Popen(
            [sys.executable, "-c", AS_SYSTEMD, ",".join(map(str, descriptors)), *self.options],
            cwd=ROOT, env=self.environ, stderr=subprocess.PIPE, text=True, pass_fds=descriptors,
        )  # fmt: skip


class ReadableFilter(RunningFilter):
    """A filter run by a Python that other accounts may read too."""

    def start(self) -> "subprocess.Popen[str]":
        packages = next(Path(path) for path in sys.path if path.endswith("site-packages"))
        return subprocess.Popen(
            [SYSTEM_PYTHON, "-m", "filter", *self.options],
            cwd=ROOT, env=self.environ | {"PYTHONPATH": str(packages)}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


def can_change_account() -> bool:
    """Whether we are root, and the system's Python can run our packages."""
    if os.geteuid() or not Path(SYSTEM_PYTHON).exists():
        return False
    told = subprocess.run([SYSTEM_PYTHON, "--version"], capture_output=True, text=True).stdout
    return told.split()[1].rpartition(".")[0] == f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.skipif(not can_change_account(), reason="only root gives rights up")
def test_rights_are_given_up_once_the_ports_are_open(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    names = compile_pair(LISTS, SCHOOL, tmp_path / "ecole.preau", serial=7)
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.getuid() and path.is_relative_to("/tmp/pytest-of-root"):
            path.chmod(0o755)
    for path in tmp_path.iterdir():
        path.chmod(0o644)
    nobody = pwd.getpwnam("nobody")
    options = ("--bundle", str(names), "--upstream", upstream.address, "--user", "nobody", "--workers", "2")
    with ReadableFilter(*options) as running:
        processes = [running.process.pid, *children_of(running.process.pid)]
        told = [Path(f"/proc/{each}/status").read_text() for each in processes]
        assert running.ask("www.jeu.example").rcode() == dns.rcode.NXDOMAIN
    assert len(told) == 4
    for status in told:
        lines = {line.partition(":")[0]: line.split()[1:] for line in status.splitlines()}
        assert set(lines["Uid"]) == {str(nobody.pw_uid)}
        assert set(lines["Gid"]) == {str(nobody.pw_gid)}
        assert int(lines["CapEff"][0], 16) == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--listen-tls", "127.0.0.1:8853"], "--certificate manque"),
        (
            ["--certificate", "/absent.pem", "--listen-https", "127.0.0.1:8443"],
            "--certificate /absent.pem n’existe pas",
        ),
        (["--certificate-key", "/absent.key"], "--certificate-key accompagne --certificate"),
        (["--listen-tls", "dns.exemple.fr"], "--listen-tls dns.exemple.fr:853 : attendu une adresse IP"),
        (["--public-name", "pas un nom"], "--public-name pas un nom n’est pas un nom"),
        (["--max-connections", "beaucoup"], "--max-connections beaucoup : attendu un nombre entier"),
        (["--user", "personne-ici"], "--user personne-ici : ce compte n’existe pas"),
        (
            ["--listen-tls", "127.0.0.1:5399", "--listen-https", "127.0.0.1:5399"],
            "127.0.0.1:5399 est demandé deux fois",
        ),
    ],
)
def test_what_is_wrong_with_the_options_is_said(bundle: Path, options: list[str], told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "filter", "serve", "--bundle", str(bundle), "--upstream", "192.0.2.1",
         "--listen", f"127.0.0.1:{free_port()}", *options],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert done.returncode == 1
    assert told in done.stderr


def test_the_address_of_dot_may_be_taken(bundle: Path, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with (
        EncryptedFilter(Authority.make(tmp_path), "--bundle", str(bundle), "--upstream", upstream.address) as running,
        socket.create_connection(("127.0.0.1", running.tls)),
    ):
        options = running.options.copy()
        options[2] = f"127.0.0.1:{free_port()}"
        options[4] = f"127.0.0.1:{free_port()}"
        done = subprocess.run(
            [sys.executable, "-m", "filter", *options], cwd=ROOT, capture_output=True, text=True, timeout=30
        )

    assert done.returncode == 1
    assert f"127.0.0.1:{running.tls} est déjà pris en TCP par un autre programme" in done.stderr

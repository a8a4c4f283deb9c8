"""Enrolment by the real command against a real HTTPS server: what is kept, and every way it can be refused."""

import errno
import http.client
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.client import distrust, reason
from agent.identity import find_identity
from agent.lock import exclusive
from agent.protocol import Refusal
from tests.agent.conftest import DESIRED, MACHINE, RunAgent, environment
from tests.agent.peer import CREDENTIAL, DEVICE, SECRET, Peer, make_authority, serve

IDENTITY = "var/lib/preau/identity.json"


def test_a_device_enrols_and_keeps_its_identity_to_itself(peer: Peer, run_agent: RunAgent, root: Path) -> None:
    done = run_agent("enroll", "--controller", peer.url, "--token", peer.token)
    assert (done.returncode, done.stderr) == (0, f"device enrolled device={DEVICE} adopted=False\n")
    assert done.stdout == "Appareil enrôlé sous l’étiquette AI-0001, École des Tilleuls.\n"
    (request,) = peer.enrollments
    assert (request.token, request.identity, request.facts.model) == (SECRET, MACHINE.identity, "Ecran 75")
    identity = find_identity(root)
    assert identity is not None
    assert (identity.device_id, identity.credential, identity.controller) == (DEVICE, CREDENTIAL, peer.url)
    assert stat.S_IMODE((root / IDENTITY).stat().st_mode) == 0o600
    assert stat.S_IMODE((root / IDENTITY).parent.stat().st_mode) == 0o700


def test_the_pin_never_travels_and_nothing_secret_is_printed(peer: Peer, run_agent: RunAgent) -> None:
    enrolled = run_agent("enroll", "--controller", peer.url, "--token", peer.token)
    ran = run_agent("run", "--once")
    shown = run_agent("status")
    as_json = run_agent("status", "--json")
    told = "".join(p.stdout + p.stderr for p in (enrolled, ran, shown, as_json))
    for secret in (SECRET, CREDENTIAL, peer.token[12:]):
        assert secret not in told
    assert json.loads(as_json.stdout)["device_id"] == DEVICE
    assert peer.token[12:] not in repr(peer.enrollments)


def test_the_token_can_stay_out_of_the_process_list(peer: Peer, run_agent: RunAgent) -> None:
    done = run_agent("enroll", "--controller", peer.url, PREAU_AGENT_TOKEN=peer.token)
    assert done.returncode == 0, done.stderr


def test_the_same_token_again_wastes_no_use_of_it(peer: Peer, run_agent: RunAgent) -> None:
    for _ in range(2):
        done = run_agent("enroll", "--controller", peer.url, "--token", peer.token)
        assert done.returncode == 0
    assert done.stdout.startswith("Déjà enrôlé avec ce code")
    assert len(peer.enrollments) == 1
    again = run_agent("enroll", "--controller", peer.url, "--token", peer.token, "--again")
    assert again.returncode == 0
    first, second = peer.enrollments
    assert first.attempt != second.attempt


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "token.unknown", 3),
        (410, "token.expired", 4),
        (410, "token.revoked", 4),
        (410, "token.used_up", 5),
        (429, "token.too_many_attempts", 12),
        (422, "token.wrong_kind", 13),
        (409, "enrollment.undecided", 13),
        (400, "protocol.invalid", 13),
        (503, "controller.busy", 8),
    ],
)
def test_each_refusal_has_its_exit_status_and_keeps_the_controllers_words(
    peer: Peer, run_agent: RunAgent, root: Path, status: int, code: str, expected: int
) -> None:
    peer.refusal = (status, Refusal(code, "Voici pourquoi."))
    done = run_agent("enroll", "--controller", peer.url, "--token", peer.token)
    assert done.returncode == expected
    assert "Voici pourquoi." in done.stderr
    identity = find_identity(root)
    assert identity is not None
    assert identity.credential == ""


def test_a_refused_enrolment_leaves_the_old_identity(peer: Peer, run_agent: RunAgent, root: Path) -> None:
    run_agent("enroll", "--controller", peer.url, "--token", peer.token)
    peer.refusal = (410, Refusal("token.expired", "Trop tard."))
    other = "0" * 12 + peer.token[12:]
    assert run_agent("enroll", "--controller", peer.url, "--token", other).returncode == 4
    identity = find_identity(root)
    assert identity is not None
    assert identity.credential == CREDENTIAL


def test_another_authority_gets_nothing(peer: Peer, run_agent: RunAgent, tmp_path: Path) -> None:
    impostor = Peer(make_authority(tmp_path, "impostor"))
    with serve(impostor, impostor.authority.issue("localhost")):
        done = run_agent("enroll", "--controller", impostor.url, "--token", peer.token)
    assert done.returncode == 6
    assert "autorité que le code annonce" in done.stderr
    assert impostor.authorizations == []


def test_the_right_ca_on_the_wrong_server_gets_nothing(peer: Peer, run_agent: RunAgent, tmp_path: Path) -> None:
    """An impostor may copy the CA, which is public; it cannot have a certificate signed by it."""
    stolen = Peer(peer.authority)
    with serve(stolen, make_authority(tmp_path, "impostor").issue("localhost")):
        done = run_agent("enroll", "--controller", stolen.url, "--token", peer.token)
    assert done.returncode == 6
    assert stolen.authorizations == []


def test_the_host_name_is_checked(peer: Peer, run_agent: RunAgent, tmp_path: Path) -> None:
    neighbour = Peer(peer.authority)
    with serve(neighbour, peer.authority.issue("autre.example.test")):
        done = run_agent("enroll", "--controller", neighbour.url, "--token", peer.token)
    assert done.returncode == 6
    assert neighbour.authorizations == []


def test_a_token_without_a_pin_believes_the_system_only(peer: Peer, run_agent: RunAgent) -> None:
    refused = run_agent("enroll", "--controller", peer.url, "--token", SECRET)
    assert refused.returncode == 6
    trusted = str(peer.authority.certificate)
    believed = run_agent("enroll", "--controller", peer.url, "--token", SECRET, SSL_CERT_FILE=trusted)
    assert believed.returncode == 0, believed.stderr


@pytest.mark.parametrize(("since", "days"), [(3, 90), (-20, -10)])
def test_a_certificate_out_of_its_dates_tells_both_clocks(
    peer: Peer, run_agent: RunAgent, since: int, days: int
) -> None:
    dated = Peer(peer.authority, clock=lambda: datetime(2027, 9, 1, 8, 25, tzinfo=UTC))
    with serve(dated, peer.authority.issue("localhost", since=since, days=days)):
        done = run_agent("enroll", "--controller", dated.url, "--token", peer.token)
    assert done.returncode == 7
    assert f"{datetime.now(UTC):%d/%m/%Y}" in done.stderr
    assert "01/09/2027 08:25:00" in done.stderr
    assert dated.authorizations == []


@pytest.mark.parametrize(("minutes", "expected"), [(-6, 7), (6, 7), (4, 0), (-4, 0)])
def test_clocks_may_differ_by_five_minutes(peer: Peer, run_agent: RunAgent, minutes: int, expected: int) -> None:
    peer.clock = lambda: datetime.now(UTC) + timedelta(minutes=minutes)
    done = run_agent("enroll", "--controller", peer.url, "--token", peer.token)
    assert done.returncode == expected
    assert len(peer.enrollments) == (expected == 0)


@contextmanager
def listening() -> Iterator[str]:
    """A port that accepts and says nothing that is TLS."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"https://localhost:{silent.getsockname()[1]}"


def test_nobody_there(run_agent: RunAgent, peer: Peer) -> None:
    with listening() as url:
        pass
    done = run_agent("enroll", "--controller", url, "--token", peer.token)
    assert done.returncode == 8
    assert "connexion refusée" in done.stderr


def test_an_unknown_name_is_told_as_such() -> None:
    assert "introuvable" in reason(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "pas de réseau"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "machine injoignable"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "connexion coupée"),
        (http.client.RemoteDisconnected("Remote end closed connection without response"), "connexion coupée"),
        (http.client.BadStatusLine("SSH-2.0"), "réponse qui n’est pas du HTTP"),
    ],
)
def test_causes_are_told_in_french(error: Exception, told: str) -> None:
    assert reason(error) == told


def test_why_a_certificate_is_not_believed_is_told_in_french() -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = 20, "unable to get local issuer certificate"
    assert distrust(error) == "son certificat vient d’une autorité inconnue de cet appareil"
    error.verify_code, error.verify_message = 42, "RPKI"  # what OpenSSL alone has words for
    assert distrust(error) == "RPKI"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--controller", "http://localhost:1", "--token", "0" * 12],
        ["--controller", "https://localhost:1/chemin", "--token", "0" * 12],
        ["--controller", "https://a:b@localhost", "--token", "0" * 12],
        ["--controller", f"https://{'a' * 64}.example.test", "--token", "0" * 12],
        ["--controller", "https://a..example.test", "--token", "0" * 12],
        ["--token", "0" * 12],
        ["--controller", "https://localhost:1"],
        ["--vite"],
    ],
)
def test_a_wrong_command_is_2(run_agent: RunAgent, arguments: list[str]) -> None:
    done = run_agent("enroll", *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_an_unreadable_token_is_3_and_is_not_repeated(run_agent: RunAgent) -> None:
    done = run_agent("enroll", "--controller", "https://localhost:1", "--token", "PAS-UN-JETON!")
    assert done.returncode == 3
    assert "PAS-UN-JETON" not in done.stderr


def test_a_second_agent_on_the_same_root_is_10(run_agent: RunAgent, root: Path, peer: Peer) -> None:
    with exclusive(root):
        for command in (["run", "--once"], ["enroll", "--controller", peer.url, "--token", peer.token]):
            assert run_agent(*command).returncode == 10
    assert run_agent("run", "--once").returncode == 9  # the lock is free again; nobody enrolled


def test_a_root_that_cannot_be_written_is_11(run_agent: RunAgent, root: Path, peer: Peer) -> None:
    (root / "var").write_text("a file where a folder should be")
    done = run_agent("enroll", "--controller", peer.url, "--token", peer.token)
    assert done.returncode == 11
    assert peer.enrollments == []


def test_not_enrolled_is_9(run_agent: RunAgent) -> None:
    for command in ("run", "status"):
        done = run_agent(command)
        assert done.returncode == 9
        assert "preau-agent enroll" in done.stderr


def test_an_answer_that_is_not_the_protocol_is_13(peer: Peer, run_agent: RunAgent) -> None:
    peer.refusal = (200, Refusal("bonjour"))
    done = run_agent("enroll", "--controller", peer.url, "--token", peer.token)
    assert done.returncode == 13
    assert "n’est pas comprise" in done.stderr


def test_sigterm_while_enrolling_stops_at_once_and_the_next_call_is_the_same_attempt(peer: Peer, root: Path) -> None:
    """The server takes the connection and never says a word."""
    with listening() as url:
        line = [sys.executable, "-m", "agent", "enroll", "--root", str(root), "--controller", url, "--token", SECRET]
        with subprocess.Popen(line, env=environment(), stderr=subprocess.PIPE, text=True) as process:
            wait_for_connection(url)
            process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=10)
    assert process.returncode == 130
    assert told == "Arrêt demandé.\n"


def wait_for_connection(url: str) -> None:
    """Until the kernel shows somebody connected to that port."""
    port = f":{int(url.rpartition(':')[2]):04X}"
    established = "01"
    while True:
        rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
        if any(row[2].endswith(port) and row[3] == established for row in rows):
            return
        os.sched_yield()


def test_a_pinned_ca_is_kept_as_the_only_one(peer: Peer, run_agent: RunAgent, root: Path, tmp_path: Path) -> None:
    """After enrolment the system's trust store has no say."""
    run_agent("enroll", "--controller", peer.url, "--token", peer.token)
    identity = find_identity(root)
    assert identity is not None
    kept = ssl.PEM_cert_to_DER_cert(identity.ca_pem)
    assert kept == ssl.PEM_cert_to_DER_cert(peer.authority.certificate.read_text())
    port = peer.url.rpartition(":")[2]
    impostor = Peer(make_authority(tmp_path, "impostor"), desired=DESIRED)
    with serve(impostor, impostor.authority.issue("localhost")):
        moved = (root / IDENTITY).read_text().replace(port, impostor.url.rpartition(":")[2])
        (root / IDENTITY).write_text(moved)
        done = run_agent("run", "--once", SSL_CERT_FILE=str(impostor.authority.certificate))
    assert done.returncode == 6
    assert impostor.authorizations == []

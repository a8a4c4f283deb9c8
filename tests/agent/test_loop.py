"""The conversation: what is told, what is kept, what happens when the controller is away."""

import os
import random
import signal
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent import facts
from agent.config import AgentConfig
from agent.enrollment import get_identity
from agent.errors import ControllerUnreachable, CredentialRefused, NotEnrolled, Refused, Stopped, TokenUsedUp
from agent.facts import Machine
from agent.identity import find_identity
from agent.loop import FIRST_WAIT, LONGEST_WAIT, Agent
from agent.protocol import DesiredState, Facts, Refusal, Shortcut
from agent.signals import Stop
from agent.state import State, contact_path, find_contact, load_state
from tests.agent.conftest import DESIRED, MACHINE, RunAgent, environment
from tests.agent.peer import CREDENTIAL, DEVICE, Peer, as_revision, make_authority, serve

ENT = "usr/share/applications/preau-ent.desktop"


@pytest.fixture
def agent(peer: Peer, root: Path) -> Agent:
    """An agent that enrols by itself at its first tick, in this process, over the real network."""
    return make_agent(peer, root)


def make_agent(peer: Peer, root: Path, machine: Callable[[], Machine] = lambda: MACHINE, token: str = "") -> Agent:
    return Agent(AgentConfig(root, controller=peer.url, token=token or peer.token), machine)


def test_a_tick_enrols_checks_in_applies_and_reports(agent: Agent, peer: Peer, root: Path) -> None:
    peer.desired = DESIRED
    assert agent.tick() == 60
    assert (root / ENT).exists()
    assert {o.resource: o.status for o in peer.outcomes.values()} == dict.fromkeys(
        ("shortcuts", "browser", "dns"), "applied"
    )
    assert peer.check_ins[-1].applied_revision == DESIRED.revision
    assert set(peer.authorizations[1:]) == {f"Bearer {DEVICE}.{CREDENTIAL}"}


def test_facts_travel_only_when_asked_for_and_then_at_once(agent: Agent, peer: Peer) -> None:
    agent.tick()
    assert [message.facts for message in peer.check_ins] == [None, MACHINE.facts]
    agent.tick()
    assert peer.check_ins[2].facts is None
    assert len(peer.check_ins) == 3


def test_new_facts_are_told(peer: Peer, root: Path) -> None:
    known = [MACHINE]
    agent = make_agent(peer, root, lambda: known[0])
    agent.tick()
    known[0] = replace(MACHINE, facts=replace(MACHINE.facts, hostname="salle-4"))
    agent.tick()
    assert peer.check_ins[-1].facts == known[0].facts


def test_a_quiet_tick_says_nothing_and_writes_nothing(agent: Agent, peer: Peer, root: Path) -> None:
    peer.desired = DESIRED
    agent.tick()
    agent.tick()  # tells that all is unchanged now
    before = snapshot(root)
    peer.check_ins.clear()
    agent.tick()
    (message,) = peer.check_ins
    assert (message.outcomes, message.applied_revision) == ((), DESIRED.revision)
    assert snapshot(root) == before


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    """Inode and date of every file but the mark of the last contact."""
    found = (path for path in root.rglob("*") if path.is_file() and path.name != "contact")
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def test_drift_is_found_repaired_and_told_once(agent: Agent, peer: Peer, root: Path) -> None:
    peer.desired = DESIRED
    agent.tick()
    agent.tick()
    (root / ENT).unlink()
    agent.tick()
    assert (root / ENT).exists()
    assert peer.outcomes["shortcuts"].status == "repaired"
    assert ENT in peer.outcomes["shortcuts"].detail
    agent.tick()
    assert peer.outcomes["shortcuts"].status == "unchanged"


def test_a_new_revision_touches_only_what_it_changes(agent: Agent, peer: Peer, root: Path) -> None:
    peer.desired = DESIRED
    agent.tick()
    agent.tick()
    before = snapshot(root)
    peer.desired = replace(as_revision(DESIRED, "f" * 16), shortcuts=DESIRED.shortcuts[:1])
    peer.check_ins.clear()
    agent.tick()
    gone = root / "usr/share/applications/preau-ent-messagerie.desktop"
    changed = {path for path, mark in snapshot(root).items() if before.get(path) != mark}
    assert changed == {str(root / "var/lib/preau/state.json"), str(root / "var/lib/preau/identity.json")}
    assert not gone.exists()
    assert {name: o.status for name, o in peer.outcomes.items()} == {"shortcuts": "applied"}
    assert peer.check_ins[-1].applied_revision == "f" * 16


def test_a_failed_resource_hides_no_other_and_the_revision_is_not_claimed(agent: Agent, peer: Peer, root: Path) -> None:
    peer.desired = DESIRED
    (root / "etc/firefox").mkdir(parents=True)
    (root / "etc/firefox/policies").write_text("a file where a folder should be")
    agent.tick()
    statuses = {name: outcome.status for name, outcome in peer.outcomes.items()}
    assert statuses == {"shortcuts": "applied", "browser": "failed", "dns": "applied"}
    assert "un fichier occupe la place d’un dossier" in peer.outcomes["browser"].detail
    assert peer.check_ins[-1].applied_revision == ""
    (root / "etc/firefox/policies").unlink()
    agent.tick()
    assert peer.outcomes["browser"].status == "applied"
    assert peer.check_ins[-1].applied_revision == DESIRED.revision


def test_offline_the_last_state_is_kept_and_repairs_are_told_afterwards(peer: Peer, root: Path, tmp_path: Path) -> None:
    peer.desired = DESIRED
    make_agent(peer, root).tick()
    make_agent(peer, root).tick()
    peer.refusal = (503, Refusal("maintenance"))
    away = make_agent(peer, root)  # restarted while the controller is away
    for _ in range(2):
        (root / ENT).write_text("drifted")
        with pytest.raises(ControllerUnreachable):
            away.tick()
        assert "Exec=" in (root / ENT).read_text()
        with pytest.raises(ControllerUnreachable):
            away.tick()
    peer.refusal = None
    peer.check_ins.clear()
    make_agent(peer, root).tick()
    told = [(o.resource, o.status) for message in peer.check_ins for o in message.outcomes]
    assert told == [("shortcuts", "repaired"), ("shortcuts", "unchanged")] * 2
    assert all(len({o.resource for o in m.outcomes}) == len(m.outcomes) for m in peer.check_ins)


def test_a_report_cut_off_is_made_at_the_next_tick(agent: Agent, peer: Peer, root: Path) -> None:
    agent.tick()
    peer.desired = DESIRED
    peer.script = [None, (503, Refusal("maintenance"))]  # the state goes through, the report does not
    with pytest.raises(ControllerUnreachable):
        agent.tick()
    assert peer.outcomes == {}
    make_agent(peer, root).tick()
    assert {name: outcome.status for name, outcome in peer.outcomes.items()}["shortcuts"] == "unchanged"
    told = [(o.resource, o.status) for message in peer.check_ins for o in message.outcomes]
    assert told[:3] == [("shortcuts", "applied"), ("browser", "applied"), ("dns", "applied")]


def test_an_outcome_that_the_controller_cannot_read_blocks_nothing_after_it(
    agent: Agent, peer: Peer, root: Path
) -> None:
    agent.tick()
    peer.desired = DESIRED
    peer.script = [None, (400, Refusal("protocol.invalid", "Message illisible."))]
    with pytest.raises(Refused):
        agent.tick()
    (root / ENT).unlink()
    agent.tick()
    assert peer.outcomes["shortcuts"].status == "repaired"
    assert load_state(root).queue == ()


def test_back_off_grows_with_full_jitter_and_stays_bounded(agent: Agent) -> None:
    random.seed(1)
    waits = [agent.back_off() for _ in range(200)]
    assert all(1 <= wait <= LONGEST_WAIT for wait in waits)
    assert all(wait <= FIRST_WAIT * 2**n for n, wait in enumerate(waits[:6]))
    assert max(waits) > LONGEST_WAIT * 0.8
    assert min(waits[20:]) < LONGEST_WAIT * 0.2
    assert agent.back_off(asked=1200) == 1200


def test_attempt_survives_anything(agent: Agent, peer: Peer) -> None:
    agent.tick()
    for refusal in ((503, Refusal("")), (401, Refusal("credential.refused")), (418, Refusal("teapot"))):
        peer.refusal = refusal
        assert agent.attempt() >= 1
    peer.refusal = None
    assert agent.attempt() == 60
    assert agent.failures == 0


def test_a_refused_credential_enrols_again_with_the_configured_token(agent: Agent, peer: Peer, root: Path) -> None:
    peer.desired = DESIRED
    agent.tick()
    peer.script = [(401, Refusal("credential.refused", "Refusé."))]
    peer.check_ins.clear()
    agent.tick()
    first, second = peer.enrollments
    assert first.attempt != second.attempt
    # The controller forgot: everything is told again, though nothing changed on the device.
    assert {o.status for o in peer.outcomes.values()} == {"unchanged"}
    assert len(peer.outcomes) == 3


def test_a_dead_token_is_shown_once_only(peer: Peer, root: Path) -> None:
    agent = make_agent(peer, root)
    peer.refusal = (410, Refusal("token.used_up", "Épuisé."))
    with pytest.raises(TokenUsedUp):
        agent.tick()
    heard = len(peer.authorizations)
    with pytest.raises(NotEnrolled):
        agent.tick()
    assert len(peer.authorizations) == heard


def test_without_a_token_a_refused_credential_is_told_and_the_state_still_holds(
    peer: Peer, root: Path, run_agent: RunAgent
) -> None:
    peer.desired = DESIRED
    make_agent(peer, root).tick()
    (root / ENT).unlink()
    peer.refusal = (401, Refusal("credential.refused", "Cet appareil a été retiré."))
    with pytest.raises(CredentialRefused):
        Agent(AgentConfig(root), lambda: MACHINE).tick()
    assert (root / ENT).exists()
    done = run_agent("run", "--once")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (9, "Cet appareil a été retiré.")


@pytest.mark.parametrize("spoiled", [b"", b"{", b"null", b'{"records": 3}', b"\xff\x00", b'{"desired":{}}'])
def test_a_spoiled_state_file_is_asked_for_again(agent: Agent, peer: Peer, root: Path, spoiled: bytes) -> None:
    peer.desired = DESIRED
    agent.tick()
    (root / "var/lib/preau/state.json").write_bytes(spoiled)
    make_agent(peer, root).tick()
    assert peer.check_ins[-1].applied_revision == DESIRED.revision
    assert load_state(root).desired == DESIRED


@pytest.mark.parametrize("spoiled", [b"", b"{", b'{"device_id": 3}'])
def test_a_spoiled_identity_enrols_again(agent: Agent, peer: Peer, root: Path, spoiled: bytes) -> None:
    agent.tick()
    (root / "var/lib/preau/identity.json").write_bytes(spoiled)
    agent.tick()
    assert len(peer.enrollments) == 2
    assert get_identity(root).credential == CREDENTIAL


def test_a_lost_record_orphans_no_shortcut(agent: Agent, peer: Peer, root: Path) -> None:
    peer.desired = DESIRED
    agent.tick()
    (root / "var/lib/preau/state.json").unlink()
    peer.desired = DesiredState("e" * 16, shortcuts=(Shortcut("cantine", "Cantine", "https://c.example.test/"),))
    make_agent(peer, root).tick()
    assert [p.name for p in (root / "usr/share/applications").iterdir()] == ["preau-cantine.desktop"]


def test_the_interval_given_wins(peer: Peer, root: Path) -> None:
    agent = Agent(AgentConfig(root, controller=peer.url, token=peer.token, interval=7.0), lambda: MACHINE)
    assert agent.tick() == 7.0


@pytest.mark.parametrize(("told", "kept"), [(-5, 1), (0, 1), (10**9, 86400)])
def test_an_absurd_interval_is_bounded(agent: Agent, peer: Peer, told: int, kept: float) -> None:
    peer.next_check_in_seconds = told
    assert agent.tick() == kept


def test_contact_is_remembered(agent: Agent, root: Path) -> None:
    agent.tick()
    long_ago = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    os.utime(contact_path(root), (long_ago, long_ago))
    before = find_contact(root)
    agent.tick()
    after = find_contact(root)
    assert before is not None
    assert after is not None
    assert before < after


def test_run_stays_until_sigterm_and_stops_at_once(peer: Peer, root: Path, run_agent: RunAgent) -> None:
    peer.desired, peer.next_check_in_seconds = DESIRED, 3600
    run_agent("enroll", "--controller", peer.url, "--token", peer.token)
    line = [sys.executable, "-m", "agent", "run", "--root", str(root)]
    with subprocess.Popen(line, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "resource=dns" not in (told := process.stderr.readline()):
            assert told, "the agent ended before it had applied everything"
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=10)
    assert (process.returncode, told.splitlines()[-1]) == (0, "agent stopped")


def test_a_signal_wakes_a_sleeping_agent() -> None:
    stop = Stop()
    before = signal.signal(signal.SIGUSR1, stop.receive)
    timer = threading.Timer(0.2, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(Stopped):
            stop.sleep(60)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_during_a_step_waits_for_its_end() -> None:
    stop = Stop()
    stop.receive()  # raises nothing: a file may be half written
    with pytest.raises(Stopped):
        stop.check()
    with pytest.raises(Stopped), stop.interruptible():
        pytest.fail("a wait began after the signal")


def test_a_check_in_needs_the_pinned_authority_every_time(peer: Peer, root: Path, tmp_path: Path) -> None:
    make_agent(peer, root).tick()
    identity = find_identity(root)
    assert identity is not None
    assert ssl.PEM_cert_to_DER_cert(identity.ca_pem)
    impostor = Peer(make_authority(tmp_path, "impostor"))
    with serve(impostor, impostor.authority.issue("localhost")):
        agent = make_agent(peer, root)
        moved = replace(identity, controller=impostor.url)
        assert moved.ca_pem
        with pytest.raises(Exception, match=r"ne prouve pas .*pas signé par l’autorité attendue"):
            agent.converse(moved)
    assert impostor.authorizations == []


def test_facts_file_gives_each_demo_agent_its_own_identity(root: Path) -> None:
    machine = facts.collect(root, root / "etc/preau/facts.json")
    assert machine.identity == MACHINE.identity
    assert machine.facts.hostname == "salle-3"
    assert machine.facts.memory_bytes, "what the file does not say is the machine's own"


def test_modes_do_not_depend_on_the_umask(peer: Peer, root: Path, run_agent: RunAgent) -> None:
    peer.desired = DESIRED
    run_agent("enroll", "--controller", peer.url, "--token", peer.token)
    shell = ["sh", "-c", f'umask 077; exec "{sys.executable}" -m agent run --once --root "{root}"']
    subprocess.run(shell, env=environment(), check=True, capture_output=True, timeout=60)
    for path in (ENT, "etc/chromium/policies/managed/preau.json", "etc/firefox/policies/policies.json"):
        assert stat.S_IMODE((root / path).stat().st_mode) == 0o644
        assert stat.S_IMODE((root / path).parent.stat().st_mode) == 0o755


def test_facts_hash_is_of_the_facts_alone() -> None:
    assert facts.facts_hash(Facts()) == facts.facts_hash(Facts())
    assert facts.facts_hash(Facts()) != facts.facts_hash(Facts(hostname="a"))
    assert State().next_report() == ()


def test_after_enrolling_anew_everything_is_told_again(agent: Agent, peer: Peer) -> None:
    peer.desired = DESIRED
    for _ in range(3):
        agent.tick()
    peer.check_ins.clear()
    peer.script = [(401, Refusal("credential.refused", "x"))]
    agent.tick()
    agent.tick()
    assert len(peer.enrollments) == 2
    assert set(peer.outcomes) == {"shortcuts", "browser", "dns"}


def test_drift_is_repaired_while_enrolment_is_refused(agent: Agent, peer: Peer, root: Path) -> None:
    peer.desired = DESIRED
    agent.tick()
    (root / ENT).unlink()
    peer.script = [
        (401, Refusal("credential.refused", "x")),
        (409, Refusal("enrollment.needs_decision", "x")),
    ]
    with pytest.raises(Refused):
        agent.tick()
    assert (root / ENT).exists()

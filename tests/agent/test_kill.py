"""kill -9 before every single step of the disk and the network: whatever the moment, the next run ends well."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.actions.browser import FIREFOX
from agent.identity import find_identity
from agent.protocol import DesiredState, DnsSettings, Shortcut
from agent.state import load_state
from tests.agent.conftest import DESIRED
from tests.agent.crashing import CrashingAgent
from tests.agent.peer import CREDENTIAL, Peer

pytestmark = pytest.mark.timeout(900)  # some hundreds of runs, on machines that may be busy
KILLED = -9
NEXT = DesiredState(
    "fedcba9876543210",
    shortcuts=(DESIRED.shortcuts[0], Shortcut("cantine", "Cantine", "https://cantine.example.test/")),
    dns=DnsSettings(servers=("192.0.2.99",)),
)
"""One shortcut goes, one comes, the browser is no longer managed, the resolver is another."""
FOREIGN = '{"policies": {"DisableTelemetry": true, "Homepage": {"URL": "https://avant.example.test/"}}}'


@pytest.fixture
def agent() -> Iterator[CrashingAgent]:
    crashing = CrashingAgent()
    yield crashing
    crashing.close()


def contents(root: Path) -> dict[str, bytes]:
    """Every file that is not the agent's own memory."""
    found = (path for path in root.rglob("*") if path.is_file() and "var/lib/preau" not in str(path))
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.endswith(".preau-new")]


def enrolled(agent: CrashingAgent, peer: Peer, root: Path) -> Path:
    """The root of a device that enrolled, on which Firefox's policies and resolv.conf were somebody's already."""
    (root / FIREFOX).parent.mkdir(parents=True)
    (root / FIREFOX).write_text(FOREIGN)
    (root / "etc/resolv.conf").write_text("nameserver 198.51.100.1\n")
    assert agent.run("enroll", "--root", str(root), "--controller", peer.url, "--token", peer.token) == 0
    return root


def copied(root: Path, number: int) -> Path:
    return Path(shutil.copytree(root, root.with_name(f"root-{number}"), symlinks=True))


def statuses(peer: Peer, resource: str) -> list[str]:
    return [o.status for message in peer.check_ins for o in message.outcomes if o.resource == resource]


def test_killed_anywhere_while_enrolling_it_stays_the_same_enrolment(
    agent: CrashingAgent, peer: Peer, root: Path
) -> None:
    number = heard_before_death = 0
    while True:
        number += 1
        peer.enrollments.clear()
        trial = copied(root, number)
        arguments = ("enroll", "--root", str(trial), "--controller", peer.url, "--token", peer.token)
        status = agent.run(*arguments, crash_at=number)
        if status != KILLED:
            break
        find_identity(trial)
        heard_before_death += len(peer.enrollments)
        assert agent.run(*arguments) == 0
        identity = find_identity(trial)
        assert identity is not None
        assert identity.credential == CREDENTIAL
        assert len({request.attempt for request in peer.enrollments}) == 1
        assert leftovers(trial) == []
        shutil.rmtree(trial)
    assert status == 0
    assert number > 20, "the steps were not counted"
    assert heard_before_death > 5, "no death came after the request was heard: the repeat was never tried"


def crash_everywhere(agent: CrashingAgent, peer: Peer, start: Path, resource: str, expected: str) -> None:
    """Run from ``start`` to the peer's desired state, killed before each step, and again: always the same end."""
    clean = copied(start, 0)
    before = contents(clean)
    assert agent.run("run", "--once", "--root", str(clean)) == 0
    after = contents(clean)
    assert after != before
    number = 0
    while True:
        number += 1
        peer.check_ins.clear()
        trial = copied(start, number)
        status = agent.run("run", "--once", "--root", str(trial), crash_at=number)
        for path, content in contents(trial).items():
            whole = {before.get(path), after.get(path)}
            assert content in whole or path.endswith(".preau-new"), f"{path} is half written after step {number}"
        if status != KILLED:
            break
        assert agent.run("run", "--once", "--root", str(trial)) == 0
        assert contents(trial) == after
        assert leftovers(trial) == []
        assert load_state(trial).queue == ()
        assert expected in statuses(peer, resource), f"killed at step {number}, nobody was told"
        shutil.rmtree(trial)
    assert status == 0
    assert number > 40, "the steps were not counted"


def test_killed_anywhere_while_applying(agent: CrashingAgent, peer: Peer, root: Path) -> None:
    start = enrolled(agent, peer, root)
    peer.desired = DESIRED
    crash_everywhere(agent, peer, start, "browser", "applied")


def test_killed_anywhere_while_repairing(agent: CrashingAgent, peer: Peer, root: Path) -> None:
    start = enrolled(agent, peer, root)
    peer.desired = DESIRED
    for _ in range(2):
        agent.run("run", "--once", "--root", str(start))
    (start / "etc/chromium/policies/managed/preau.json").write_text("{}")
    (start / "usr/share/applications/preau-ent.desktop").unlink()
    crash_everywhere(agent, peer, start, "browser", "repaired")


def test_killed_anywhere_while_changing(agent: CrashingAgent, peer: Peer, root: Path) -> None:
    start = enrolled(agent, peer, root)
    peer.desired = DESIRED
    for _ in range(2):
        agent.run("run", "--once", "--root", str(start))
    peer.desired = NEXT
    crash_everywhere(agent, peer, start, "shortcuts", "applied")


def test_everything_comes_back_as_it_was_when_nothing_is_managed_any_more(
    agent: CrashingAgent, peer: Peer, root: Path
) -> None:
    start = enrolled(agent, peer, root)
    before = contents(start)
    peer.desired = DESIRED
    agent.run("run", "--once", "--root", str(start))
    assert contents(start) != before
    peer.desired = replace(DesiredState("0" * 16))
    agent.run("run", "--once", "--root", str(start))
    after = contents(start)
    assert after.keys() == before.keys()
    assert after["etc/resolv.conf"] == before["etc/resolv.conf"]
    assert b"avant.example.test" in after[FIREFOX]
    assert b"ent.example.test" not in after[FIREFOX]

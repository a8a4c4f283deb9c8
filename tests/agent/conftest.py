"""A controller for the agent to talk to, and the agent as a real process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from agent.facts import Machine
from agent.protocol import Bookmark, BrowserPolicy, DesiredState, DnsSettings, Facts, Identity, Shortcut
from tests.agent.peer import Peer, make_authority, serve
from tests.browser import pictures as pictures
from tests.browser import screens as screens

PROJECT = Path(__file__).parents[2]
MACHINE = Machine(
    Identity(serial="SN-42", smbios_uuid="4c4c4544-0042", macs=("aa:bb:cc:dd:ee:01",)),
    Facts(hostname="salle-3", model="Ecran 75", os_name="Debian", addresses=("192.0.2.7",)),
)
DESIRED = DesiredState(
    revision="0123456789abcdef",
    shortcuts=(
        Shortcut("ent", "ENT de l’école", "https://ent.example.test/"),
        Shortcut("ent-messagerie", "Messagerie", "https://ent.example.test/messages?tri=date&page=1"),
    ),
    browser=BrowserPolicy(
        home_page="https://ent.example.test/",
        bookmarks=(Bookmark("ENT", "https://ent.example.test/"),),
        doh_template="https://dns.example.test/dns-query/abc{?dns}",
    ),
    dns=DnsSettings(servers=("192.0.2.53", "2001:db8::53"), search=("ecole.example.test",)),
)

RunAgent = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root whose facts are its own, whatever machine runs the tests."""
    folder = tmp_path / "root"
    (folder / "etc/preau").mkdir(parents=True)
    (folder / "etc/preau/facts.json").write_text(json.dumps(asdict(MACHINE)))
    return folder


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    """A controller whose own CA vouches for it."""
    authority = make_authority(tmp_path)
    with serve(Peer(authority), authority.issue("localhost")) as served:
        yield served


def environment(**more: str) -> dict[str, str]:
    """No PREAU_* of the machine that runs the tests leaks in."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(PROJECT), **more}


@pytest.fixture
def run_agent(root: Path) -> RunAgent:
    """``python -m agent COMMAND --root ROOT …`` as a process of its own."""

    def run(command: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "agent", command, "--root", str(root), *arguments]
        return subprocess.run(line, env=environment(**more), capture_output=True, text=True, timeout=60, check=False)

    return run

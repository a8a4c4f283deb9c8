"""What journeys stand on: one real `preau up --demo` for all of them, its resolver and its mail server scripted."""

import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import httpx2
import pytest

from tests.browser import browser as browser
from tests.filter.scripted import ScriptedUpstream
from tests.fleet.smtp import Postman, serving
from tests.up_process import PATIENCE, UpProcess, plain_environment

BLOCKED = "0-casino.info"
"""In the category gambling of the lists that ship with the project."""
ALLOWED = "www.education.example"
"""A name that no list knows; the scripted resolver has its addresses."""
ALLOWED_ADDRESS = "192.0.2.80"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers, every journey goes to one: they share a stack, and a machine has room for few."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("journeys"))
            item.add_marker(pytest.mark.timeout(600))


@dataclass
class Stack:
    """A running installation of the demonstration, and the two servers outside it that it speaks to."""

    up: UpProcess
    upstream: ScriptedUpstream
    postman: Postman

    @property
    def url(self) -> str:
        return self.env["PREAU_PUBLIC_URL"]

    @property
    def env(self) -> dict[str, str]:
        """The PREAU_* settings."""
        return self.up.settings()

    @property
    def ca_file(self) -> Path:
        return Path(self.env["PREAU_CA_FILE"])

    @property
    def dns_port(self) -> int:
        return self.up.dns_port

    @property
    def accounts(self) -> dict[str, str]:
        """E-mail -> password."""
        found: dict[str, str] = json.loads(self.up.layout.demo_accounts.read_text())
        return found

    def pid_of(self, name: str) -> int:
        """The process of that name now: "worker", "controller", "postgres", "valkey", "filter", "beat", "agent-…"."""
        return self.up.pids()[name]

    def kill(self, name: str) -> None:
        """Kill -9 it, and wait until the supervisor has it answering again."""
        self.up.kill(name)

    def strike(self, name: str) -> None:
        """Kill -9 it, without waiting for the return."""
        os.kill(self.pid_of(name), signal.SIGKILL)

    def filters(self) -> bool:
        """Whether the filter answers now, and rightly: a listed name is blocked, any other has its address."""
        try:
            blocked, allowed = (self._ask(name) for name in (BLOCKED, ALLOWED))
        except dns.exception.Timeout:
            return False
        return blocked.rcode() == dns.rcode.NXDOMAIN and ALLOWED_ADDRESS in allowed.to_text()

    def _ask(self, name: str) -> dns.message.Message:
        return dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", timeout=2, port=self.dns_port)

    def preau(self, *arguments: str, stdin: str = "") -> str:
        """Run a `preau` command on this installation and return what it printed; fail when it fails."""
        done = self.up.preau(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def signed_in(self, email: str) -> Iterator[httpx2.Client]:
        """An HTTP client with that person's session, over TLS verified by the installation's CA."""
        context = ssl.create_default_context(cafile=self.ca_file)
        with httpx2.Client(base_url=self.url, verify=context, timeout=30) as client:
            body = {"email": email, "password": self.accounts[email]}
            answer = client.post("/api/v1/accounts/sign-in", json=body)
            assert answer.status_code == 200, answer.text
            client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
            yield client


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A real `preau up --demo` on free ports, ended with the tests."""
    folder = tmp_path_factory.mktemp("stack")
    postman = Postman()
    with ScriptedUpstream() as upstream, serving(postman) as smtp_url:
        upstream.add(f"{ALLOWED}. 300 IN A {ALLOWED_ADDRESS}")
        environment = plain_environment(PREAU_SMTP_URL=smtp_url)
        up = UpProcess(folder, "--demo", "--upstream", upstream.address, environment=environment)
        try:
            yield Stack(up.start().wait_ready(), upstream, postman)
            assert up.stop() == 0
        finally:
            up.clean()


@pytest.fixture(autouse=True)
def show_log_of_failures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print the end of the installation's log after a test: pytest shows it when the test failed."""
    yield
    if "stack" in request.fixturenames:
        sys.stdout.write(request.getfixturevalue("stack").up.output[-8000:])


class AgentProcess:
    """A real agent under a root of its own, run one conversation at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    identity: dict[str, str]

    def describe(self, number: int) -> None:
        """Give it an identity that no other machine has."""
        facts = self.root / "etc/preau/facts.json"
        facts.parent.mkdir(parents=True)
        self.identity = {"serial": f"JOURNEY-{number:08d}", "smbios_uuid": f"0e5c2a91-77aa-4e1f-8a55-{number:012x}"}
        facts.write_text(json.dumps({"identity": self.identity, "facts": {"hostname": f"ecran-{number}"}}))

    def run(self, *arguments: str, patience: float = PATIENCE) -> "subprocess.CompletedProcess[str]":
        """`preau-agent …` under this root."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "agent", *arguments, "--root", str(self.root)],
            env=plain_environment(), capture_output=True, text=True, timeout=patience,
        )  # fmt: skip


@pytest.fixture
def agent(tmp_path: Path) -> AgentProcess:
    """An agent that was never enrolled."""
    agent = AgentProcess(tmp_path / "device")
    agent.describe(int.from_bytes(os.urandom(3)))
    return agent

"""A controller, its worker and its clock as processes of their own, each killed and started when a test says so, and
filters that follow the controller. Nobody brings back what was killed.
"""

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dns.message
import dns.query
import httpx2

from fleet.embedded.certificates import Certificates, ensure
from fleet.embedded.ports import free_port
from tests.embedded.waiting import until
from tests.factories import PASSWORD
from tests.filter.running import RunningFilter
from tests.up_process import PATIENCE, plain_environment

CONTROLLER, WORKER, BEAT = "serve", "worker", "beat"


@dataclass
class Installation:
    """Started by ``start``, ended by ``close``. The database is made, and removed, by whoever made this."""

    folder: Path
    database_url: str
    lists: Path
    """A folder of UT1 lists."""
    broker_url: str = "memory://"
    port: int = field(default_factory=free_port)
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def certificates(self) -> Certificates:
        return ensure(self.folder / "tls", ["localhost"], datetime.now(UTC))

    def environment(self) -> dict[str, str]:
        """PREAU_* of every process."""
        made = self.certificates
        return plain_environment(
            PREAU_DATABASE_URL=self.database_url, PREAU_BROKER_URL=self.broker_url, PREAU_PUBLIC_URL=self.url,
            PREAU_TLS_CERT_FILE=str(made.server_cert), PREAU_TLS_KEY_FILE=str(made.server_key),
            PREAU_CA_FILE=str(made.ca_file), PREAU_UT1_DIR=str(self.lists),
            PREAU_ENV_FILE=str(self.folder / "none.env"), PREAU_SECOND_FACTOR="optional",
        )  # fmt: skip

    def start(self, *names: str) -> "Installation":
        """Start these, and wait for the controller if it is among them."""
        options = {CONTROLLER: ["--port", str(self.port)], BEAT: ["--schedule", str(self.folder / "beat.db")]}
        for name in names:
            with (self.folder / f"{name}.log").open("ab") as log:
                self.running[name] = subprocess.Popen(
                    [sys.executable, "-P", "-m", "fleet", name, *options.get(name, [])],
                    env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
        if CONTROLLER in names:
            until(self.is_ready, f"the controller answers; its log is in {self.folder}", PATIENCE)
        return self

    def is_ready(self) -> bool:
        with self.client() as client:
            try:
                return client.get("/health/ready").status_code == 200
            except httpx2.TransportError:
                return False

    def kill(self, *names: str) -> None:
        """Kill -9 these with all that they forked; they stay away."""
        for name in names:
            process = self.running.pop(name)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def close(self) -> None:
        self.kill(*self.running)

    def client(self) -> httpx2.Client:
        """An HTTP client that trusts this controller's CA."""
        context = ssl.create_default_context(cafile=self.certificates.ca_file)
        return httpx2.Client(base_url=self.url, verify=context, timeout=30, trust_env=False)

    @contextmanager
    def signed_in(self, email: str) -> Iterator[httpx2.Client]:
        """The same with the session of a person that tests.factories made."""
        with self.client() as client:
            answer = client.post("/api/v1/accounts/sign-in", json={"email": email, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
            yield client

    def preau(self, *arguments: str) -> str:
        """What a `preau` command printed; fail when it fails."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "fleet", *arguments],
            env=self.environment(), capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def register(self, name: str) -> list[str]:
        """Register a filter; what `preau-filter serve` needs to follow this controller."""
        credential = self.folder / f"{name}.credential"
        self.preau("filter", "register", name, "--output", str(credential))
        return [
            "--controller", self.url, "--credential-file", str(credential), "--ca-file", str(self.certificates.ca_file),
            "--data-dir", str(self.folder / name),
        ]  # fmt: skip


def ask_from(source: str, running: RunningFilter, name: str, qtype: str = "A") -> dns.message.Message:
    """What a client with that address, any of 127.0.0.0/8, hears of the filter; raise dns.exception.Timeout."""
    query = dns.message.make_query(name, qtype, use_edns=0)
    return dns.query.udp(query, "127.0.0.1", timeout=5, port=running.port, source=source, ignore_unexpected=True)


def ttls_of(reply: dns.message.Message) -> list[int]:
    """The TTLs of answer and authority."""
    return [rrset.ttl for rrset in (*reply.answer, *reply.authority)]

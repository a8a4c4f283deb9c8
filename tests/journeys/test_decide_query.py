"""Journey: a DNS query is decided. Asked by kdig over UDP and TCP; explain says why."""

import re
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.embedded.waiting import until
from tests.journeys.conftest import ALLOWED, ALLOWED_ADDRESS, BLOCKED, Stack
from tests.requirements import needs
from tests.up_process import plain_environment

TRANSPORTS = pytest.mark.parametrize("transport", ["+notcp", "+tcp"], ids=["udp", "tcp"])


@dataclass
class Answer:
    """What kdig showed."""

    text: str

    @property
    def status(self) -> str:
        found = re.search(r"status: (\w+);", self.text)
        return found[1] if found else "none"

    @property
    def ttls(self) -> list[int]:
        return [int(ttl) for ttl in re.findall(r"^\S+\s+(\d+)\s+IN\s", self.text, re.MULTILINE)]


def kdig(stack: Stack, name: str, *options: str) -> Answer:
    command = ["kdig", "@127.0.0.1", "-p", str(stack.dns_port), "+edns", "+timeout=5", "+retry=2", *options, name]
    return Answer(subprocess.run(command, capture_output=True, text=True, timeout=60).stdout)


def explain(stack: Stack, name: str) -> str:
    kept = stack.up.layout.filter / "bundles"
    files = ["--bundle", str(kept / "names"), "--policy", str(kept / "policy")]
    command = [sys.executable, "-P", "-m", "filter", "explain", *files, name]
    return subprocess.run(command, capture_output=True, text=True, env=plain_environment(), check=True).stdout


@needs("kdig")
@TRANSPORTS
@pytest.mark.parametrize("name", [BLOCKED, f"jouer.{BLOCKED}", BLOCKED.upper()])
def test_a_listed_name_is_blocked_and_says_so(stack: Stack, name: str, transport: str) -> None:
    answer = kdig(stack, name, transport)
    assert answer.status == "NXDOMAIN"
    assert "EDE: 17" in answer.text
    assert stack.upstream.asked_for(name.lower()) == []


@needs("kdig")
@TRANSPORTS
def test_any_other_name_is_asked_of_the_resolver_given(stack: Stack, transport: str) -> None:
    answer = kdig(stack, ALLOWED, transport)
    assert answer.status == "NOERROR"
    assert ALLOWED_ADDRESS in answer.text
    assert stack.upstream.asked_for(ALLOWED)


@needs("kdig")
def test_explain_gives_the_list_and_the_profile(stack: Stack) -> None:
    kdig(stack, BLOCKED)
    said = explain(stack, BLOCKED)
    assert "BLOQUÉ" in said
    assert "Jeux d’argent" in said
    assert "Élémentaire" in said
    assert "PERMIS" in explain(stack, ALLOWED)


@needs("kdig")
def test_a_name_that_the_technician_denies_is_blocked_soon_after(stack: Stack) -> None:
    """From the profile through a compile, a publication and a fetch, to the answer."""
    name = "pendule.example"
    stack.upstream.add(f"{name}. 1 IN A 192.0.2.81")
    assert kdig(stack, name).status == "NOERROR"
    with stack.signed_in("technicien@preau.example") as technician:
        profile = technician.get("/api/v1/filtering/profiles").json()[0]
        body = {"denied_names": [name]}
        answer = technician.patch(f"/api/v1/filtering/profiles/{profile['id']}", json=body)
        assert answer.status_code == 200, answer.text
    until(lambda: kdig(stack, name).status == "NXDOMAIN", "the new bundle is in force")
    assert "BLOQUÉ" in explain(stack, name)

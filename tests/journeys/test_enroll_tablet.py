"""Journey: a display is enrolled, gets its ENT shortcut, loses it, and has it back at the next check-in."""

import json
import re

from tests.embedded.waiting import until
from tests.journeys.conftest import AgentProcess, Stack

SCHOOL = "0021094D"
"""Albert-Schweitzer in Guise, which has the ENT."""
SHORTCUT = "usr/share/applications/preau-ent.desktop"


def make_token(stack: Stack, kind: str = "display") -> str:
    """What `preau token create` prints for a program."""
    made = json.loads(stack.preau("token", "create", "--school", SCHOOL, "--kind", kind, "--json"))
    text: str = made["token"]
    return text


def enroll(stack: Stack, agent: AgentProcess, token: str) -> str:
    """Enroll a real agent process; the asset tag that it was given."""
    done = agent.run("enroll", "--controller", stack.url, "--token", token)
    assert done.returncode == 0, done.stderr
    found = re.search(r"PRE-\d{6}", done.stdout)
    assert found, done.stdout
    return found[0]


def check_in(agent: AgentProcess) -> str:
    done = agent.run("run", "--once")
    assert done.returncode == 0, done.stderr
    return done.stdout


def find_device(stack: Stack, search: str) -> dict[str, object]:
    with stack.signed_in("technicien@preau.example") as technician:
        found = technician.get("/api/v1/devices", params={"search": search}).json()
        assert found["total"] == 1
        return dict(technician.get(f"/api/v1/devices/{found['rows'][0]['id']}").json())


def events_of(stack: Stack, device_id: object) -> list[str]:
    with stack.signed_in("technicien@preau.example") as technician:
        return [event["kind"] for event in technician.get(f"/api/v1/devices/{device_id}/events").json()]


def test_an_enrolled_display_gets_its_shortcut_and_keeps_it(stack: Stack, agent: AgentProcess) -> None:
    asset_tag = enroll(stack, agent, make_token(stack))
    check_in(agent)
    shortcut = agent.root / SHORTCUT
    wanted = shortcut.read_text()
    assert "https://" in wanted

    check_in(agent)
    device = find_device(stack, asset_tag)
    assert device["status"] == "active"
    assert device["applied_revision"] == device["desired_revision"] != ""

    shortcut.unlink()
    assert "rétabli" in check_in(agent)
    assert shortcut.read_text() == wanted
    assert "repaired" in events_of(stack, device["id"])


def test_a_used_up_token_lets_nobody_else_in(stack: Stack, agent: AgentProcess) -> None:
    token = make_token(stack)
    enroll(stack, agent, token)
    other = AgentProcess(agent.root.with_name("other"))
    other.describe(77)
    done = other.run("enroll", "--controller", stack.url, "--token", token)
    assert done.returncode == 5
    assert "Traceback" not in done.stderr


def test_a_token_of_another_installation_is_not_even_sent(stack: Stack, agent: AgentProcess) -> None:
    """The pin in it is another CA's: the agent speaks to nobody it cannot prove."""
    token = make_token(stack)
    other_pin = token[:-1] + ("0" if token[-1] != "0" else "1")
    done = agent.run("enroll", "--controller", stack.url, "--token", other_pin)
    assert done.returncode == 6
    enroll(stack, agent, token)  # it was not used up


def test_the_five_machines_of_the_demonstration_are_in_service(stack: Stack) -> None:
    def in_service() -> bool:
        with stack.signed_in("technicien@preau.example") as technician:
            found = technician.get("/api/v1/devices", params={"status": "active", "search": "PREAU-DEMO"}).json()
            return int(found["total"]) == 5

    until(in_service, "five agents hold their state")


def test_the_neighbour_does_not_see_it(stack: Stack, agent: AgentProcess) -> None:
    asset_tag = enroll(stack, agent, make_token(stack))
    device_id = find_device(stack, asset_tag)["id"]
    with stack.signed_in("guise@preau.example") as officer:
        assert officer.get(f"/api/v1/devices/{device_id}").status_code == 200
    with stack.signed_in("vervins@preau.example") as neighbour:
        assert neighbour.get(f"/api/v1/devices/{device_id}").status_code == 404

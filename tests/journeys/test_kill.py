"""Journeys go on while processes are killed with SIGKILL, one after the other: nothing is lost, nothing is doubled."""

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.embedded.waiting import until
from tests.journeys.conftest import AgentProcess, Stack
from tests.journeys.test_close_ticket import no_mail_came_twice, wait_for_its_mails
from tests.journeys.test_decide_query import kdig
from tests.journeys.test_enroll_tablet import SCHOOL, SHORTCUT, check_in, enroll, events_of, find_device, make_token
from tests.requirements import needs

OFFICER, TECHNICIAN = "guise@preau.example", "technicien@preau.example"
STORES_AND_SERVERS = {"postgres", "valkey", "controller", "worker", "beat", "filter"}


@pytest.fixture(autouse=True)
def whole_again(stack: Stack) -> Iterator[None]:
    """Whatever was killed, everything runs again afterwards, and the filter filters."""
    yield
    until(stack.filters, "a listed name is blocked and any other resolves")
    until(lambda: set(stack.up.pids()) >= STORES_AND_SERVERS, "every process is back")
    until(lambda: is_up(stack), "the controller answers")


def is_up(stack: Stack) -> bool:
    try:
        with stack.signed_in(TECHNICIAN):
            return True
    except (httpx2.TransportError, AssertionError):
        return False


def some_title() -> str:
    return f"Panne {uuid.uuid4().hex[:12]}"


def send(client: httpx2.Client, url: str, body: dict[str, object]) -> dict[str, Any] | None:
    """What a person does with a form: send it; None when all that comes back is an error page or nothing."""
    try:
        answer = client.post(url, json=body)
    except httpx2.TransportError:
        return None
    if answer.status_code >= 500:
        return None
    assert answer.status_code < 300, answer.text
    found: dict[str, Any] = answer.json()
    return found


def send_until_taken(client: httpx2.Client, url: str, body: dict[str, object]) -> dict[str, Any]:
    """Send a form again and again, as people do, until it is accepted."""
    taken: list[dict[str, Any]] = []

    def is_taken() -> bool:
        answer = send(client, url, body)
        taken.extend([answer] if answer is not None else [])
        return bool(taken)

    until(is_taken, f"{url} is accepted")
    return taken[0]


def opening(client: httpx2.Client, title: str) -> dict[str, object]:
    """The form of a new ticket on a school; its key makes it one ticket however often it is sent."""
    school = client.get("/api/v1/schools", params={"search": SCHOOL}).json()["rows"][0]
    return {
        "kind": "incident", "subject": "school", "school_id": school["id"], "title": title,
        "description": "L’écran reste noir.", "request_key": f"form {title}",
    }  # fmt: skip


def tickets_titled(stack: Stack, title: str) -> list[dict[str, Any]]:
    with stack.signed_in(TECHNICIAN) as technician:
        rows: list[dict[str, Any]] = technician.get("/api/v1/tickets", params={"search": title}).json()["rows"]
        return rows


@pytest.mark.parametrize("victim", ["worker", "valkey", pytest.param("beat", marks=pytest.mark.long)])
def test_a_mail_owed_while_something_is_away_leaves_once_it_is_back(stack: Stack, victim: str) -> None:
    title = some_title()
    with stack.signed_in(OFFICER) as officer:
        form = opening(officer, title)
        stack.strike(victim)
        ticket = send_until_taken(officer, "/api/v1/tickets", form)
    assert ticket["status"] == "new"
    wait_for_its_mails(stack, title)


@pytest.mark.parametrize("victim", ["postgres", "controller"])
def test_a_form_sent_again_after_a_crash_opens_one_ticket(stack: Stack, victim: str) -> None:
    title = some_title()
    with stack.signed_in(OFFICER) as officer:
        form = opening(officer, title)
        stack.strike(victim)
        first = send_until_taken(officer, "/api/v1/tickets", form)
        again = send_until_taken(officer, "/api/v1/tickets", form)
    assert again["id"] == first["id"]
    wait_for_its_mails(stack, title)
    assert [row["id"] for row in tickets_titled(stack, title)] == [first["id"]]


def test_a_ticket_goes_from_opened_to_closed_through_a_crash_of_each(stack: Stack) -> None:
    """Both people stay signed in through all of them, and the history holds each step once."""
    title = some_title()
    with stack.signed_in(OFFICER) as officer, stack.signed_in(TECHNICIAN) as technician:
        planned = technician.get("/api/v1/tickets", params={"status": "planned"}).json()["rows"][0]
        form = opening(officer, title)
        stack.kill("valkey")
        stack.kill("worker")
        url = f"/api/v1/tickets/{send_until_taken(officer, '/api/v1/tickets', form)['id']}"
        stack.kill("postgres")
        send_until_taken(technician, f"{url}/assign", {"to_id": planned["assigned_to"]["id"]})
        stack.kill("controller")
        send_until_taken(technician, f"{url}/solve", {"resolution": "Câble remplacé."})
        stack.strike("filter")
        closed = send_until_taken(officer, f"{url}/close", {})
    assert [event["status"] for event in closed["events"]] == ["new", "assigned", "solved", "closed"]
    assert [row["id"] for row in tickets_titled(stack, title)] == [closed["id"]]
    wait_for_its_mails(stack, title)
    no_mail_came_twice(stack, title)


@pytest.mark.parametrize("victim", ["controller", "postgres"])
def test_an_enrolment_cut_short_is_one_device(stack: Stack, agent: AgentProcess, victim: str) -> None:
    """The server dies while a token with a single use is redeemed; the agent tries again with the same one."""
    token = make_token(stack)
    timer = threading.Timer(0.3, stack.strike, (victim,))  # about when a started agent has its request on the way
    timer.start()

    def is_enrolled() -> bool:
        return agent.run("enroll", "--controller", stack.url, "--token", token).returncode == 0

    until(is_enrolled, "the agent is let in")
    timer.join()
    until(lambda: is_up(stack), "the controller answers")
    check_in(agent)
    serial = agent.identity["serial"]
    assert find_device(stack, serial)["status"] == "active"  # find_device insists on exactly one
    assert (agent.root / SHORTCUT).exists()


def test_a_display_goes_from_its_token_to_its_repair_through_a_crash_of_each(stack: Stack, agent: AgentProcess) -> None:
    """It is one device, enrolled once and repaired once."""
    stack.kill("postgres")
    token = make_token(stack)
    stack.strike("worker")
    asset_tag = enroll(stack, agent, token)
    stack.kill("controller")
    check_in(agent)
    wanted = (agent.root / SHORTCUT).read_text()
    stack.strike("filter")
    (agent.root / SHORTCUT).unlink()
    assert "rétabli" in check_in(agent)
    assert (agent.root / SHORTCUT).read_text() == wanted
    device = find_device(stack, asset_tag)
    assert device["applied_revision"] == device["desired_revision"] != ""
    events = events_of(stack, device["id"])
    assert [events.count(kind) for kind in ("enrolled", "repaired")] == [1, 1]


def test_a_display_is_repaired_while_the_controller_is_away_and_says_so(stack: Stack, agent: AgentProcess) -> None:
    enroll(stack, agent, make_token(stack))
    check_in(agent)
    wanted = (agent.root / SHORTCUT).read_text()
    (agent.root / SHORTCUT).unlink()
    stack.strike("controller")
    agent.run("run", "--once")  # reaches nobody, or just does: either way the file is back
    assert (agent.root / SHORTCUT).read_text() == wanted
    until(lambda: agent.run("run", "--once").returncode == 0, "the agent reaches its controller again")
    device = find_device(stack, agent.identity["serial"])
    assert events_of(stack, device["id"]).count("repaired") == 1


def test_a_killed_filter_filters_again_without_its_controller(stack: Stack) -> None:
    """It starts from the last good bundle: the controller dies with it."""
    assert stack.filters()
    stack.strike("controller")
    stack.strike("filter")
    until(stack.filters, "it filters again")


@needs("kdig")
@pytest.mark.parametrize("victim", ["worker", "valkey", "controller", "postgres", "filter"])
def test_a_decision_taken_while_something_is_killed_reaches_the_filter(stack: Stack, victim: str) -> None:
    """Queries are decided meanwhile; the lists are compiled by whoever comes back, and the newest are in force."""
    name = f"{uuid.uuid4().hex}.example"
    stack.upstream.add(f"{name}. 1 IN A 192.0.2.82")
    with stack.signed_in(TECHNICIAN) as technician:
        profile = technician.get("/api/v1/filtering/profiles").json()[0]
        answer = technician.patch(f"/api/v1/filtering/profiles/{profile['id']}", json={"denied_names": [name]})
        assert answer.status_code == 200, answer.text
    stack.strike(victim)
    assert victim == "filter" or stack.filters()
    until(lambda: kdig(stack, name).status == "NXDOMAIN", "the decision is in force", patience=120)
    until(lambda: is_up(stack), "the controller answers")
    with stack.signed_in(TECHNICIAN) as technician:
        profile = technician.get(f"/api/v1/filtering/profiles/{profile['id']}").json()
    assert profile["denied_names"] == [name]

"""Previews, the controller's side: who may ask, what filters are told and may answer, and what people read of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session
from starlette.types import Receive, Scope, Send

from filter.bundle import NamesFile, PolicyFile
from filter.layout.delta import apply_delta
from filter.settings import PolicySettings, Verdict
from filter.signing import trust
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.filtering import tasks
from fleet.filtering.gateways import nodes
from fleet.filtering.models import FilterNode
from fleet.filtering.policy import policies
from fleet.filtering.policy.models import FilterEvent, FilterLayer, FilterPolicy
from fleet.filtering.previews import asking, preparing, service
from fleet.filtering.previews.models import FilterPreview, PreviewAnswer, PreviewChunk, PreviewKind, PreviewState
from fleet.filtering.previews.moments import next_class
from fleet.filtering.publishing import publications, signing
from fleet.metrics import HELD
from fleet.schools.models import School
from fleet.scope import Role
from fleet.worker import make_celery
from tests.conftest import Clock
from tests.factories import NOON, make_school, make_user
from tests.fleet.deciding import make_room, profile_named, viewer_of
from tests.fleet.publishing import publish, store, write_lists
from tests.sign_in import signed_in

BASE = "/api/v1/filtering/previews"
FILTER = "/filter/v1/previews"
POLICY = "/filter/v1/policy"


@dataclass(frozen=True)
class Gateway:
    """A registered filter, as it speaks."""

    api: TestClient
    headers: dict[str, str]

    def get(self, path: str, **headers: str) -> Response:
        return self.api.get(path, headers=self.headers | headers)

    def answer(self, preview: str, **body: Any) -> Response:
        said = {"outcome": "judged", "judged": 40, "withheld": 1} | body
        return self.api.post(f"{FILTER}/{preview}/answer", json=said, headers=self.headers)


def change(name: str = "jeu.example", **facts: Any) -> dict[str, Any]:
    return {
        "name": name, "blocked": True, "queries": 30, "clients": 4, "profiles": ["elementaire"], "rule": "own_deny",
        "category": None, "lists": [], "suffix": name, "layer": "École Jean Macé",
    } | facts  # fmt: skip


@pytest.fixture
def school(session: Session) -> School:
    """With pupils in a network, and a policy and names in force."""
    school = make_school(session, name="École Jean Macé")
    make_room(session, viewer_of(session), school)
    store(session, b"names")
    policies.publish(session, None, "essai", NOON)
    return school


def register(api: TestClient, session: Session, name: str, seen_at: datetime | None = NOON) -> Gateway:
    node, credential = nodes.register_filter(session, name, None, NOON)
    node.last_seen_at = seen_at
    session.flush()
    return Gateway(api, {"Authorization": f"Bearer {credential}"})


@pytest.fixture
def staff(api: TestClient, session: Session) -> TestClient:
    return signed_in(api, make_user(session))


@pytest.fixture
def gateway(api: TestClient, session: Session, school: School) -> Gateway:
    return register(api, session, "passerelle")


def edit(session: Session, school: School, name: str = "jeu.example") -> dict[str, Any]:
    """A question: what if this school blocked a name for its pupils?"""
    profile = profile_named(session, "elementaire")
    names = [{"name": name, "verdict": "block"}]
    return {"kind": "layer", "school_id": str(school.id), "profile_id": str(profile.id), "names": names}


def ask(api: TestClient, body: dict[str, Any]) -> dict[str, Any]:
    asked = api.post(BASE, json=body)
    assert asked.status_code == 202, asked.text
    told: dict[str, Any] = asked.json()
    return told


def result(api: TestClient, preview: dict[str, Any]) -> dict[str, Any]:
    answer = api.get(f"{BASE}/{preview['id']}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


# --- asking ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SCHOOL_LEAD, Role.OFFICER, "technician of a commune"])
def test_only_who_publishes_asks_and_reads(api: TestClient, session: Session, school: School, role: Role | str) -> None:
    preview = ask(signed_in(api, make_user(session)), edit(session, school))
    node = {"collectivity": school.collectivity}
    if role in {Role.AUDITOR, "technician of a commune"}:
        user = make_user(session, Role.AUDITOR) if role is Role.AUDITOR else make_user(session, Role.TECHNICIAN, **node)
    else:
        user = make_user(session, Role(role), **({"school": school} if role is Role.SCHOOL_LEAD else node))
    signed_in(api, user)
    asked = [
        api.post(BASE, json=edit(session, school)),
        api.get(BASE),
        api.get(f"{BASE}/{preview['id']}"),
        api.post(f"{BASE}/{preview['id']}/abandon"),
    ]
    assert [answer.status_code for answer in asked] == [403] * 4


def test_an_edit_is_only_asked_about(staff: TestClient, session: Session, school: School, gateway: Gateway) -> None:
    def in_force() -> list[object]:
        tables = (FilterPolicy, FilterLayer)
        counted = [session.scalar(select(func.count()).select_from(table)) for table in tables]
        last = "SELECT last_value FROM pg_sequences WHERE sequencename = 'filter_policies_serial_seq'"
        return [*counted, policies.current_etag(session), session.scalar(text(last))]

    before = in_force()
    preview = ask(staff, edit(session, school))
    assert in_force() == before
    assert (preview["kind"], preview["state"], preview["subject"]) == (
        "layer",
        "asking",
        "Élémentaire, École Jean Macé",
    )
    assert preview["judged_at"] == "2026-11-26T09:00:00Z", "the next Thursday at ten in Paris"
    assert datetime.fromisoformat(preview["ends_at"]) == NOON + timedelta(minutes=10)
    events = session.scalars(select(FilterEvent.verb).where(FilterEvent.subject_id == UUID(preview["id"]))).all()
    assert events == ["preview.ask"]
    assert not session.scalars(select(FilterEvent).where(FilterEvent.verb == "layer.set")).all()
    [row] = staff.get(BASE).json()["rows"]
    assert row == preview
    kept = session.get_one(FilterPreview, UUID(preview["id"])).says
    assert kept is not None
    assert [(line.name, line.verdict) for line in kept.names] == [("jeu.example", Verdict.BLOCK)]


def test_the_candidate_is_signed_and_never_newer_than_anything(
    staff: TestClient, session: Session, school: School, gateway: Gateway, tmp_path: Path
) -> None:
    preview = ask(staff, edit(session, school))
    question = gateway.get(f"{FILTER}/{preview['id']}").json()
    assert question == {
        "id": preview["id"], "judged_at": preview["judged_at"], "ends_at": preview["ends_at"], "threshold": 3,
        "days": 7, "policy": question["policy"], "names": None,
    }  # fmt: skip
    came = gateway.get(f"{FILTER}/{preview['id']}/policy")
    assert (came.headers["Content-Encoding"], came.headers["ETag"]) == ("gzip", f'W/"{question["policy"]}"')
    (tmp_path / "policy").write_bytes(came.content)
    candidate = PolicyFile.open(tmp_path / "policy", trust(signing.public_keys(session)))
    assert (candidate.serial, candidate.etag) == (0, question["policy"])
    settings = PolicySettings.from_json(candidate.settings)
    [own] = [profile for profile in settings.profiles if profile.school == school.uai]
    assert [(rule.name, rule.verdict) for rule in own.names if rule.layer == school.name] == [
        ("jeu.example", Verdict.BLOCK)
    ]
    assert gateway.get(f"{FILTER}/{preview['id']}/names").status_code == 404


def test_an_edit_that_changes_nothing_is_asked_of_nobody(
    staff: TestClient, session: Session, school: School, gateway: Gateway
) -> None:
    preview = ask(staff, edit(session, school) | {"names": []})
    assert (preview["state"], preview["reason"]) == ("done", service.NOTHING)
    assert "X-Preau-Preview" not in gateway.get(POLICY).headers


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"kind": "layer", "names": [{"name": "..", "verdict": "block"}]}, 422, "filtering.bad_name"),
        ({"kind": "content", "content_id": str(uuid4())}, 404, "filtering.content_not_found"),
        ({"kind": "return", "publication_id": str(uuid4())}, 404, "filtering.publication_not_found"),
        ({"kind": "layer", "judged_at": "2031-01-01T10:00:00Z", "names": []}, 422, "filtering.bad_moment"),
        ({"kind": "policy"}, 422, "request.invalid"),
        ({"kind": "content", "content_id": str(uuid4()), "judged_at": "2026-11-24"}, 422, "request.invalid"),
    ],
)
def test_what_cannot_be_asked(
    staff: TestClient, session: Session, school: School, body: dict[str, Any], status: int, code: str
) -> None:
    answer = staff.post(BASE, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert session.scalars(select(FilterPreview)).all() == []


def test_a_locked_line_is_refused_as_the_form_refuses_it(staff: TestClient, session: Session, school: School) -> None:
    profile = profile_named(session, "elementaire")
    locked = {"profile_id": str(profile.id), "names": [{"name": "jeu.example", "verdict": "allow", "locked": True}]}
    assert staff.put("/api/v1/filtering/layers", json=locked).status_code == 204
    answer = staff.post(BASE, json=edit(session, school))
    assert (answer.status_code, answer.json()["code"]) == (422, "filtering.locked")


def test_nothing_is_asked_before_anything_is_published(staff: TestClient, session: Session) -> None:
    answer = staff.post(BASE, json={"kind": "layer", "names": []})
    assert (answer.status_code, answer.json()["code"]) == (409, "filtering.none_published")


def test_so_many_are_open_at_a_time(
    staff: TestClient, session: Session, school: School, gateway: Gateway, clock: Clock
) -> None:
    asked = [ask(staff, edit(session, school, f"n{number}.example")) for number in range(20)]
    refused = staff.post(BASE, json=edit(session, school))
    assert (refused.status_code, refused.json()["code"]) == (409, "filtering.too_many_previews")
    assert staff.post(f"{BASE}/{asked[0]['id']}/abandon").status_code == 204
    ask(staff, edit(session, school))
    assert staff.post(BASE, json=edit(session, school)).status_code == 409
    clock.advance(minutes=10)
    ask(staff, edit(session, school))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-24T08:59:00+01:00", "2026-11-24T10:00:00+01:00"),
        ("2026-11-24T10:00:00+01:00", "2026-11-26T10:00:00+01:00"),  # Tuesday -> Thursday
        ("2026-11-27T18:00:00+01:00", "2026-11-30T10:00:00+01:00"),  # Friday -> Monday
        ("2026-12-18T12:00:00+01:00", "2027-01-04T10:00:00+01:00"),  # Christmas holidays
        ("2027-03-26T12:00:00+01:00", "2027-03-30T10:00:00+02:00"),  # Easter Monday, and clocks change
        ("2030-07-05T12:00:00+02:00", "2030-07-08T10:00:00+02:00"),  # nobody knows that calendar yet
    ],
)
def test_the_next_moment_of_class(now: str, expected: str) -> None:
    assert next_class(datetime.fromisoformat(now)) == datetime.fromisoformat(expected)


# --- answering ---------------------------------------------------------------------------------------------------


def test_answers_of_several_filters_are_put_together(
    staff: TestClient, session: Session, school: School, gateway: Gateway
) -> None:
    other, late = (register(staff, session, name) for name in ("Vervins", "Laon"))
    register(staff, session, "muette", NOON - timedelta(minutes=61))
    preview = ask(staff, edit(session, school))
    own = f"elementaire@{school.uai}"
    opened = change("lecon.example", blocked=False, queries=90, layer="", rule="category", category="gambling")
    first = [change(queries=10, clients=3, profiles=[own]), opened]
    assert gateway.answer(preview["id"], changes=first).status_code == 204
    assert other.answer(preview["id"], changes=[change(queries=25, clients=5, lists=["Jeux"])]).status_code == 204
    told = result(staff, preview)
    assert (told["state"], told["silent"], told["outcomes"]) == ("asking", ["Laon"], {"judged": 2})
    assert told["awaited"] == ["Laon", "Vervins", "passerelle"]
    assert (told["judged"], told["withheld"], told["truncated"]) == (80, 2, False)
    most, merged = told["changes"]
    assert (most["name"], most["blocked"], most["filters"]) == ("lecon.example", False, ["passerelle"])
    assert merged == {
        "name": "jeu.example", "blocked": True, "queries": 35, "devices": 8, "filters": ["Vervins", "passerelle"],
        "profiles": ["Élémentaire", "Élémentaire, École Jean Macé"], "rule": "own_deny", "category": None,
        "lists": ["Jeux"], "suffix": "jeu.example", "layer": "École Jean Macé",
    }  # fmt: skip
    assert late.answer(preview["id"], outcome="no_counts", judged=0, withheld=0).status_code == 204
    assert result(staff, preview)["state"] == "done"
    assert result(staff, preview)["outcomes"] == {"judged": 2, "no_counts": 1}


def test_an_answer_that_comes_twice_is_one(
    staff: TestClient, session: Session, school: School, gateway: Gateway
) -> None:
    register(staff, session, "Laon")
    preview = ask(staff, edit(session, school))
    for _ in range(2):
        assert gateway.answer(preview["id"], changes=[change()]).status_code == 204
    assert session.scalar(select(func.count()).select_from(PreviewAnswer)) == 1
    assert result(staff, preview)["changes"][0]["queries"] == 30


def test_after_its_end_a_preview_is_nobodys(
    staff: TestClient, session: Session, school: School, gateway: Gateway, clock: Clock
) -> None:
    preview = ask(staff, edit(session, school))
    clock.advance(minutes=10)
    for path in ("", "/policy", "/names"):
        assert gateway.get(f"{FILTER}/{preview['id']}{path}").status_code == 404
    assert gateway.answer(preview["id"], changes=[change()]).status_code == 404
    told = result(staff, preview)
    assert (told["state"], told["changes"], told["silent"]) == ("done", [], ["passerelle"])
    assert session.get_one(FilterPreview, UUID(preview["id"])).policy is None, "its files are gone"


def test_an_abandoned_one_is_over_at_once(
    staff: TestClient, session: Session, school: School, gateway: Gateway
) -> None:
    preview = ask(staff, edit(session, school))
    assert staff.post(f"{BASE}/{preview['id']}/abandon").status_code == 204
    assert gateway.answer(preview["id"]).status_code == 404
    assert result(staff, preview)["state"] == "abandoned"
    again = staff.post(f"{BASE}/{preview['id']}/abandon")
    assert (again.status_code, again.json()["code"]) == (409, "filtering.preview_over")
    verbs = select(FilterEvent.verb).where(FilterEvent.subject_id == UUID(preview["id"])).order_by(FilterEvent.verb)
    assert session.scalars(verbs).all() == ["preview.abandon", "preview.ask"]


@pytest.mark.parametrize(
    "said",
    [
        {"outcome": "guessed"},
        {"judged": -1},
        {"judged": True},
        {"changes": [change()] * 501},
        {"changes": [change("10.0.0.1")]},
        {"changes": [change("JEU.example")]},
        {"changes": [change("a b.example")]},
        {"changes": [change(clients=2)]},
        {"changes": [change(profiles=[])]},
        {"changes": [change(lists=["x" * 201])]},
        {"changes": [change(layer="a\u0000b")]},
        {"changes": [change(queries=-1)]},
    ],
)
def test_strange_answers_are_refused_whole(
    staff: TestClient, session: Session, school: School, gateway: Gateway, said: dict[str, Any]
) -> None:
    preview = ask(staff, edit(session, school))
    assert gateway.answer(preview["id"], **said).status_code == 422
    assert result(staff, preview)["answered"] == []


def test_an_answer_may_be_so_long(staff: TestClient, session: Session, school: School, gateway: Gateway) -> None:
    preview = ask(staff, edit(session, school))
    assert gateway.answer(preview["id"], changes=[], note="x" * (2 << 20)).status_code == 413


def test_strangers_learn_nothing(staff: TestClient, session: Session, school: School, gateway: Gateway) -> None:
    preview = ask(staff, edit(session, school))
    stranger = Gateway(staff, {"Authorization": gateway.headers["Authorization"][:-1]})
    for path in ("", "/policy", "/names"):
        assert stranger.get(f"{FILTER}/{preview['id']}{path}").status_code == 401
    assert stranger.answer(preview["id"]).status_code == 401
    session.scalars(select(FilterNode)).one().revoked_at = NOON
    session.flush()
    assert gateway.get(f"{FILTER}/{preview['id']}").status_code == 401


# --- the long poll -----------------------------------------------------------------------------------------------


def test_a_filter_hears_of_the_newest_that_it_has_not_answered(
    staff: TestClient, session: Session, school: School, gateway: Gateway, clock: Clock
) -> None:
    register(staff, session, "Laon")
    assert "X-Preau-Preview" not in gateway.get(POLICY).headers
    first = ask(staff, edit(session, school))
    clock.advance(seconds=1)
    second = ask(staff, edit(session, school, "autre.example"))
    told = gateway.get(POLICY)
    assert told.headers["X-Preau-Preview"] == second["id"]
    known = gateway.get(POLICY, **{"If-None-Match": told.headers["ETag"]})
    assert (known.status_code, known.headers["X-Preau-Preview"]) == (304, second["id"])
    assert gateway.answer(second["id"]).headers["X-Preau-Preview"] == first["id"]
    assert gateway.get(POLICY).headers["X-Preau-Preview"] == first["id"]
    assert "X-Preau-Preview" not in gateway.answer(first["id"]).headers


@pytest.mark.parametrize(("said", "is_told"), [("none", True), ("another", True), ("this", False), (None, False)])
def test_who_knows_of_it_already_waits(
    app: FastAPI, staff: TestClient, session: Session, school: School, gateway: Gateway, said: str | None, is_told: bool
) -> None:
    """And who does not say so knows nothing of previews: it is left in peace."""
    scopes: list[Scope] = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await app(scope, receive, send)

    preview = ask(staff, edit(session, school))
    names = {"this": preview["id"], "another": str(uuid4())}
    headers = {"If-None-Match": f'"{policies.current_etag(session)}"'}
    headers |= {"X-Preau-Preview": names.get(said, said)} if said else {}
    answer = TestClient(watched).get(POLICY, params={"wait": 1}, headers=gateway.headers | headers)
    assert (answer.status_code, answer.headers["X-Preau-Preview"]) == (304, preview["id"])
    assert (HELD not in scopes[-1]) is is_told


# --- names: prepared by the worker -------------------------------------------------------------------------------


@pytest.fixture
def published(session: Session, config: FleetConfig, tmp_path: Path) -> Path:
    """The folder of lists that is published."""
    lists = write_lists(tmp_path)
    make_celery(FleetConfig(database_url=config.database_url, broker_url="memory://", public_url=config.public_url,
                            ut1_dir=lists))  # fmt: skip
    publish(session)
    return lists


def add_name(lists: Path, name: str) -> None:
    with (lists / "gambling" / "domains").open("a") as file:
        file.write(f"{name}\n")


def test_the_folder_as_it_is_now(
    staff: TestClient, session: Session, published: Path, clock: Clock, tmp_path: Path
) -> None:
    clock.now = utc_now()  # the worker's clock is nobody's to set
    gateway = register(staff, session, "passerelle", clock.now)
    base = publications.find_latest(session)
    assert base is not None
    add_name(published, "neuf.example")
    [folder] = staff.get("/api/v1/filtering/sources").json()["rows"]
    preview = ask(staff, {"kind": "content", "content_id": folder["id"]})
    assert preview["state"] == "preparing"
    tasks.prepare_preview(preview["id"])
    question = gateway.get(f"{FILTER}/{preview['id']}").json()
    assert (question["policy"], question["names"]["from"]) == (None, base.etag)
    came = gateway.get(f"{FILTER}/{preview['id']}/names")
    assert came.headers["ETag"] == f'"{question["names"]["to"]}"'
    (tmp_path / "delta").write_bytes(came.content)
    publications.copy_names(base.id, tmp_path / "base")
    apply_delta(tmp_path / "base", tmp_path / "delta", tmp_path / "new")
    candidate = NamesFile.open(tmp_path / "new", trust(signing.public_keys(session)))
    assert (candidate.serial, candidate.etag) == (0, question["names"]["to"])
    assert candidate.names == NamesFile.open(tmp_path / "base").names + 1
    assert publications.find_latest(session) == base, "nothing is published"
    tasks.prepare_preview(preview["id"])  # twice is once
    assert gateway.answer(preview["id"]).status_code == 204
    assert result(staff, preview)["state"] == "done"
    assert session.scalars(select(PreviewChunk)).all() == []


def test_lists_that_are_the_same_are_asked_of_nobody(
    staff: TestClient, session: Session, published: Path, clock: Clock
) -> None:
    clock.now = utc_now()
    register(staff, session, "passerelle", clock.now)
    latest = publications.find_latest(session)
    assert latest is not None
    preview = ask(staff, {"kind": "return", "publication_id": str(latest.id)})
    tasks.prepare_preview(preview["id"])
    told = result(staff, preview)
    assert told["state"] == "done"
    assert told["preview"]["reason"] == preparing.SAME
    assert (told["awaited"], told["silent"]) == ([], [])


def test_a_return_is_asked_about(staff: TestClient, session: Session, published: Path, clock: Clock) -> None:
    clock.now = utc_now()
    earlier = publications.find_latest(session)
    assert earlier is not None
    add_name(published, "neuf.example")
    publish(session)
    preview = ask(staff, {"kind": "return", "publication_id": str(earlier.id)})
    assert (preview["kind"], preview["subject"]) == ("return", f"Publication {earlier.serial}")
    assert preparing.list_waiting(session) == [UUID(preview["id"])], "what the broker loses is found"
    tasks.sweep_previews()
    tasks.prepare_preview(preview["id"])
    session.expire_all()
    assert session.get_one(FilterPreview, UUID(preview["id"])).names_tag == f"{earlier.digest}.0"


def test_what_kills_its_worker_is_given_up(session: Session, staff: TestClient, published: Path, clock: Clock) -> None:
    clock.now = utc_now()
    latest = publications.find_latest(session)
    assert latest is not None
    preview = ask(staff, {"kind": "return", "publication_id": str(latest.id)})
    for _ in range(preparing.MOST_ATTEMPTS):
        assert preparing.start(session, UUID(preview["id"])) is not None
    assert preparing.start(session, UUID(preview["id"])) is None
    assert result(staff, preview)["state"] == "failed"


def test_an_abandoned_preparation_asks_nobody(
    session: Session, staff: TestClient, published: Path, clock: Clock
) -> None:
    clock.now = utc_now()
    latest = publications.find_latest(session)
    assert latest is not None
    preview = ask(staff, {"kind": "return", "publication_id": str(latest.id)})
    errand = preparing.start(session, UUID(preview["id"]))
    assert errand is not None
    assert staff.post(f"{BASE}/{preview['id']}/abandon").status_code == 204
    preparing.settle(errand, lambda found, row: preparing.ask(found, row, "x.0", b"delta"))
    assert result(staff, preview)["state"] == "abandoned"


def test_a_publication_without_a_file_fails_with_a_reason(
    session: Session, staff: TestClient, published: Path, clock: Clock
) -> None:
    clock.now = utc_now()
    preview = FilterPreview(
        kind=PreviewKind.RETURN, subject="Publication 1", asked_by="x", asked_at=clock.now, judged_at=clock.now,
        threshold=3, days=7,
    )  # fmt: skip
    session.add(preview)
    session.flush()
    tasks.prepare_preview(str(preview.id))
    session.refresh(preview)
    assert (preview.state, preview.reason) == (PreviewState.FAILED, "Le contenu de cette publication n’est plus là.")


# --- forgetting --------------------------------------------------------------------------------------------------


def test_answers_are_forgotten_after_a_week(
    staff: TestClient, session: Session, school: School, gateway: Gateway
) -> None:
    preview = ask(staff, edit(session, school))
    gateway.answer(preview["id"], changes=[change()])
    asking.purge(session, NOON + timedelta(days=7))
    assert result(staff, preview)["changes"] != []
    asking.purge(session, NOON + timedelta(days=7, seconds=1))
    assert staff.get(f"{BASE}/{preview['id']}").status_code == 404
    assert session.scalars(select(PreviewAnswer)).all() == []


def test_who_does_not_look_has_it_closed_all_the_same(staff: TestClient, session: Session, school: School) -> None:
    register(staff, session, "passerelle")
    preview = session.get_one(FilterPreview, UUID(ask(staff, edit(session, school))["id"]))
    asking.close_ended(session, NOON + timedelta(minutes=9))
    assert preview.state is PreviewState.ASKING
    asking.close_ended(session, NOON + timedelta(minutes=10))
    assert (preview.state, preview.policy) == (PreviewState.DONE, None)

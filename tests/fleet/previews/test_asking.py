"""Previews: who may ask what, and what is kept of it."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from filter.bundle import PolicyFile
from filter.settings import PolicySettings, Verdict
from filter.signing import trust
from fleet.filtering.policy import policies
from fleet.filtering.policy.models import FilterEvent, FilterLayer, FilterPolicy
from fleet.filtering.previews import service
from fleet.filtering.previews.models import FilterPreview
from fleet.filtering.previews.moments import next_class
from fleet.filtering.publishing import signing
from fleet.schools.models import School
from fleet.scope import Role
from tests.conftest import Clock
from tests.factories import NOON, make_user
from tests.fleet.deciding import profile_named
from tests.fleet.previews.gateway import BASE, FILTER, POLICY, Gateway, ask, edit
from tests.sign_in import signed_in


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

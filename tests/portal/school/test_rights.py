"""The school's pages of filtering: who may see and change what, and how much they ask of the database."""

import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.accounts.models import User
from fleet.filtering.exceptions import lessons, overrides, requests, rooms
from fleet.filtering.exceptions.overrides import Verdict, Wish
from fleet.filtering.policy.models import FilterRoom
from fleet.filtering.policy.places import find_place
from fleet.schools.models import School
from fleet.scope import Viewer
from tests.conftest import Clock
from tests.factories import NOON, make_device, make_school, make_user
from tests.fleet.deciding import current_settings, make_room, profile_named
from tests.portal.school.refused import LESSONS, OVERRIDES, REQUESTS, ROOMS, refused
from tests.portal.test_forms import send
from tests.portal.test_queries import MOST, counting
from tests.sign_in import signed_in


def test_an_officer_sees_and_changes_nothing(
    api: TestClient, session: Session, school: School, staff: Viewer, officer: User, room: FilterRoom, clock: Clock
) -> None:
    lesson = lessons.start_lesson(session, staff, room.id, minutes=60, names=["musee.example"], now=clock.now)
    found = find_place(session, staff, school_id=school.id)
    wish = Wish(Verdict.ALLOW, "Projet", clock.now, clock.now + timedelta(days=2), ["europe.example"])
    override = overrides.add_override(session, staff, found, None, wish, clock.now)
    asked = requests.ask(
        session, staff, name="jeu.example", reason="Exposé", school_id=school.id, profile=None, now=clock.now
    )
    signed_in(api, officer)
    shown = {
        LESSONS: "musee.example",
        ROOMS: room.name,
        OVERRIDES: "europe.example",
        f"{OVERRIDES}/{override.id}": "europe.example",
        REQUESTS: "jeu.example",
        f"{REQUESTS}/{asked.id}": "jeu.example",
    }
    for path, text in shown.items():
        page = api.get(path).text
        main = page.partition("<main")[2]
        assert text in main, path
        assert 'method="post"' not in main, path
        assert "/new" not in main, path
    forms: dict[str, dict[str, object]] = {
        LESSONS: {"school": school.id, "room": room.id, "minutes": 60, "names": "a.example"},
        f"{LESSONS}/{lesson.id}/stop": {},
        f"{LESSONS}/{lesson.id}/prolong": {"longer": 10},
        ROOMS: {"school": school.id, "name": "À moi"},
        f"{OVERRIDES}/new": {
            "school": school.id, "verdict": "allow", "names": "a.example", "ends": "2026-12-01T18:00", "reason": "x",
        },
        f"{OVERRIDES}/{override.id}/revoke": {},
        f"{REQUESTS}/new": {"school": school.id, "name": "a.example", "reason": "x"},
        f"{REQUESTS}/{asked.id}/allow": {"ends": "2026-12-01T18:00", "place": "school"},
        f"{REQUESTS}/{asked.id}/decline": {"refusal": "Non."},
    }  # fmt: skip
    for path, fields in forms.items():
        refused(api, path, 403, **fields)


def test_what_is_the_neighbours_does_not_exist_here_either(
    api: TestClient, session: Session, school: School, staff: Viewer, lead: User, clock: Clock
) -> None:
    theirs = make_school(session, name="École voisine")
    their_room = make_room(session, staff, theirs)
    lesson = lessons.start_lesson(session, staff, their_room.id, minutes=60, names=["voisin.example"], now=clock.now)
    found = find_place(session, staff, school_id=theirs.id)
    wish = Wish(Verdict.ALLOW, "Voisin", clock.now, clock.now + timedelta(days=2), ["voisin.example"])
    override = overrides.add_override(session, staff, found, None, wish, clock.now)
    asked = requests.ask(
        session, staff, name="voisin.example", reason="Exposé", school_id=theirs.id, profile=None, now=clock.now
    )
    signed_in(api, lead)
    for path in (
        f"{LESSONS}?school={theirs.id}",
        f"{LESSONS}?again={lesson.id}",
        f"{ROOMS}?school={theirs.id}",
        f"{OVERRIDES}/{override.id}",
        f"{REQUESTS}/{asked.id}",
        f"{REQUESTS}/new?school={theirs.id}",
    ):
        assert api.get(path).status_code == 404, path
    for path in (LESSONS, ROOMS, f"{OVERRIDES}?state=all", f"{REQUESTS}?state=all"):
        assert "voisin" not in api.get(path).text, path
    for path in (f"{LESSONS}.csv", f"{OVERRIDES}.csv?state=all", f"{REQUESTS}.csv?state=all"):
        assert "voisin" not in api.get(path).text, path
    forms: dict[str, dict[str, object]] = {
        LESSONS: {"school": theirs.id, "room": their_room.id, "minutes": 60, "names": "a.example"},
        f"{LESSONS}/{lesson.id}/stop": {},
        ROOMS: {"school": theirs.id, "name": "À moi"},
        f"{OVERRIDES}/{override.id}/revoke": {},
        f"{REQUESTS}/{asked.id}/decline": {"refusal": "Non."},
        f"{REQUESTS}/new": {"school": theirs.id, "name": "a.example", "reason": "x"},
    }
    for path, fields in forms.items():
        refused(api, path, 404, **fields)


def test_each_menu_leads_to_what_one_may_open(
    api: TestClient, session: Session, school: School, lead: User, officer: User
) -> None:
    for user, home in ((lead, LESSONS), (officer, REQUESTS), (make_user(session), "/filtering")):
        signed_in(api, user)
        page = api.get(f"{OVERRIDES}").text
        assert f'href="{home}" aria-current="page">' in page
        tabs = re.search(r'<nav class="tabs.*?</nav>', page, re.DOTALL)
        assert tabs is not None
        for path in re.findall(r'href="([^"]+)"', tabs.group()):
            assert api.get(path).status_code == 200, path


@pytest.mark.parametrize(
    "path", [LESSONS, OVERRIDES, REQUESTS, f"{LESSONS}?school={{school}}", f"{ROOMS}?school={{school}}"]
)
def test_more_rows_ask_the_database_no_more(
    api: TestClient, session: Session, staff: Viewer, school: School, clock: Clock, path: str
) -> None:
    signed_in(api, make_user(session))
    counts = []
    for rows in (1, 6):
        for _ in range(rows):
            elsewhere = make_school(session)
            for place in (school, elsewhere):
                room = make_room(session, staff, place)
                lessons.start_lesson(session, staff, room.id, minutes=60, names=["a.example"], now=clock.now)
                requests.ask(
                    session, staff, name="a.example", reason="x", school_id=place.id, profile=None, now=clock.now
                )
            found = find_place(session, staff, school_id=elsewhere.id)
            wish = Wish(Verdict.ALLOW, "x", clock.now, clock.now + timedelta(days=2), ["a.example"])
            overrides.add_override(session, staff, found, None, wish, clock.now)
        with counting(session) as seen:
            assert api.get(path.format(school=school.id)).status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1] <= MOST


def test_a_page_beyond_the_last_shows_the_last(
    api: TestClient, session: Session, staff: Viewer, school: School, clock: Clock
) -> None:
    for number in range(27):
        name = f"site-{number}.example"
        requests.ask(session, staff, name=name, reason="x", school_id=school.id, profile=None, now=clock.now)
    signed_in(api, make_user(session))
    page = api.get(f"{REQUESTS}?page=999").text
    assert page.count('<tr role="row">') == 3
    assert 'rel="prev"' in page
    assert "site-9.example" in api.get(f"{REQUESTS}?sort=-name").text


def test_a_device_that_is_retired_on_its_page_leaves_the_policy_at_once(
    api: TestClient, session: Session, staff: Viewer, school: School, room: FilterRoom
) -> None:
    device = make_device(session, school=school)
    rooms.set_label(session, staff, device.id, profile_named(session, "ecrans"), room.id, NOON)
    assert len(current_settings(session).labels) == 1
    signed_in(api, make_user(session))
    send(api, f"/devices/{device.id}/status", status="retired")
    assert current_settings(session).labels == ()

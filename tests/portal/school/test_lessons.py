"""Pages of lessons: how long, which sites, and what a school reads when one cannot start."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.accounts.models import User
from fleet.filtering.exceptions import lessons, name_lists, rooms
from fleet.filtering.policy.models import FilterRoom
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from tests.conftest import Clock
from tests.factories import NOON
from tests.fleet.deciding import current_settings, viewer_of
from tests.portal.school.refused import LESSONS, ROOMS, refused
from tests.portal.test_forms import send
from tests.sign_in import signed_in


def test_a_lesson_lasts_what_is_asked_and_its_sites_are_kept(
    api: TestClient, session: Session, school: School, lead: User, room: FilterRoom, clock: Clock
) -> None:
    signed_in(api, lead)
    address = send(
        api, LESSONS, school=school.id, room=room.id, minutes=60, other=25, names="musee.example", keep="Musées"
    )
    assert "finit" not in address
    [told] = current_settings(session).lessons
    assert (told.ends, told.names) == (clock.now + timedelta(minutes=25), ("musee.example",))
    page = api.get(address).text
    assert "La leçon est lancée" in page
    viewer = viewer_of(session, Role.SCHOOL_LEAD, school=school)
    [saved] = name_lists.list_lists(session, viewer, school.id)
    assert (saved.name, saved.names) == ("Musées", ["musee.example"])
    [lesson] = lessons.list_lessons(session, viewer, now=clock.now).rows
    send(api, f"{LESSONS}/{lesson.id}/stop")
    send(api, LESSONS, school=school.id, room=room.id, minutes=60, list=saved.id)
    assert current_settings(session).lessons[0].ends == clock.now + timedelta(minutes=60)
    send(api, f"{LESSONS}/lists/{saved.id}/remove", school=school.id)
    assert name_lists.list_lists(session, viewer, school.id) == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"minutes": 60}, "Donnez au moins un site, ou choisissez une liste enregistrée."),
        ({"minutes": 60, "names": "pas un nom !"}, "« pas un nom ! » n’est pas un nom de domaine."),
        ({"minutes": 60, "names": "a.example", "other": "4"}, "Un nombre de 5 à 240."),
        ({"minutes": 60, "names": "a.example", "other": "241"}, "Un nombre de 5 à 240."),
        ({"minutes": 60, "names": "a.example", "room": ""}, "Choisissez la salle."),
        ({"minutes": 60, "keep": "Musées", "list": "00000000-0000-0000-0000-000000000001"}, "Écrivez plus haut"),
    ],
)
def test_a_refused_lesson_keeps_what_was_typed(
    api: TestClient, school: School, lead: User, room: FilterRoom, fields: dict[str, object], told: str
) -> None:
    signed_in(api, lead)
    form = {"school": school.id, "room": room.id, "title": "Histoire, CM2", **fields}
    page = refused(api, LESSONS, 422, **form)
    assert told in page
    assert 'value="Histoire, CM2"' in page
    assert "En cours</span>" not in page


def test_what_a_school_reads_when_a_lesson_cannot_start(
    api: TestClient, session: Session, school: School, staff: Viewer, lead: User
) -> None:
    signed_in(api, lead)
    page = api.get(LESSONS).text
    assert "Cette école n’a pas encore de salle" in page
    assert f"/tickets/new?school={school.id}" in page
    empty = rooms.add_room(session, staff, school, "Salle vide", NOON)
    form = {"school": school.id, "room": empty.id, "minutes": 60, "names": "a.example"}
    assert "Aucun réseau ni appareil n’est rattaché à cette salle" in refused(api, LESSONS, 409, **form)
    assert "aucune leçon ne peut s’y lancer" in api.get(ROOMS).text


def test_a_lesson_that_is_over_is_neither_stopped_nor_prolonged(
    api: TestClient, session: Session, lead: User, staff: Viewer, room: FilterRoom, clock: Clock
) -> None:
    lesson = lessons.start_lesson(session, staff, room.id, minutes=10, names=["a.example"], now=clock.now)
    signed_in(api, lead)
    assert "Une leçon finit au plus dans 240 minutes." in refused(
        api, f"{LESSONS}/{lesson.id}/prolong", 422, longer=240
    )
    clock.advance(minutes=11)
    for verb in ("stop", "prolong"):
        assert "Cette leçon est finie." in refused(api, f"{LESSONS}/{lesson.id}/{verb}", 409, longer=10)

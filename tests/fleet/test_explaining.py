"""Why is it blocked? The live decision on the current pair, and whose line decided."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from filter.settings import Verdict
from fleet.config import FleetConfig
from fleet.filtering import service
from fleet.filtering.exceptions import lessons, overrides, rooms
from fleet.filtering.policy import editing
from fleet.filtering.policy.explaining import Author
from fleet.filtering.policy.layers import CategoryLine, LayerSettings, NameLine
from fleet.filtering.policy.places import find_place
from fleet.scope import Role, Viewer
from fleet.worker import make_celery
from tests.factories import NOON, make_device, make_school, make_user
from tests.fleet.deciding import make_room, profile_named, viewer_of
from tests.fleet.publishing import publish, write_lists
from tests.sign_in import signed_in


@pytest.fixture
def staff(session: Session, app: FastAPI, config: FleetConfig, tmp_path: Path) -> Viewer:
    """A technician, with lists published."""
    make_celery(replace(config, ut1_dir=write_lists(tmp_path)))
    publish(session)
    return viewer_of(session)


def test_each_answer_says_whose_line_decided(session: Session, staff: Viewer) -> None:
    school = make_school(session, name="École Jean Macé")
    room = make_room(session, staff, school, "college")
    [network] = rooms.list_networks(session)
    client = network.cidr.replace(".0/24", ".9")
    place = find_place(session, staff, school_id=school.id)
    college = profile_named(session, "college")
    says = LayerSettings(
        names=(NameLine("radio.example", Verdict.BLOCK, "pendant les travaux"),),
        categories=(CategoryLine("liste_bu", Verdict.NEUTRAL),),
    )
    editing.set_layer(session, staff, place, college, says, NOON)
    wish = overrides.Wish(Verdict.ALLOW, "tournoi", NOON, NOON + timedelta(days=2), ["casino.example"])
    overrides.add_override(session, staff, find_place(session, staff, room_id=room.id), None, wish, NOON)

    def ask(name: str) -> tuple[str, str, Author | None]:
        told = service.explain(session, name, "A", client, NOON + timedelta(minutes=1))
        return told.explanation.decision.action, told.explanation.decision.rule, told.author

    by_school = Author("École Jean Macé", staff.name, NOON)
    assert ask("www.radio.example") == ("blocked", "own_deny", by_school)
    assert ask("bonjeux.jeux.example") == ("blocked", "category_deny", Author("Aisne", "", None))
    assert ask("jeux.example")[1] == "category_deny"
    assert ask("casino.example") == ("allowed", "override", Author(f"École Jean Macé, {room.name}", staff.name, NOON))
    assert ask("education.example") == ("allowed", "default", None)
    lessons.start_lesson(session, staff, room.id, minutes=30, names=["musee.example"], now=NOON)
    assert ask("education.example") == ("blocked", "lesson", None)


def test_a_locked_category_is_told_with_its_list(api: TestClient, session: Session, staff: Viewer) -> None:
    signed_in(api, make_user(session))
    default = service.ensure_default_profile(session)
    path = "/api/v1/filtering/explain"
    service.update_profile(session, staff, default.id, denied_names=["interdit.example"], now=NOON)
    own = api.get(path, params={"name": "https://interdit.example:8443/page"}).json()
    assert (own["decision"]["rule"], own["author"]["by"], own["profile"]) == ("own_deny", staff.name, "elementaire")
    casino = api.get(path, params={"name": "www.casino.example", "qtype": "HTTPS"}).json()
    [match] = casino["matches"]
    assert (match["list"]["slug"], match["effect"], match["layer"], match["suffix"]) == (
        "gambling", "blocks", "Aisne", "casino.example",
    )  # fmt: skip
    assert casino["policy_serial"] > 0
    device = make_device(session)
    rooms.set_label(session, staff, device.id, profile_named(session, "personnels"), None, NOON)
    known = api.get(path, params={"name": "a.example", "label": device.label}).json()
    assert known["profile"] == "personnels"
    signed_in(api, make_user(session, Role.SCHOOL_LEAD, school=make_school(session)))
    assert api.get(path, params={"name": "casino.example"}).status_code == 403

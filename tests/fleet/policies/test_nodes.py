"""What nodes say of profiles: who wrote each line, what is locked, rooms and what moved."""

import json
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from filter.settings import Verdict
from fleet.db import SessionFactory, transaction
from fleet.devices.models import Device
from fleet.doors import Door
from fleet.errors import Invalid, NotFound
from fleet.filtering import service, tasks
from fleet.filtering.exceptions import rooms
from fleet.filtering.policy import editing, policies
from fleet.filtering.policy.layers import (
    BypassLine,
    CategoryLine,
    EngineLine,
    LayerSettings,
    Mark,
    NameLine,
    RewriteLine,
)
from fleet.filtering.policy.models import FilterEvent, FilterPolicy
from fleet.filtering.policy.places import find_place
from fleet.filtering.policy.presets import PRESETS
from fleet.schools.models import School
from fleet.scope import Viewer
from tests.factories import NOON, make_collectivity, make_device, make_school
from tests.fleet.deciding import current_settings, flat, make_room, profile_named, viewer_of

LOCK = Mark(locked=True)


def test_each_line_says_who_wrote_it_and_keeps_its_author(session: Session, staff: Viewer, school: School) -> None:
    college = profile_named(session, "college")
    place = find_place(session, staff, school_id=school.id)
    first = LayerSettings(names=(NameLine("B.example", Verdict.ALLOW), NameLine("a.example", Verdict.BLOCK)))
    editing.set_layer(session, staff, place, college, first, NOON)
    other = viewer_of(session)
    later = NOON + timedelta(days=1)
    second = replace(
        first, names=(NameLine("b.example", Verdict.ALLOW), NameLine("a.example", Verdict.BLOCK, mark=LOCK))
    )
    editing.set_layer(session, other, place, college, second, later)
    layer = editing.find_layer(session, place, college)
    assert layer is not None
    marks = {line.name: line.mark for line in layer.says.names}
    assert marks == {"a.example": Mark(True, other.name, later), "b.example": Mark(False, staff.name, NOON)}
    assert [line.name for line in layer.says.names] == ["a.example", "b.example"]
    event = session.scalars(select(FilterEvent).where(FilterEvent.by == other.name)).one()
    assert (event.verb, event.subject, event.school_id) == ("layer.set", "Collège, École Jean Macé", school.id)
    assert event.before is not None
    assert event.before["names"][0]["mark"]["by"] == staff.name


def test_saying_nothing_takes_the_layer_away(session: Session, staff: Viewer, school: School) -> None:
    place = find_place(session, staff, school_id=school.id)
    says = LayerSettings(bypass=BypassLine(closed=False))
    editing.set_layer(session, staff, place, None, says, NOON)
    assert editing.find_layer(session, place, None) is not None
    editing.set_layer(session, staff, place, None, LayerSettings(), NOON)
    assert editing.find_layer(session, place, None) is None


@pytest.mark.parametrize(
    "wrong",
    [
        LayerSettings(categories=(CategoryLine("../etc", Verdict.BLOCK),)),
        LayerSettings(categories=(CategoryLine("service:inconnu", Verdict.BLOCK),)),
        LayerSettings(categories=(CategoryLine("games", Verdict.BLOCK, schedule="inconnue"),)),
        LayerSettings(categories=(CategoryLine("games", Verdict.BLOCK), CategoryLine("games", Verdict.ALLOW))),
        LayerSettings(names=(NameLine("fr", Verdict.BLOCK),)),
        LayerSettings(names=(NameLine("a.fr", Verdict.BLOCK), NameLine("A.fr.", Verdict.ALLOW))),
        LayerSettings(engines=(EngineLine("altavista"),)),
        LayerSettings(rewrites=(RewriteLine("x.example", ("a b",)),)),
        LayerSettings(rewrites=(RewriteLine("x.example", ("a.example", "10.0.0.1")),)),
    ],
)
def test_what_no_node_may_say(session: Session, staff: Viewer, wrong: LayerSettings) -> None:
    college = profile_named(session, "college")
    with pytest.raises(Invalid):
        editing.set_layer(session, staff, editing.OPERATOR_FOUND, college, wrong, NOON)


def test_what_is_locked_above_is_refused_by_name(session: Session, staff: Viewer, school: School) -> None:
    college = profile_named(session, "college")
    place = find_place(session, staff, school_id=school.id)
    opening = LayerSettings(categories=(CategoryLine("adult", Verdict.ALLOW),), bypass=BypassLine(closed=False))
    with pytest.raises(Invalid, match=r"Verrouillé.*adult, bypass"):
        editing.set_layer(session, staff, place, college, opening, NOON)
    editing.set_layer(session, staff, place, None, opening, NOON)  # for all profiles: those that lock it do not follow
    room = make_room(session, staff, school, "college")
    network = next(n for n in current_settings(session).networks if n.room == str(room.id))
    profile = flat(session, network.profile)
    assert profile.closes_bypass
    assert {rule.category: (rule.verdict, rule.layer) for rule in profile.categories}["adult"] == (
        Verdict.BLOCK,
        "Aisne",
    )


def test_a_room_of_its_own(session: Session, staff: Viewer, school: School) -> None:
    room, beside = (make_room(session, staff, school, "college") for _ in range(2))
    says = LayerSettings(categories=(CategoryLine("service:youtube", Verdict.BLOCK),))
    place = find_place(session, staff, room_id=room.id)
    editing.set_layer(session, staff, place, profile_named(session, "college"), says, NOON)
    reached = {network.room: network.profile for network in current_settings(session).networks}
    assert reached == {str(room.id): f"college@{school.uai}/{room.id.hex[:12]}", str(beside.id): "college"}
    line = next(rule for rule in flat(session, reached[str(room.id)]).categories if rule.category == "service:youtube")
    assert line.layer == f"École Jean Macé, {room.name}"
    rooms.remove_room(session, staff, room.id, NOON)
    assert {network.profile for network in current_settings(session).networks} == {"college"}


def test_a_device_that_moved_leaves_the_room(session: Session, staff: Viewer, school: School) -> None:
    room = make_room(session, staff, school)
    device = make_device(session, school=school)
    profile = profile_named(session, "ecrans")
    rooms.set_label(session, staff, device.id, profile, room.id, NOON)
    with pytest.raises(Invalid):
        rooms.set_label(session, staff, make_device(session).id, profile, room.id, NOON)
    device.school = make_school(session)
    session.flush()
    service.publish_policy(session, None, "déménagement", NOON)
    [label] = current_settings(session).labels
    assert (label.profile, label.room) == ("ecrans", "")
    rooms.remove_label(session, staff, device.id, NOON)
    assert current_settings(session).labels == ()
    with pytest.raises(NotFound):
        rooms.remove_label(session, staff, device.id, NOON)


def test_filters_hear_of_devices_and_schools_that_moved(own_database_url: str) -> None:
    """Nothing in filtering changed: the sweep finds it, and publishes nothing the second time."""
    engine = create_engine(own_database_url)
    SessionFactory.configure(bind=engine)
    with transaction(Door.OPERATOR) as session:
        staff, school, town = viewer_of(session), make_school(session), make_collectivity(session)
        room, device = make_room(session, staff, school), make_device(session, school=school)
        moved_id, school_id = device.id, school.id
        rooms.set_label(session, staff, device.id, profile_named(session, "ecrans"), room.id, NOON)
        says = LayerSettings(names=(NameLine("mairie.example", Verdict.ALLOW),))
        editing.set_layer(session, staff, find_place(session, staff, town.id), None, says, NOON)
        other_id, town_id = make_school(session).id, town.id
    swept()  # the calendar of today
    with transaction(Door.OPERATOR) as session:
        session.get_one(School, school_id).collectivity_id = town_id
    assert swept() == 1
    with transaction(Door.OPERATOR) as session:
        assert {network.profile for network in current_settings(session).networks} == {
            f"elementaire@{town_id.hex[:12]}"
        }
        assert [label.room for label in current_settings(session).labels] == [str(room.id)]
        session.get_one(Device, moved_id).school_id = other_id
    assert (swept(), swept()) == (1, 0)
    with transaction(Door.OPERATOR) as session:
        assert [(label.profile, label.room) for label in current_settings(session).labels] == [("ecrans", "")]
        assert session.scalars(select(FilterPolicy.by).order_by(FilterPolicy.serial.desc())).first() is None
    engine.dispose()


def swept() -> int:
    """How many policies a run of the sweep made."""
    with transaction(Door.OPERATOR) as session:
        before = session.scalars(select(func.max(FilterPolicy.serial))).one()
    tasks.sweep_policy()
    with transaction(Door.OPERATOR) as session:
        return len(session.scalars(select(FilterPolicy.id).where(FilterPolicy.serial > before)).all())


def test_where_nothing_was_ever_published_the_sweep_publishes_nothing(session: Session) -> None:
    policies.catch_up(session, NOON)
    assert policies.find_current(session) is None


def test_a_line_that_stays_keeps_its_schedule_and_its_lock(session: Session, staff: Viewer) -> None:
    college = profile_named(session, "college")
    before = {line.category: line for line in college.says.categories}
    service.update_profile(
        session, staff, college.id, blocked_categories=[*college.blocked_categories, "press"], now=NOON
    )
    after = {line.category: line for line in college.says.categories}
    assert {c: line for c, line in after.items() if c != "press"} == before
    assert after["press"].mark == Mark(False, staff.name, NOON)
    service.update_profile(session, staff, college.id, allowed_categories=["press"], now=NOON)
    assert "press" not in college.blocked_categories


def test_what_a_layer_says_survives_the_database(session: Session, staff: Viewer) -> None:
    for preset in PRESETS:
        assert msgspec.convert(json.loads(msgspec.json.encode(preset.says)), LayerSettings) == preset.says
        assert profile_named(session, preset.slug).says == preset.says

"""Profiles as a tree: ready-made ones, what each node may say, schedules, who sees and changes what, who decided."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec
import pytest
from alembic import command
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.orm import Session

from filter.deciding.safesearch import ENGINES
from filter.deciding.services import SERVICES
from filter.lists.titles import TITLES
from filter.schedules import is_active
from filter.settings import DayException, ScheduleSettings, Verdict, WeeklyRange, YouTube
from fleet.db import SessionFactory
from fleet.devices.models import Device
from fleet.embedded.postgres import Postgres
from fleet.errors import Conflict, Invalid, NotAllowed, NotFound
from fleet.filtering import service, tasks
from fleet.filtering.exceptions import rooms
from fleet.filtering.policy import editing, policies, presets, schedules
from fleet.filtering.policy.layers import (
    BypassLine,
    CategoryLine,
    EngineLine,
    LayerSettings,
    Mark,
    NameLine,
    RewriteLine,
)
from fleet.filtering.policy.models import FilterEvent, FilterLayer, FilterPolicy, FilterProfile, FilterSchedule
from fleet.filtering.policy.places import find_place
from fleet.filtering.policy.presets import CLASS_HOURS, PRESETS
from fleet.filtering.policy.profiles import policy_settings
from fleet.migrate import alembic_config, migrate
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from tests.conftest import run_outside_transaction
from tests.factories import NOON, make_collectivity, make_device, make_school, make_user
from tests.fleet.deciding import current_settings, flat, make_room, profile_named, viewer_of
from tests.sign_in import signed_in

BASE = "/api/v1/filtering"
LOCK = Mark(locked=True)


@pytest.fixture
def school(session: Session) -> School:
    return make_school(session, name="École Jean Macé")


# --- ready-made profiles -----------------------------------------------------------------------------------------


def test_ready_made_profiles_are_made_once_and_stay_as_people_left_them(session: Session, staff: Viewer) -> None:
    presets.ensure_profiles(session, NOON)
    college = profile_named(session, "college")
    service.update_profile(session, staff, college.id, name="Collèges", blocked_categories=["vpn"], now=NOON)
    presets.ensure_profiles(session, NOON)
    assert service.list_profiles(session)[0].slug == "elementaire"
    assert {p.slug for p in service.list_profiles(session)} == {preset.slug for preset in PRESETS}
    assert (college.name, college.blocked_categories) == ("Collèges", ["vpn"])
    assert len(session.scalars(select(FilterLayer)).all()) == len(PRESETS)


def test_ready_made_profiles_say_what_they_should() -> None:
    known = {*TITLES, *(each.category for each in SERVICES.values())}
    for preset in PRESETS:
        assert {line.category for line in preset.says.categories} <= known
        assert {line.schedule for line in preset.says.categories} <= {None, CLASS_HOURS}
        assert "adult" in {line.category for line in preset.says.categories if line.verdict is Verdict.BLOCK}
    says = {preset.slug: preset.says for preset in PRESETS}
    assert {line.engine for line in says["maternelle"].engines} == set(ENGINES)
    assert not says["personnels"].engines
    levels = {slug: line.youtube.level if line.youtube else YouTube.OFF for slug, line in says.items()}
    assert levels == {
        "maternelle": "strict",
        "elementaire": "strict",
        "college": "moderate",
        "personnels": "off",
        "ecrans": "moderate",
    }
    social = {line.category: line.schedule for line in says["college"].categories}["social_networks"]
    assert social == CLASS_HOURS


def test_what_profiles_said_before_layers_is_kept(postgres: Postgres) -> None:
    """The default profile of the first tables becomes « Élémentaire », its choices as they were; back, they return."""
    run_outside_transaction(postgres, "CREATE DATABASE preau_older")
    url = postgres.url("preau_older")
    migrate(url, "0002")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO filter_profiles"
                " VALUES ('ecole', 'École', true, :blocked, :allowed, :denied, :names, now(), gen_random_uuid())"
            ),
            {
                "blocked": json.dumps(["vpn", "child"]), "allowed": json.dumps(["child"]),
                "denied": json.dumps(["a.example"]), "names": json.dumps(["b.example"]),
            },
        )  # fmt: skip
    migrate(url)
    with Session(engine) as session:
        [profile] = session.scalars(select(FilterProfile))
        assert (profile.slug, profile.name, profile.is_default) == ("elementaire", "Élémentaire", True)
        assert (profile.blocked_categories, profile.allowed_categories) == (["vpn"], ["child"])
        assert (profile.denied_names, profile.allowed_names) == (["a.example"], ["b.example"])
        assert flat_slugs(session) == {preset.slug for preset in PRESETS}
        assert profile.blocked_categories == ["vpn"]
        session.commit()
    command.downgrade(alembic_config(url), "0002")
    with engine.begin() as connection:
        row = connection.execute(text("SELECT * FROM filter_profiles WHERE is_default")).mappings().one()
        assert (row["slug"], row["blocked_categories"], row["denied_names"]) == ("ecole", ["vpn"], ["a.example"])
    engine.dispose()
    run_outside_transaction(postgres, "DROP DATABASE preau_older WITH (FORCE)")


def flat_slugs(session: Session) -> set[str]:
    return {profile.slug for profile in policy_settings(session, NOON).profiles}


# --- what a node may say -----------------------------------------------------------------------------------------


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
    with SessionFactory.begin() as session:
        staff, school, town = viewer_of(session), make_school(session), make_collectivity(session)
        room, device = make_room(session, staff, school), make_device(session, school=school)
        moved_id, school_id = device.id, school.id
        rooms.set_label(session, staff, device.id, profile_named(session, "ecrans"), room.id, NOON)
        says = LayerSettings(names=(NameLine("mairie.example", Verdict.ALLOW),))
        editing.set_layer(session, staff, find_place(session, staff, town.id), None, says, NOON)
        other_id, town_id = make_school(session).id, town.id
    swept()  # the calendar of today
    with SessionFactory.begin() as session:
        session.get_one(School, school_id).collectivity_id = town_id
    assert swept() == 1
    with SessionFactory.begin() as session:
        assert {network.profile for network in current_settings(session).networks} == {
            f"elementaire@{town_id.hex[:12]}"
        }
        assert [label.room for label in current_settings(session).labels] == [str(room.id)]
        session.get_one(Device, moved_id).school_id = other_id
    assert (swept(), swept()) == (1, 0)
    with SessionFactory() as session:
        assert [(label.profile, label.room) for label in current_settings(session).labels] == [("ecrans", "")]
        assert session.scalars(select(FilterPolicy.by).order_by(FilterPolicy.serial.desc())).first() is None
    engine.dispose()


def swept() -> int:
    """How many policies a run of the sweep made."""
    with SessionFactory() as session:
        before = session.scalars(select(func.max(FilterPolicy.serial))).one()
    tasks.sweep_policy()
    with SessionFactory() as session:
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


# --- schedules ---------------------------------------------------------------------------------------------------


def test_school_hours_know_holidays_and_exceptions(session: Session, staff: Viewer) -> None:
    service.ensure_default_profile(session)
    service.publish_policy(session, None, "essai", NOON)
    hours = next(s for s in current_settings(session).schedules if s.slug == CLASS_HOURS)
    moments = {
        datetime(2026, 11, 24, 9, tzinfo=UTC): True,  # a Tuesday of term
        datetime(2026, 11, 25, 13, tzinfo=UTC): False,  # Wednesday afternoon
        datetime(2026, 12, 22, 9, tzinfo=UTC): False,  # Christmas holidays of zone B
        datetime(2026, 11, 11, 9, tzinfo=UTC): False,  # a public holiday
        datetime(2027, 5, 17, 9, tzinfo=UTC): False,  # Whit Monday of next year
    }
    assert {moment: is_active(hours, moment) for moment in moments} == moments


def test_an_exception_of_ones_own_beats_the_calendar(session: Session, staff: Viewer) -> None:
    service.ensure_default_profile(session)
    [schedule] = schedules.list_schedules(session)
    says = replace(
        schedules.settings_of(schedule), exceptions=(DayException(date(2026, 11, 11), ((time(8), time(12)),)),)
    )
    schedules.change_schedule(session, staff, schedule, says, zone_b=True, now=NOON)
    hours = next(s for s in current_settings(session).schedules if s.slug == CLASS_HOURS)
    assert is_active(hours, datetime(2026, 11, 11, 9, tzinfo=UTC))
    assert schedules.is_active(schedule, datetime(2026, 11, 11, 9, tzinfo=UTC))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"timezone": "Europe/Guise"}, "Fuseau horaire inconnu"),
        ({"weekly": (WeeklyRange((0,), time(8), time(8)),)}, "vide"),
        ({"weekly": (WeeklyRange((), time(8), time(9)),)}, "au moins un jour"),
        ({"name": " "}, "un nom"),
        ({"slug": "À l’école"}, "identifiant"),
    ],
)
def test_what_is_no_schedule_is_told_in_french(
    session: Session, staff: Viewer, changes: dict[str, Any], told: str
) -> None:
    says = replace(ScheduleSettings("cantine", "Cantine", weekly=(WeeklyRange((0,), time(12), time(13)),)), **changes)
    with pytest.raises(Invalid, match=told):
        schedules.add_schedule(session, staff, says, zone_b=True, now=NOON)


def test_a_schedule_in_use_stays(session: Session, staff: Viewer) -> None:
    service.ensure_default_profile(session)
    [used] = schedules.list_schedules(session)
    with pytest.raises(Conflict):
        schedules.remove_schedule(session, staff, used, NOON)
    with pytest.raises(Conflict):
        schedules.add_schedule(session, staff, schedules.settings_of(used), zone_b=True, now=NOON)
    spare = schedules.add_schedule(
        session, staff, replace(schedules.settings_of(used), slug="cantine"), zone_b=False, now=NOON
    )
    schedules.remove_schedule(session, staff, spare, NOON)
    assert session.scalars(select(FilterSchedule.slug)).all() == [CLASS_HOURS]


# --- over HTTP ---------------------------------------------------------------------------------------------------


def test_staff_edits_layers_over_http(api: TestClient, session: Session, school: School) -> None:
    signed_in(api, make_user(session))
    college = profile_named(session, "college")
    body = {
        "profile_id": str(college.id), "school_id": str(school.id),
        "categories": [{"category": "games", "verdict": "allow", "locked": True}],
        "names": [{"name": "radio.example", "verdict": "allow", "reason": "club"}],
        "engines": [{"engine": "bing", "on": False}], "youtube": {"level": "off"},
    }  # fmt: skip
    assert api.put(f"{BASE}/layers", json=body).status_code == 204
    [layer] = api.get(f"{BASE}/layers", params={"school_id": str(school.id)}).json()["rows"]
    assert layer["content"]["names"][0]["reason"] == "club"
    effective = api.get(f"{BASE}/effective", params={"profile_id": str(college.id), "school_id": str(school.id)}).json()
    lines = {(line["part"], line["key"]): line for line in effective["lines"]}
    games = lines["categories", "games"]
    assert (games["layer"], games["locked"], games["by"]) == ("École Jean Macé", True, layer["updated_by"])
    assert lines["categories", "adult"]["layer"] == "Aisne"
    assert lines["youtube", "youtube"]["says"] == {"level": "off"}
    for wrong in (
        {"names": [{"name": "a.fr", "verdict": "non"}]}, {"names": [{"name": "a.fr"}]}, {"youtube": {"level": "x"}},
        {"categories": [{"category": "games", "verdict": "block", "locked": "oui"}]}, {"extra": 1}, {"profile_id": 1},
    ):  # fmt: skip
        assert api.put(f"{BASE}/layers", json=body | wrong).status_code == 422
    assert api.get(f"{BASE}/policies").json()["total"] > 0
    exported = api.get(f"{BASE}/events/export.csv")
    assert exported.headers["content-type"].startswith("text/csv")
    assert "layer.set" in exported.content.decode("utf-8-sig")


def test_staff_edits_schedules_rooms_and_labels_over_http(api: TestClient, session: Session, school: School) -> None:
    signed_in(api, make_user(session))
    body = {
        "slug": "cantine", "name": "Cantine", "zone_b": False,
        "weekly": [{"weekdays": [3, 0, 0], "hours": ["12:00", "13:30"]}],
        "exceptions": [{"day": "2026-11-26", "hours": [["11:00", "24:00"]]}, {"day": "2026-11-27"}],
        "holidays": [{"first": "2026-12-01", "last": "2026-12-02", "name": "Foire"}],
    }  # fmt: skip
    made = api.post(f"{BASE}/schedules", json=body)
    assert (made.status_code, made.json()["is_active"]) == (201, False)
    assert made.json()["content"]["weekly"] == [{"weekdays": [0, 3], "start": "12:00:00", "end": "13:30:00"}]
    path = f"{BASE}/schedules/{made.json()['id']}"
    assert api.put(path, json=body | {"name": "Repas"}).json()["name"] == "Repas"
    for wrong in (
        {"weekly": [{"weekdays": [7], "hours": ["12:00", "13:30"]}]},
        {"weekly": [{"weekdays": [0], "hours": ["12", "13"]}]},
        {"weekly": [{"weekdays": [0], "hours": ["12:00"]}]}, {"exceptions": [{"day": "26/11/2026"}]}, {"slug": "É"},
    ):  # fmt: skip
        assert api.post(f"{BASE}/schedules", json=body | wrong).status_code == 422
    assert api.delete(path).status_code == 204
    room = api.post(f"{BASE}/rooms", json={"school_id": str(school.id), "name": "Salle 3"})
    assert room.status_code == 201
    assert api.post(f"{BASE}/rooms", json={"school_id": str(school.id), "name": " Salle  3 "}).status_code == 409
    device = make_device(session, school=school)
    ecrans = profile_named(session, "ecrans")
    label = {"profile_id": str(ecrans.id), "room_id": room.json()["id"]}
    assert api.put(f"{BASE}/labels/{device.id}", json=label).status_code == 204
    [told] = api.get(f"{BASE}/labels").json()
    assert (told["asset_tag"], told["room_id"]) == (device.asset_tag, room.json()["id"])
    network = {"cidr": "10.77.0.0/24", "profile_id": str(ecrans.id), "room_id": room.json()["id"]}
    assert api.post(f"{BASE}/networks", json=network).json()["school_id"] == str(school.id)
    [use] = [u for u in api.get(f"{BASE}/schools/{school.id}/profiles").json() if u["room_id"]]
    assert (use["profile"]["slug"], use["networks"], use["devices"]) == ("ecrans", ["10.77.0.0/24"], 1)
    assert api.delete(f"{BASE}/labels/{device.id}").status_code == 204
    assert api.delete(f"{BASE}/rooms/{room.json()['id']}").status_code == 204


def test_the_commune_and_the_school_read_their_policy_and_change_none(
    api: TestClient, session: Session, staff: Viewer, school: School
) -> None:
    college = profile_named(session, "college")
    room = make_room(session, staff, school, "college")
    place = find_place(session, staff, school_id=school.id)
    says = LayerSettings(names=(NameLine("radio.example", Verdict.ALLOW),))
    editing.set_layer(session, staff, place, college, says, NOON)
    editing.set_layer(session, staff, find_place(session, staff, school.collectivity_id), college, says, NOON)
    where = {"profile_id": str(college.id), "school_id": str(school.id)}
    people = (
        (make_user(session, Role.SCHOOL_LEAD, school=school), 1),
        (make_user(session, Role.OFFICER, collectivity=school.collectivity), 2),
    )
    for person, layers in people:
        signed_in(api, person)
        assert api.get(f"{BASE}/effective", params=where).status_code == 200
        assert api.get(f"{BASE}/layers").json()["total"] == layers
        assert [r["id"] for r in api.get(f"{BASE}/rooms").json()] == [str(room.id)]
        assert api.put(f"{BASE}/layers", json=where).status_code == 403
        assert api.put(f"{BASE}/layers", json={"profile_id": str(college.id)}).status_code == 403
        assert api.post(f"{BASE}/rooms", json={"school_id": str(school.id), "name": "x"}).status_code == 403
        assert api.get(f"{BASE}/policies").status_code == 403
        assert api.get(f"{BASE}/networks").status_code == 403
    for neighbour in (
        make_user(session, Role.SCHOOL_LEAD, school=make_school(session)),
        make_user(session, Role.OFFICER, collectivity=make_collectivity(session)),
    ):
        signed_in(api, neighbour)
        assert api.get(f"{BASE}/effective", params=where).status_code == 404
        assert api.get(f"{BASE}/effective", params=where | {"room_id": str(room.id)}).status_code == 404
        assert api.get(f"{BASE}/schools/{school.id}/profiles").status_code == 404
        assert api.put(f"{BASE}/layers", json=where).status_code == 404
        assert api.delete(f"{BASE}/rooms/{room.id}").status_code == 404
        assert api.get(f"{BASE}/layers").json()["total"] == 0


def test_a_network_is_given_by_staff_only(session: Session, school: School) -> None:
    lead = viewer_of(session, Role.SCHOOL_LEAD, school=school)
    with pytest.raises(NotAllowed):
        service.add_network(session, lead, "10.1.0.0/16", profile_named(session, "college").id, school, NOON)


def test_what_a_layer_says_survives_the_database(session: Session, staff: Viewer) -> None:
    for preset in PRESETS:
        assert msgspec.convert(json.loads(msgspec.json.encode(preset.says)), LayerSettings) == preset.says
        assert profile_named(session, preset.slug).says == preset.says

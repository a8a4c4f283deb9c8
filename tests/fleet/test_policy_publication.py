"""Policy files: published in the transaction of the change, signed, in order, returned to."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session, sessionmaker

from filter.bundle import BundleRefused, PolicyFile
from filter.settings import ScheduleSettings, Verdict, WeeklyRange
from filter.signing import SigningKey, trust
from fleet.devices import service as devices
from fleet.devices.models import DeviceStatus
from fleet.errors import Conflict, NotAllowed, NotFound
from fleet.filtering import service
from fleet.filtering.exceptions import rooms
from fleet.filtering.exceptions.lessons import start_lesson, stop_lesson
from fleet.filtering.exceptions.overrides import Wish, add_override
from fleet.filtering.policy import editing, policies, presets, schedules, standing
from fleet.filtering.policy.layers import LayerSettings, Mark, NameLine
from fleet.filtering.policy.models import FilterEvent, FilterLayer, FilterPolicy
from fleet.filtering.policy.places import find_place
from fleet.paging import Page
from fleet.scope import Role
from tests.factories import NOON, make_collectivity, make_device, make_school
from tests.fleet.deciding import current_settings, flat, make_room, opened, profile_named, viewer_of


def test_a_change_is_a_signed_policy_at_once_and_the_same_again_is_none(session: Session) -> None:
    staff = viewer_of(session)
    profile = service.ensure_default_profile(session)
    service.update_profile(session, staff, profile.id, denied_names=["jeux.example"], now=NOON)
    first = opened(session)
    assert [(n.name, n.verdict, n.layer) for n in flat(session, "elementaire").names] == [
        ("jeux.example", Verdict.BLOCK, "Aisne")
    ]
    service.update_profile(session, staff, profile.id, denied_names=["jeux.example"], now=NOON)
    policies.publish(session, staff.name, "encore", NOON + timedelta(hours=1))
    assert opened(session).serial == first.serial
    anew = policies.publish(session, staff.name, "nouvelle clé", NOON, anew=True)
    assert (anew.digest, anew.serial > first.serial) == (first.digest, True)


def test_it_is_refused_under_another_key(session: Session, tmp_path: Path) -> None:
    policies.publish(session, None, "essai", NOON)
    current = policies.current_policy(session)
    assert current is not None
    path = tmp_path / "policy"
    path.write_bytes(current[0])
    with pytest.raises(BundleRefused) as refused:
        PolicyFile.open(path, trust([SigningKey.generate().public_hex]))
    assert refused.value.reason == "foreign_signature"


def test_ended_overrides_drop_out_by_themselves(session: Session) -> None:
    staff = viewer_of(session)
    wish = Wish(Verdict.ALLOW, "sortie", NOON, NOON + timedelta(days=1), ["musee.example"])
    add_override(session, staff, find_place(session, staff), None, wish, NOON)
    assert [o.names for o in flat(session, "college").overrides] == [("musee.example",)]
    policies.publish(session, None, "nuit", NOON + timedelta(days=2))
    assert flat(session, "college").overrides == ()


def test_a_school_without_a_word_of_its_own_shares_its_parents_profile(session: Session) -> None:
    staff = viewer_of(session)
    town = make_collectivity(session, name="Guise")
    silent, speaking = make_school(session, collectivity=town), make_school(session, collectivity=town)
    make_room(session, staff, silent, "college")
    room = make_room(session, staff, speaking, "college")
    assert {n.profile for n in current_settings(session).networks} == {"college"}
    says = LayerSettings(names=(NameLine("radio.example", Verdict.ALLOW),))
    place = find_place(session, staff, school_id=speaking.id)
    editing.set_layer(session, staff, place, profile_named(session, "college"), says, NOON)
    by_school = {n.room: n.profile for n in current_settings(session).networks}
    own = f"college@{speaking.uai}"
    assert by_school[str(room.id)] == own
    assert sorted(by_school.values()) == ["college", own]
    assert (flat(session, own).school, flat(session, own).names[0].layer) == (speaking.uai, speaking.name)
    town_says = LayerSettings(names=(NameLine("mairie.example", Verdict.ALLOW),))
    editing.set_layer(session, staff, find_place(session, staff, town.id), None, town_says, NOON)
    assert {n.profile for n in current_settings(session).networks} == {f"college@{town.id.hex[:12]}", own}
    assert [n.layer for n in flat(session, own).names] == ["Guise", speaking.name]


def test_a_word_that_is_void_makes_no_profile_of_its_own(session: Session) -> None:
    """A lock set later silences the school: it shares again."""
    staff = viewer_of(session)
    school = make_school(session)
    make_room(session, staff, school, "college")
    college = profile_named(session, "college")
    says = LayerSettings(names=(NameLine("jeux.example", Verdict.ALLOW),))
    editing.set_layer(session, staff, find_place(session, staff, school_id=school.id), college, says, NOON)
    assert len({p.slug for p in current_settings(session).profiles}) == len(presets.PRESETS) + 1
    locked = replace(college.says, names=(NameLine("jeux.example", Verdict.BLOCK, mark=Mark(locked=True)),))
    editing.set_layer(session, staff, editing.OPERATOR_FOUND, college, locked, NOON)
    assert {p.slug for p in current_settings(session).profiles} == {preset.slug for preset in presets.PRESETS}


def test_returning_decides_anew_what_was_decided_then(session: Session) -> None:
    staff = viewer_of(session)
    school = make_school(session)
    make_room(session, staff, school)
    good = opened(session)
    profile = service.ensure_default_profile(session)
    service.update_profile(session, staff, profile.id, denied_names=["education.example"], now=NOON)
    bad = opened(session)
    [earlier] = [p for p in policies.list_policies(session).rows if p.serial == good.serial]
    again = policies.return_to(session, staff, earlier.id, NOON)
    assert (again.digest, again.serial > bad.serial) == (good.digest, True)
    assert profile.denied_names == []
    service.update_profile(session, staff, profile.id, denied_names=["autre.example"], now=NOON)
    assert [n.name for n in flat(session, "elementaire").names] == ["autre.example"]  # the bad one did not come back
    event = session.scalars(select(FilterEvent).where(FilterEvent.verb == "policy.return")).one()
    assert (event.by, event.before, event.after) == (
        staff.name,
        {"serial": bad.serial},
        {"serial": again.serial, "returns_to": good.serial},
    )


def test_what_a_returned_policy_hung_on_may_be_gone(session: Session) -> None:
    staff = viewer_of(session)
    school = make_school(session)
    room = make_room(session, staff, school)
    device = make_device(session, school=school)
    rooms.set_label(session, staff, device.id, profile_named(session, "ecrans"), room.id, NOON)
    says = LayerSettings(names=(NameLine("radio.example", Verdict.ALLOW),))
    editing.set_layer(session, staff, find_place(session, staff, room_id=room.id), None, says, NOON)
    [network], [label] = current_settings(session).networks, current_settings(session).labels
    policy = policies.find_current(session)
    assert policy is not None
    rooms.remove_room(session, staff, room.id, NOON)
    policies.return_to(session, staff, policy.id, NOON)
    assert current_settings(session).networks == (replace(network, room="", profile="elementaire"),)
    assert current_settings(session).labels == (replace(label, room="", profile="ecrans"),)
    assert session.scalars(select(FilterLayer).where(FilterLayer.school_id == school.id)).all() == []  # the room's own
    session.delete(device)
    session.flush()
    policies.return_to(session, staff, policy.id, NOON)
    assert (len(current_settings(session).networks), current_settings(session).labels) == (1, ())


def test_the_label_of_a_retired_device_is_in_no_policy(session: Session) -> None:
    staff, school = viewer_of(session), make_school(session)
    room = rooms.add_room(session, staff, school, "Préau", NOON)
    device = make_device(session, school=school)
    rooms.set_label(session, staff, device.id, profile_named(session, "ecrans"), room.id, NOON)
    [label] = current_settings(session).labels
    devices.change_status(session, staff, device, DeviceStatus.RETIRED, NOON)
    policies.catch_up(session, NOON)
    assert current_settings(session).labels == ()
    assert [use.devices for use in standing.uses(session, find_place(session, staff, school_id=school.id))] == [0]
    with pytest.raises(Conflict, match="rattaché"):
        start_lesson(session, staff, room.id, minutes=30, names=["musee.example"], now=NOON)
    devices.change_status(session, staff, device, DeviceStatus.IN_STOCK, NOON)
    policies.catch_up(session, NOON)
    assert current_settings(session).labels == (label,)


def test_only_staff_returns(session: Session) -> None:
    policy = policies.publish(session, None, "essai", NOON)
    officer = viewer_of(session, Role.OFFICER, collectivity=make_collectivity(session))
    with pytest.raises(NotAllowed):
        policies.return_to(session, officer, policy.id, NOON)
    with pytest.raises(NotFound):
        policies.return_to(session, viewer_of(session), officer.user_id, NOON)


def test_a_school_day_of_lessons_pushes_no_decision_out(session: Session) -> None:
    staff, school = viewer_of(session), make_school(session)
    profile = service.ensure_default_profile(session)
    room = make_room(session, staff, school)
    service.update_profile(session, staff, profile.id, denied_names=["avant.example"], now=NOON)
    good = opened(session).serial
    service.update_profile(session, staff, profile.id, denied_names=["education.example"], now=NOON)
    bad = opened(session).serial
    for minute in range(policies.KEPT // 2 + 2):  # two policies each
        now = NOON + timedelta(minutes=minute)
        lesson = start_lesson(session, staff, room.id, minutes=5, names=["musee.example"], now=now)
        stop_lesson(session, staff, lesson, now)
    kept = policies.list_policies(session, Page(size=200)).rows
    assert {good, bad} < {policy.serial for policy in kept}
    assert len([policy for policy in kept if policy.serial > bad]) == policies.KEPT_FILES
    [earlier] = [policy for policy in kept if policy.serial == good]
    policies.return_to(session, staff, earlier.id, NOON)
    assert profile.denied_names == ["avant.example"]


def test_the_last_fifty_decisions_and_the_last_files_are_kept(session: Session) -> None:
    staff, profile = viewer_of(session), service.ensure_default_profile(session)
    decided = []
    for number in range(policies.KEPT + 3):
        service.update_profile(session, staff, profile.id, denied_names=[f"n{number}.example"], now=NOON)
        decided.append(opened(session).serial)
    assert [p.serial for p in policies.list_policies(session, Page(size=200)).rows] == decided[:2:-1]
    for number in range(policies.KEPT_FILES + 3):
        policies.publish(session, None, f"essai {number}", NOON, anew=True)
    kept = policies.list_policies(session, Page(size=200))
    assert kept.total == policies.KEPT + policies.KEPT_FILES
    assert {p.serial for p in kept.rows} >= set(decided[3:])
    assert policies.find_current(session) is kept.rows[0]


@pytest.fixture
def factory(own_database_url: str) -> Iterator[sessionmaker[Session]]:
    """Sessions that commit, in a database of the test's own."""
    engine = create_engine(own_database_url)
    yield sessionmaker(engine, expire_on_commit=False)
    engine.dispose()


def at_once(
    factory: sessionmaker[Session], first: Callable[[Session], object], second: Callable[[Session], object]
) -> None:
    """The second change begins and goes as far as it can while the first one's transaction is open."""

    def run() -> None:
        with factory.begin() as session:
            second(session)

    with ThreadPoolExecutor(1) as pool:
        with factory.begin() as session:
            first(session)
            other = pool.submit(run)
            with factory.begin() as watch:
                while not other.done() and not watch.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                    pass
        other.result()


def test_two_changes_at_once_lose_neither(factory: sessionmaker[Session]) -> None:
    """The second waits for the first one's commit, then builds on it; its serial is the higher one."""
    with factory.begin() as session:
        staff = viewer_of(session)
        profile_id = service.ensure_default_profile(session).id
        policies.publish(session, None, "première", NOON)

    def deny(session: Session) -> None:
        service.update_profile(session, staff, profile_id, denied_names=["jeux.example"], now=NOON)

    def go_out(session: Session) -> None:
        wish = Wish(Verdict.ALLOW, "sortie", NOON, NOON + timedelta(days=1), ["musee.example"])
        add_override(session, staff, find_place(session, staff), None, wish, NOON)

    at_once(factory, deny, go_out)
    with factory() as session:
        last = flat(session, "elementaire")
        assert [n.name for n in last.names] == ["jeux.example"]
        assert [o.names for o in last.overrides] == [("musee.example",)]
        serials = session.scalars(select(FilterPolicy.serial).order_by(FilterPolicy.made_at)).all()
        assert len(set(serials)) == 3


def test_two_changes_of_one_layer_at_once_lose_neither(factory: sessionmaker[Session]) -> None:
    with factory.begin() as session:
        staff = viewer_of(session)
        profile_id = service.ensure_default_profile(session).id

    def deny(session: Session) -> None:
        service.update_profile(session, staff, profile_id, denied_names=["jeux.example"], now=NOON)

    def allow(session: Session) -> None:
        service.update_profile(session, staff, profile_id, allowed_names=["musee.example"], now=NOON)

    at_once(factory, deny, allow)
    with factory() as session:
        assert {n.name for n in flat(session, "elementaire").names} == {"jeux.example", "musee.example"}


@pytest.mark.parametrize("is_new", [True, False])
def test_a_layer_written_while_another_is_knows_what_it_replaces(factory: sessionmaker[Session], is_new: bool) -> None:
    says = [LayerSettings(names=(NameLine(f"n{number}.example", Verdict.BLOCK),)) for number in range(3)]
    with factory.begin() as session:
        staff, school = viewer_of(session), make_school(session)
        place, college = find_place(session, staff, school_id=school.id), profile_named(session, "college")
        if not is_new:
            editing.set_layer(session, staff, place, college, says[0], NOON)

    def writing(number: int) -> Callable[[Session], None]:
        def write(session: Session) -> None:
            profile = service.get_profile(session, college.id)
            editing.set_layer(session, staff, place, profile, says[number], NOON + timedelta(minutes=number))

        return write

    at_once(factory, writing(1), writing(2))
    with factory() as session:
        last = session.scalars(select(FilterEvent).order_by(FilterEvent.at.desc())).first()
        assert last is not None
        assert last.before is not None
        assert [line["name"] for line in last.before["names"]] == ["n1.example"]


def test_a_schedule_changed_while_it_is_removed_is_gone(factory: sessionmaker[Session]) -> None:
    hours = ScheduleSettings("soir", "Soir", weekly=(WeeklyRange((0,), time(18), time(20)),))
    with factory.begin() as session:
        staff = viewer_of(session)
        schedule_id = schedules.add_schedule(session, staff, hours, zone_b=False, now=NOON).id

    def remove(session: Session) -> None:
        schedules.remove_schedule(session, staff, schedules.get_schedule(session, schedule_id), NOON)

    def change(session: Session) -> None:
        schedule = schedules.get_schedule(session, schedule_id)
        schedules.change_schedule(session, staff, schedule, hours, zone_b=True, now=NOON)

    with pytest.raises(NotFound):
        at_once(factory, remove, change)


def test_a_change_while_one_returns_is_made_after_it(factory: sessionmaker[Session]) -> None:
    with factory.begin() as session:
        staff = viewer_of(session)
        profile_id = service.ensure_default_profile(session).id
        policy_id = policies.publish(session, None, "première", NOON).id
    with factory.begin() as session:
        service.update_profile(session, staff, profile_id, denied_names=["avant.example"], now=NOON)

    def deny(session: Session) -> None:
        service.update_profile(session, staff, profile_id, denied_names=["jeux.example"], now=NOON)

    at_once(factory, lambda session: policies.return_to(session, staff, policy_id, NOON), deny)
    with factory() as session:
        assert [n.name for n in flat(session, "elementaire").names] == ["jeux.example"]

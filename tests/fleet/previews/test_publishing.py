"""A change that was previewed is published from its preview: exactly that, once, and only while it means the same."""

from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

from filter.settings import Verdict
from fleet.config import FleetConfig
from fleet.errors import Conflict, NotAllowed
from fleet.filtering.exceptions import lessons, rooms
from fleet.filtering.exceptions.overrides import Wish, add_override
from fleet.filtering.models import ContentState
from fleet.filtering.policy import editing, policies
from fleet.filtering.policy.layers import SILENT, LayerSettings, NameLine
from fleet.filtering.policy.models import FilterProfile
from fleet.filtering.policy.places import Found, find_place
from fleet.filtering.previews import service
from fleet.filtering.previews.models import FilterPreview, PreviewState
from fleet.filtering.publishing import publications
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from tests.conftest import Clock
from tests.factories import NOON, make_school, make_user
from tests.fleet.deciding import make_room, profile_named, viewer_of
from tests.portal.list_data import add_held_source
from tests.portal.test_uncovered import publish_small_set
from tests.sign_in import signed_in

BLOCKS = LayerSettings(names=(NameLine("exemple.fr", Verdict.BLOCK),))
OTHER = LayerSettings(names=(NameLine("autre.fr", Verdict.BLOCK),))


@pytest.fixture
def staff(session: Session, config: FleetConfig, clock: Clock, tmp_path: Path) -> Viewer:
    """Somebody who may publish, with lists and a policy in force."""
    publish_small_set(session, config, clock, tmp_path)
    return viewer_of(session)


@pytest.fixture
def school(session: Session) -> School:
    return make_school(session, name="École Jean Macé")


@pytest.fixture
def found(session: Session, staff: Viewer, school: School) -> Found:
    """A school whose clients have the default profile."""
    make_room(session, staff, school)
    return find_place(session, staff, school_id=school.id)


@pytest.fixture
def profile(session: Session, staff: Viewer) -> FilterProfile:
    return profile_named(session, "elementaire")


def said(session: Session, found: Found, profile: FilterProfile) -> list[str]:
    layer = editing.find_layer(session, found, profile)
    return [line.name for line in layer.says.names] if layer else []


def asked(session: Session, staff: Viewer, found: Found, profile: FilterProfile) -> FilterPreview:
    return service.ask_for_layer(session, staff, profile, found, BLOCKS, now=NOON)


def test_the_edit_that_was_asked_about_is_published_once(
    session: Session, staff: Viewer, found: Found, profile: FilterProfile
) -> None:
    preview = asked(session, staff, found, profile)
    assert said(session, found, profile) == []
    service.publish(session, staff, preview.id, NOON)
    assert said(session, found, profile) == ["exemple.fr"]
    assert (preview.state, preview.published_by) == (PreviewState.DONE, staff.name)
    with pytest.raises(Conflict) as refused:
        service.publish(session, staff, preview.id, NOON)
    assert refused.value.code == "filtering.preview_published"


def test_a_layer_that_somebody_changed_since_is_not_overwritten(
    session: Session, staff: Viewer, found: Found, profile: FilterProfile
) -> None:
    preview = asked(session, staff, found, profile)
    editing.set_layer(session, staff, found, profile, OTHER, NOON)
    with pytest.raises(Conflict) as refused:
        service.publish(session, staff, preview.id, NOON)
    assert refused.value.code == "filtering.layer_changed"
    assert said(session, found, profile) == ["autre.fr"]


def test_a_layer_that_somebody_removed_since_is_not_brought_back(
    session: Session, staff: Viewer, found: Found, profile: FilterProfile
) -> None:
    editing.set_layer(session, staff, found, profile, OTHER, NOON)
    preview = asked(session, staff, found, profile)
    editing.set_layer(session, staff, found, profile, SILENT, NOON)
    with pytest.raises(Conflict):
        service.publish(session, staff, preview.id, NOON)


def test_the_same_said_again_is_no_change(
    session: Session, staff: Viewer, found: Found, profile: FilterProfile
) -> None:
    editing.set_layer(session, staff, found, profile, OTHER, NOON)
    preview = asked(session, staff, found, profile)
    editing.set_layer(session, staff, found, profile, OTHER, NOON + timedelta(minutes=1))
    service.publish(session, staff, preview.id, NOON)
    assert said(session, found, profile) == ["exemple.fr"]


def test_who_writes_while_it_is_asked_is_not_overwritten(
    session: Session, staff: Viewer, found: Found, profile: FilterProfile
) -> None:
    """The candidate is built on what was there; what came as soon as its lock was free is none of it."""

    @event.listens_for(session, "after_soft_rollback", once=True)
    def write(session: Session, _previous: SessionTransaction) -> None:
        editing.set_layer(session, staff, found, profile, OTHER, NOON)

    preview = asked(session, staff, found, profile)
    with pytest.raises(Conflict) as refused:
        service.publish(session, staff, preview.id, NOON)
    assert refused.value.code == "filtering.layer_changed"
    assert said(session, found, profile) == ["autre.fr"]


def test_settings_published_since_are_told_but_no_lesson(
    api: TestClient, session: Session, staff: Viewer, found: Found, profile: FilterProfile, school: School
) -> None:
    """What filters compare with is what they have at the time, not what was there when it was asked."""
    signed_in(api, make_user(session))
    room = make_room(session, staff, school)
    preview = asked(session, staff, found, profile)

    def is_told() -> bool:
        return bool(api.get(f"/api/v1/filtering/previews/{preview.id}").json()["settings_changed"])

    assert not is_told()
    before = policies.current_etag(session)
    lessons.start_lesson(session, staff, room.id, minutes=30, names=["lecon.example"], now=NOON)
    assert policies.current_etag(session) != before
    assert not is_told()
    editing.set_layer(session, staff, editing.OPERATOR_FOUND, profile, OTHER, NOON)
    assert is_told()
    service.publish(session, staff, preview.id, NOON)
    assert not is_told(), "what is published is no question any more"


def test_an_exception_made_since_is_told(session: Session, staff: Viewer, found: Found, profile: FilterProfile) -> None:
    preview = asked(session, staff, found, profile)
    later = NOON + timedelta(minutes=1)
    wish = Wish(Verdict.ALLOW, "essai", later, later + timedelta(hours=1), ["exception.example"])
    add_override(session, staff, found, profile, wish, later)
    assert service.result_of(session, staff, preview.id, later).settings_changed


def test_what_is_gone_is_not_taken_for_everything(
    session: Session, staff: Viewer, school: School, profile: FilterProfile
) -> None:
    room = make_room(session, staff, school)
    preview = asked(session, staff, find_place(session, staff, room_id=room.id), profile)
    rooms.remove_room(session, staff, room.id, NOON)
    session.refresh(preview)
    assert preview.room_id is None
    with pytest.raises(Conflict) as refused:
        service.publish(session, staff, preview.id, NOON)
    assert refused.value.code == "filtering.preview_gone"
    assert said(session, find_place(session, staff, school_id=school.id), profile) == []


def test_an_abandoned_preview_publishes_nothing(
    session: Session, staff: Viewer, found: Found, profile: FilterProfile
) -> None:
    preview = asked(session, staff, found, profile)
    service.abandon(session, staff, preview.id, NOON)
    with pytest.raises(Conflict):
        service.publish(session, staff, preview.id, NOON)
    assert said(session, found, profile) == []


def test_only_who_publishes_may(session: Session, staff: Viewer, found: Found, profile: FilterProfile) -> None:
    preview = asked(session, staff, found, profile)
    with pytest.raises(NotAllowed):
        service.publish(session, viewer_of(session, Role.AUDITOR), preview.id, NOON)


def test_a_held_content_is_accepted_from_its_preview_once(session: Session, staff: Viewer) -> None:
    _, held = add_held_source(session, staff, NOON)
    preview = service.ask_for_content(session, staff, held.id, now=NOON)
    service.publish(session, staff, preview.id, NOON)
    session.refresh(held)
    assert held.state is ContentState.GOOD
    again = service.get_preview(session, staff, preview.id)
    assert again.published_by == staff.name


def test_what_the_change_itself_refuses_is_refused(session: Session, staff: Viewer) -> None:
    latest = publications.find_latest(session)
    assert latest is not None
    preview = service.ask_for_return(session, staff, latest.id, now=NOON)
    with pytest.raises(Conflict) as refused:  # it is the one in force
        service.publish(session, staff, preview.id, NOON)
    assert refused.value.code == "filtering.already_current"


def test_over_http(api: TestClient, session: Session, staff: Viewer, found: Found, profile: FilterProfile) -> None:
    signed_in(api, make_user(session))
    preview = asked(session, staff, found, profile)
    address = f"/api/v1/filtering/previews/{preview.id}/publish"
    assert api.post(address).status_code == 200
    assert api.post(address).status_code == 409
    assert said(session, found, profile) == ["exemple.fr"]

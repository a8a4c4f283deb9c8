"""The one door: who sees which rows."""

import uuid

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.accounts.service import get_viewer
from fleet.errors import NotAllowed
from fleet.schools.models import School
from fleet.scope import MAY, Action, Grant, Role, Viewer, visible_to
from tests.factories import make_school, make_user


def seen(session: Session, viewer: Viewer) -> set[uuid.UUID]:
    query = visible_to(viewer, select(School.id), collectivity=School.collectivity_id, school=School.id)
    return set(session.scalars(query))


def test_each_sees_its_own(session: Session) -> None:
    mine, sibling, foreign = make_school(session), make_school(session), make_school(session)
    sibling.collectivity = mine.collectivity
    session.flush()
    officer = get_viewer(session, make_user(session, Role.OFFICER, collectivity=mine.collectivity).id)
    lead = get_viewer(session, make_user(session, Role.SCHOOL_LEAD, school=mine).id)
    technician = get_viewer(session, make_user(session).id)
    nobody = Viewer(uuid.uuid4(), "", "", ())
    assert seen(session, officer) == {mine.id, sibling.id}
    assert seen(session, lead) == {mine.id}
    assert seen(session, technician) >= {mine.id, sibling.id, foreign.id}
    assert seen(session, nobody) == set()


def test_every_action_is_decided_and_an_auditor_only_reads() -> None:
    assert set(MAY) == set(Action)
    auditor = Viewer(uuid.uuid4(), "", "", (Grant(Role.AUDITOR),))
    for action in set(Action) - {Action.READ_AUDIT}:
        with pytest.raises(NotAllowed):
            auditor.must(action)
    auditor.must(Action.READ_AUDIT)

"""Previews are closed when their time is over, and forgotten."""

from datetime import timedelta
from uuid import UUID

from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.filtering.previews import asking
from fleet.filtering.previews.models import FilterPreview, PreviewAnswer, PreviewState
from fleet.schools.models import School
from tests.factories import NOON
from tests.fleet.previews.gateway import BASE, Gateway, ask, change, edit, register, result


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

"""Previews: a filter that waits for the policy hears of them."""

from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session
from starlette.types import Receive, Scope, Send

from fleet.filtering.policy import policies
from fleet.metrics import HELD
from fleet.schools.models import School
from tests.conftest import Clock
from tests.fleet.previews.gateway import POLICY, Gateway, ask, edit, register


def test_a_filter_hears_of_the_newest_that_it_has_not_answered(
    staff: TestClient, session: Session, school: School, gateway: Gateway, clock: Clock
) -> None:
    register(staff, session, "Laon")
    assert "X-Preau-Preview" not in gateway.get(POLICY).headers
    first = ask(staff, edit(session, school))
    clock.advance(seconds=1)
    second = ask(staff, edit(session, school, "autre.example"))
    told = gateway.get(POLICY)
    assert told.headers["X-Preau-Preview"] == second["id"]
    known = gateway.get(POLICY, **{"If-None-Match": told.headers["ETag"]})
    assert (known.status_code, known.headers["X-Preau-Preview"]) == (304, second["id"])
    assert gateway.answer(second["id"]).headers["X-Preau-Preview"] == first["id"]
    assert gateway.get(POLICY).headers["X-Preau-Preview"] == first["id"]
    assert "X-Preau-Preview" not in gateway.answer(first["id"]).headers


@pytest.mark.parametrize(("said", "is_told"), [("none", True), ("another", True), ("this", False), (None, False)])
def test_who_knows_of_it_already_waits(
    app: FastAPI, staff: TestClient, session: Session, school: School, gateway: Gateway, said: str | None, is_told: bool
) -> None:
    """And who does not say so knows nothing of previews: it is left in peace."""
    scopes: list[Scope] = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await app(scope, receive, send)

    preview = ask(staff, edit(session, school))
    names = {"this": preview["id"], "another": str(uuid4())}
    headers = {"If-None-Match": f'"{policies.current_etag(session)}"'}
    headers |= {"X-Preau-Preview": names.get(said, said)} if said else {}
    answer = TestClient(watched).get(POLICY, params={"wait": 1}, headers=gateway.headers | headers)
    assert (answer.status_code, answer.headers["X-Preau-Preview"]) == (304, preview["id"])
    assert (HELD not in scopes[-1]) is is_told

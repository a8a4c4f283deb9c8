"""Lists ask the database as often for many rows as for one."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy.orm import Session

from fleet.scope import Role
from tests.conftest import Clock
from tests.factories import make_device, make_school, make_ticket, make_user
from tests.sign_in import signed_in

MOST = 24
"""Statements of the heaviest page (the board), the session's own and those that enter doors included."""


@contextmanager
def counting(session: Session) -> Iterator[list[str]]:
    """Every SELECT on the connection that the test and the application share."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            seen.append(statement)

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    yield seen
    event.remove(connection, "before_cursor_execute", note)


@pytest.mark.parametrize(
    "path",
    ["/", "/schools", "/devices", "/tickets", "/enrollment", "/collectivities/{collectivity}", "/schools/{school}"],
)
def test_more_rows_ask_no_more(api: TestClient, session: Session, clock: Clock, path: str) -> None:
    school = make_school(session)
    collectivity = school.collectivity
    signed_in(api, make_user(session, Role.TECHNICIAN))
    address = path.format(school=school.id, collectivity=collectivity.id)
    counts = []
    for rows in (26, 30):  # more than a page each time: a shorter list needs no count
        for _ in range(rows):
            device = make_device(session, school=school, silent_since=clock.now)
            make_device(session, school=make_school(session, collectivity=collectivity))
            make_ticket(session, school=school, device=device)
        with counting(session) as seen:
            assert api.get(address).status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1] <= MOST

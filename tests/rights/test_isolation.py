"""Every route × every role × own, child, granted, expired, sibling and foreign node: nobody reads or changes what is
not theirs, with `visible_to` and by PostgreSQL's row-level security alone. And the walk itself catches what is planted.
"""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import select

from fleet import row_security
from fleet.accounts.access import CurrentViewer
from fleet.db import DbSession
from fleet.devices.models import Device
from tests.rights.calling import Call
from tests.rights.expectations import CALLS
from tests.rights.walking import Walk, routes_of, without_visible_to

STAFF = ("admin", "technician", "auditor")
SCOPED = ("officer", "school lead", "node auditor", "node technician", "expired role")
FEWEST = 300
"""Cases of each person: fewer, and the walk has lost its way."""


def walks() -> Iterator[tuple[str, bool]]:
    """Staff see all rows either way: nothing would be told apart without the door."""
    yield from ((name, True) for name in (*STAFF, "anonymous", *SCOPED))
    yield from ((name, False) for name in ("officer", "school lead"))


@pytest.mark.timeout(600)  # seconds of work each; a machine that others use as well takes its time
@pytest.mark.parametrize(("name", "is_whole"), list(walks()))
def test_nobody_reads_or_changes_what_is_not_theirs(
    walk: Walk, name: str, is_whole: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    person, count, wrong = walk.world.people[name], 0, list[str]()
    with nullcontext() if is_whole else without_visible_to(walk):
        for route in sorted(CALLS):
            for case in walk.cases(route, person):
                count += 1
                wrong += walk.problems(case)
    with capsys.disabled():
        print(f"\n{name}{'' if is_whole else ', row-level security alone'}: {count} cases", end=" ")
    assert not wrong, "\n".join(wrong)
    assert count > FEWEST


def test_every_route_has_its_expectation(walk: Walk) -> None:
    assert routes_of(walk.app) == set(CALLS)


def test_a_new_route_without_expectation_is_caught(walk: Walk) -> None:
    grown = FastAPI(openapi_url=None)
    grown.include_router(walk.app.router)
    page = APIRouter()
    page.get("/nouveau", include_in_schema=False)(lambda: None)
    grown.include_router(page)
    assert routes_of(grown) - set(CALLS) == {"GET /nouveau"}


@pytest.fixture
def forgetful(walk: Walk) -> Iterator[str]:
    """A route of the application whose query passes no door."""

    def list_all(session: DbSession, _viewer: CurrentViewer) -> list[str]:
        return [device.name for device in session.scalars(select(Device))]

    routes = list(walk.app.router.routes)
    walk.app.get("/api/v1/forgetful")(list_all)
    yield "GET /api/v1/forgetful"
    walk.app.router.routes[:] = routes


def leaks_of(walk: Walk, route: str, name: str) -> list[str]:
    cases = walk.cases(route, walk.world.people[name], CALLS.get(route, (Call(),)))
    return [problem for case in cases for problem in walk.problems(case)]


@pytest.mark.parametrize("name", ["officer", "school lead", "expired role"])
def test_a_route_that_forgets_the_door_is_held_by_the_database(walk: Walk, forgetful: str, name: str) -> None:
    assert leaks_of(walk, forgetful, name) == []
    attempt = walk.connection.begin_nested()
    walk.connection.exec_driver_sql("ALTER TABLE devices DISABLE ROW LEVEL SECURITY")
    told = leaks_of(walk, forgetful, name)
    attempt.rollback()
    assert any("foreign1" in each for each in told), "and would be caught if it were not"


def test_a_table_whose_policy_is_too_wide_is_caught(walk: Walk) -> None:
    assert row_security.differences(walk.connection) == []
    attempt = walk.connection.begin_nested()
    walk.connection.exec_driver_sql("ALTER POLICY own ON tickets USING (true)")
    with without_visible_to(walk):
        told = leaks_of(walk, "GET /api/v1/tickets", "school lead")
    different = row_security.differences(walk.connection)
    attempt.rollback()
    assert any("foreign1" in each for each in told)
    assert any("tickets | own" in each for each in different)

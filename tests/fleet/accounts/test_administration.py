"""What administrators do: give and take roles, close and reopen, and never lock themselves all out."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from fleet.accounts import administration, second_factor, sessions, tokens
from fleet.accounts.administration import AccountState
from fleet.accounts.models import User
from fleet.accounts.service import get_viewer
from fleet.accounts.sessions import Visit
from fleet.errors import Conflict, FleetError, Invalid, NotAllowed, NotFound, Unauthenticated
from fleet.paging import Page
from fleet.scope import Grant, Role, Viewer
from tests.factories import NOON, make_collectivity, make_school, make_user
from tests.fleet.accounts.codes import give_second_factor


@pytest.fixture
def admin(session: Session) -> Viewer:
    return get_viewer(session, make_user(session, Role.ADMIN, name="Camille Renard").id, NOON)


def managed(session: Session, admin: Viewer, user: User) -> User:
    return administration.get_managed(session, admin, user.id)


@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.AUDITOR])
def test_accounts_are_for_administrators(session: Session, role: Role) -> None:
    viewer = get_viewer(session, make_user(session, role).id)
    with pytest.raises(NotAllowed):
        administration.list_accounts(session, viewer, now=NOON)
    with pytest.raises(NotAllowed):
        administration.get_account(session, viewer, viewer.user_id)


def test_accounts_are_searched_sorted_and_paged(session: Session, admin: Viewer) -> None:
    make_user(session, name="Élodie Béraud", email="e.beraud@guise.test")
    make_user(session, Role.SCHOOL_LEAD, school=make_school(session), name="Zoé", password_hash=None)
    make_user(session, name="Ancien", is_active=False)

    def names(**asked: object) -> list[str]:
        return [u.name for u in administration.list_accounts(session, admin, now=NOON, **asked).rows]  # type: ignore[arg-type]

    assert names() == ["Ancien", "Camille Renard", "Élodie Béraud", "Zoé"]
    assert names(search="beraud guise") == names(search="Elodie") == ["Élodie Béraud"]
    assert names(role=Role.SCHOOL_LEAD) == names(state=AccountState.INVITED) == ["Zoé"]
    assert names(state=AccountState.CLOSED) == ["Ancien"]
    assert names(state=AccountState.OPEN, page=Page(1, 1, "-name")) == ["Élodie Béraud"]


def test_a_collectivity_s_administrator_sees_and_manages_its_own(session: Session) -> None:
    here, there = make_collectivity(session), make_collectivity(session)
    own = make_user(session, Role.OFFICER, collectivity=here)
    other, staff = make_user(session, Role.OFFICER, collectivity=there), make_user(session)
    viewer = Viewer(own.id, "x", "x", (Grant(Role.ADMIN, here.id), Grant(Role.OFFICER, there.id)))
    assert [user.id for user in administration.list_accounts(session, viewer, now=NOON).rows] == [own.id]
    for hidden in (other, staff):
        with pytest.raises(NotFound):
            administration.get_account(session, viewer, hidden.id)
    administration.give_role(session, viewer, managed(session, viewer, own), Grant(Role.TECHNICIAN, here.id), now=NOON)
    for grant in (Grant(Role.TECHNICIAN), Grant(Role.OFFICER, there.id), Grant(Role.ADMIN)):
        with pytest.raises(NotAllowed):
            administration.give_role(session, viewer, managed(session, viewer, own), grant, now=NOON)
    both = get_viewer(session, make_user(session, Role.ADMIN).id)
    administration.give_role(session, both, managed(session, both, own), Grant(Role.OFFICER, there.id), now=NOON)
    with pytest.raises(NotAllowed):
        managed(session, viewer, own)  # somebody else's business as well, from now on


@pytest.mark.parametrize(
    ("role", "place", "code"),
    [
        (Role.OFFICER, "operator", "role.needs_collectivity"),
        (Role.OFFICER, "school", "role.needs_collectivity"),
        (Role.SCHOOL_LEAD, "collectivity", "role.needs_school"),
        (Role.ADMIN, "school", "role.operators_only"),
        (Role.TECHNICIAN, "operator", "role.had"),
    ],
)
def test_a_role_makes_sense_where_it_stands(session: Session, admin: Viewer, role: Role, place: str, code: str) -> None:
    school = make_school(session)
    nodes = {"operator": (None, None), "collectivity": (school.collectivity_id, None), "school": (None, school.id)}
    with pytest.raises(FleetError) as refused:
        administration.give_role(
            session, admin, managed(session, admin, make_user(session)), Grant(role, *nodes[place]), now=NOON
        )
    assert refused.value.code == code


def test_a_role_is_given_and_taken_but_never_the_last(session: Session, admin: Viewer) -> None:
    school = make_school(session)
    user = managed(session, admin, make_user(session, Role.OFFICER, collectivity=school.collectivity))
    administration.give_role(session, admin, user, Grant(Role.SCHOOL_LEAD, None, school.id), now=NOON)
    assert len(get_viewer(session, user.id).grants) == 2
    first, last = user.grants
    administration.take_role(session, user, first.id, NOON)
    for grant_id, code in ((first.id, "role.not_found"), (last.id, "role.last")):
        with pytest.raises(FleetError) as refused:
            administration.take_role(session, user, grant_id, NOON)
        assert refused.value.code == code


def test_a_role_for_a_while_ends_by_itself_and_may_be_given_anew(session: Session, admin: Viewer) -> None:
    school, end = make_school(session), NOON + timedelta(days=1)
    user = managed(session, admin, make_user(session, Role.OFFICER, collectivity=make_collectivity(session)))
    lead = Grant(Role.SCHOOL_LEAD, None, school.id)
    administration.give_role(session, admin, user, lead, ends_at=end, now=NOON)
    assert lead in get_viewer(session, user.id, end - timedelta(seconds=1)).grants
    assert lead not in get_viewer(session, user.id, end).grants
    with pytest.raises(Conflict):
        administration.give_role(session, admin, user, lead, now=end - timedelta(seconds=1))
    administration.give_role(session, admin, user, lead, now=end)
    assert lead in get_viewer(session, user.id, end).grants
    assert len(user.grants) == 2, "the one that is over is replaced"
    for ends_at in (end, end + 11 * timedelta(days=366)):
        with pytest.raises(Invalid):
            administration.give_role(session, admin, user, Grant(Role.AUDITOR), ends_at=ends_at, now=end)


def test_a_role_that_is_over_is_no_role(session: Session, admin: Viewer) -> None:
    """Neither the last one that stays, nor what somebody is found by."""
    school = make_school(session)
    user = managed(session, admin, make_user(session, Role.OFFICER, collectivity=school.collectivity))
    lead, end = Grant(Role.SCHOOL_LEAD, None, school.id), NOON + timedelta(days=1)
    administration.give_role(session, admin, user, lead, ends_at=end, now=NOON)
    for now, total in ((NOON, 1), (end, 0)):
        assert administration.list_accounts(session, admin, role=Role.SCHOOL_LEAD, now=now).total == total
    officer, led = user.grants
    with pytest.raises(Conflict, match="dernier rôle"):
        administration.take_role(session, user, officer.id, end)
    administration.take_role(session, user, led.id, end)


def test_closing_ends_all_at_once_and_reopening_brings_no_session_back(session: Session, admin: Viewer) -> None:
    user = make_user(session)
    opened = sessions.open_session(session, user, Visit("192.0.2.1"), NOON)
    grant = Grant(Role.TECHNICIAN)
    end = NOON.replace(year=2027, month=1)
    _, token = tokens.issue(session, get_viewer(session, user.id), name="x", grant=grant, expires_at=end, now=NOON)
    administration.close(session, managed(session, admin, user), NOON)
    administration.reopen(managed(session, admin, user))
    session.flush()
    assert sessions.find_signed_in(session, opened.token, NOON) is None
    with pytest.raises(Unauthenticated):
        tokens.authenticate(session, f"Bearer {token}", "192.0.2.1", NOON)


def test_the_last_administrator_stays(session: Session, admin: Viewer) -> None:
    """Neither closed nor stripped; who is invited, closed, for a while, or on a mere collectivity counts for nobody."""
    successor = managed(session, admin, make_user(session))
    administration.give_role(session, admin, successor, Grant(Role.ADMIN), ends_at=NOON + timedelta(days=1), now=NOON)
    make_user(session, Role.ADMIN, password_hash=None)
    make_user(session, Role.ADMIN, is_active=False)
    make_user(session, Role.ADMIN, collectivity=make_collectivity(session))
    me = managed(session, admin, session.get_one(User, admin.user_id))
    administration.give_role(session, admin, me, Grant(Role.AUDITOR), now=NOON)
    with pytest.raises(Conflict, match="dernier compte"):
        administration.close(session, me, NOON)
    with pytest.raises(Conflict, match="dernier compte"):
        administration.take_role(session, me, me.grants[0].id, NOON)
    make_user(session, Role.ADMIN)
    administration.close(session, me, NOON)
    assert administration.state_of(me) is AccountState.CLOSED


def test_another_one_s_second_factor_is_reset_with_its_sessions(session: Session, admin: Viewer) -> None:
    user = make_user(session)
    give_second_factor(session, user, NOON)
    opened = sessions.open_session(session, user, Visit("192.0.2.1"), NOON)
    administration.reset_second_factor(session, managed(session, admin, user), NOON)
    assert not second_factor.is_on(session, user.id)
    assert second_factor.count_recovery_codes(session, user.id) == 0
    assert sessions.find_signed_in(session, opened.token, NOON) is None

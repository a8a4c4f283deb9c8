"""Ticket moves against a naive reference, and two people who move the same ticket at once."""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from fleet.accounts import service as accounts
from fleet.errors import Conflict, FleetError
from fleet.scope import Role
from fleet.tickets import service
from fleet.tickets.models import TicketEvent, TicketKind, TicketStatus, TicketSubject
from tests.factories import NOON, make_school, make_ticket, make_user

LEGAL = {
    "assign": {"new": "assigned", "assigned": "assigned", "planned": "assigned", "pending": "assigned"},
    "plan": {"assigned": "planned", "planned": "planned"},
    "hold": {"assigned": "pending", "planned": "pending"},
    "resume": {"pending": "assigned"},
    "solve": {"assigned": "solved", "planned": "solved"},
    "close": {"new": "closed", "solved": "closed"},
    "reopen": {"solved": "assigned"},
}
"""The reference: verb -> from -> to."""
STAFF_ONLY = {"assign", "plan", "hold", "resume", "solve"}
PEOPLE = ("technician", "officer", "opener", "bystander")


def make_machine(session: Session) -> type[RuleBasedStateMachine]:
    school = make_school(session)
    users = {
        "technician": make_user(session),
        "colleague": make_user(session),
        "officer": make_user(session, Role.OFFICER, collectivity=school.collectivity),
        "opener": make_user(session, Role.SCHOOL_LEAD, school=school),
        "bystander": make_user(session, Role.SCHOOL_LEAD, school=school),
    }
    viewers = {name: accounts.get_viewer(session, user.id) for name, user in users.items()}

    class Life(RuleBasedStateMachine):
        """One ticket, pushed about by everyone."""

        def __init__(self) -> None:
            super().__init__()
            self.now = NOON
            self.ticket = service.open_ticket(
                session, viewers["opener"], kind=TicketKind.REQUEST, subject=TicketSubject.SCHOOL, title="T",
                description="D", school=school, now=NOON,
            )  # fmt: skip
            self.status = "new"
            self.holder: str | None = None
            self.planned_for: datetime | None = None
            self.events = 1

        def attempt(self, person: str, verb: str, *arguments: object) -> bool:
            """Do it, and compare with what the reference says may happen."""
            self.now += timedelta(minutes=1)
            may = person == "technician" or (verb not in STAFF_ONLY and person != "bystander")
            wanted = LEGAL[verb].get(self.status)
            refusal = None
            try:
                getattr(service, f"{verb}_ticket")(session, viewers[person], self.ticket, *arguments, self.now)
            except FleetError as error:
                refusal = error.status
            assert refusal == (403 if not may else 409 if wanted is None else None)
            self.status = wanted if refusal is None and wanted is not None else self.status
            return refusal is None

        @rule(person=st.sampled_from(PEOPLE), to=st.sampled_from(("technician", "colleague")))
        def assign(self, person: str, to: str) -> None:
            was, holder = self.status, self.holder
            if self.attempt(person, "assign", users[to].id):
                self.events += (was, holder) != ("assigned", to)
                self.holder, self.planned_for = to, None

        @rule(person=st.sampled_from(PEOPLE), days=st.integers(1, 30))
        def plan(self, person: str, days: int) -> None:
            moment = self.now + timedelta(days=days)
            if self.attempt(person, "plan", moment):
                self.planned_for, self.events = moment, self.events + 1

        @rule(person=st.sampled_from(PEOPLE), verb=st.sampled_from(("hold", "solve", "reopen")))
        def step_with_a_reason(self, person: str, verb: str) -> None:
            if self.attempt(person, verb, "parce que"):
                self.planned_for, self.events = None, self.events + 1

        @rule(person=st.sampled_from(PEOPLE), verb=st.sampled_from(("resume", "close")))
        def step(self, person: str, verb: str) -> None:
            self.events += self.attempt(person, verb)

        @invariant()
        def agrees(self) -> None:
            kept = service.get_ticket(session, viewers["technician"], self.ticket.id)
            assert kept.status == self.status
            assert kept.planned_for == self.planned_for
            assert (kept.assigned_to_id is None) == (self.holder is None)
            assert self.holder is None or kept.assigned_to_id == users[self.holder].id
            assert len(kept.events) == self.events
            assert kept.events[-1].status == self.status
            assert (kept.closed_at is not None) == (self.status == "closed")
            assert (kept.solved_at is not None) >= (self.status == "solved")

    return Life


def test_moves_agree_with_the_reference(session: Session) -> None:
    run_state_machine_as_test(
        make_machine(session), settings=settings(max_examples=40, stateful_step_count=20, deadline=None, database=None)
    )


# --- two at once -------------------------------------------------------------------------------------------------


def race(engine: Engine, ticket_id: UUID, people: Sequence[str]) -> list[str]:
    """All read the ticket, then each takes it; what became of each: "" or the refusal's code."""
    together = threading.Barrier(len(people))
    outcomes: list[str] = []

    def act(email: str) -> None:
        with Session(engine) as session, session.begin():
            user = next(user for user in accounts.list_staff(session, NOON) if user.email == email)
            viewer = accounts.get_viewer(session, user.id)
            ticket = service.get_ticket(session, viewer, ticket_id)
            together.wait(20)
            try:
                service.assign_ticket(session, viewer, ticket, user.id, NOON)
                outcomes.append("")
            except Conflict as refusal:
                outcomes.append(refusal.code)

    threads = [threading.Thread(target=act, args=(email,)) for email in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return sorted(outcomes)


def test_of_several_who_take_a_ticket_at_once_one_wins_and_the_others_are_told(own_database_url: str) -> None:
    engine = create_engine(own_database_url)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        people = [make_user(session).email for _ in range(4)]
        ticket = make_ticket(session)
    assert race(engine, ticket.id, people) == ["", *["ticket.changed"] * 3]
    with Session(engine) as session:
        moves = session.scalars(select(TicketEvent.status).where(TicketEvent.ticket_id == ticket.id)).all()
        assert moves == [TicketStatus.ASSIGNED]
    engine.dispose()

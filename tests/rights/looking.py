"""Who looks at the small département: people with roles, grants between nodes, and what each may read."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from fleet.accounts.models import NodeGrant, RoleGrant, User, WebSession
from fleet.collectivities.models import Collectivity
from fleet.schools.models import School
from fleet.scope import Role
from fleet.stored_secrets import digest
from tests.rights.world import COMMON, OPERATOR, Kind, Mark, Person, World, add, mark


def make_grants(session: Session, world: World, now: datetime) -> None:
    """Sight that holds, that has ended this very moment, that is to come, and that was taken back."""

    def give(to: str, node: str, starts: timedelta, ends: timedelta, ended: bool = False) -> None:
        grant = NodeGrant(
            to_collectivity_id=world.rows[to].get("collectivity"), to_school_id=world.rows[to].get("school"),
            collectivity_id=world.rows[node].get("collectivity"), school_id=world.rows[node].get("school"),
            starts_at=now + starts, ends_at=now + ends, reason=mark(Kind.INTERNAL, OPERATOR), given_at=now,
            given_by="Alix", ended_at=now if ended else None,
        )  # fmt: skip
        world.note(OPERATOR, "grant", add(session, grant), Kind.INTERNAL)

    past, day = timedelta(days=-9), timedelta(days=1)
    give("own", "given", past, day)
    give("own", "lent1", timedelta(0), day)  # from this very moment on
    give("own1", "lent1", past, day)
    for code in ("lapsed", "lapsed1"):
        give("own", code, past, timedelta(0))  # until this very moment
        give("own1", code, past, timedelta(seconds=-1))
        give("own", code, past, day, ended=True)
    give("own", "coming1", timedelta(seconds=1), day)
    give("own1", "coming1", day, 2 * day)
    give("given", "foreign", past, day)  # what was granted to whom one sees is not passed on
    give("foreign", "own", past, day)  # nor does being seen make see


def make_user(
    session: Session, world: World, name: str, role: Role, node: str, *, ends_at: datetime | None = None, **place: Any
) -> User:
    text = "équipe" if node == COMMON else mark(Kind.ROW, node)
    grant = RoleGrant(role=role, starts_at=None, ends_at=ends_at, **place)
    user = User(email=f"{name}.{text}@example.test", name=f"{name} {text}", password_hash="x", grants=[grant])
    return world.note(node, f"user-{name}", add(session, user))


def make_people(session: Session, world: World, places: Mapping[str, Collectivity | School], now: datetime) -> None:
    """Who looks. What each may read is written out here, not computed by the code under test."""
    decided = {(Kind.DECISION, OPERATOR)}
    named = {(Kind.NAME, code) for code in ("own", "given", "lender", "group")}
    town = frozenset({"own", "own1", "own2", "given", "given1", "lent1"})
    looking = {
        "officer": (Role.OFFICER, "own", town, named | {(Kind.DECISION, "lender")}),
        "node auditor": (Role.AUDITOR, "own", town, named | {(Kind.DECISION, "lender")}),
        "node technician": (Role.TECHNICIAN, "own", town, named | {(Kind.DECISION, "lender")} | internal(town)),
        "school lead": (
            Role.SCHOOL_LEAD, "own1", frozenset({"own1", "lent1"}),
            {(Kind.NAME, "own"), (Kind.NAME, "lender"), (Kind.DECISION, "own"), (Kind.DECISION, "lender")},
        ),
    }  # fmt: skip
    everything = {"admin": Role.ADMIN, "technician": Role.TECHNICIAN, "auditor": Role.AUDITOR}
    for name, role in everything.items():
        user = make_user(session, world, f"looking {name}", role, COMMON)
        world.people[name] = sign_in(session, user, now, Person(name, sees_all=True))
    for name, (role, code, seen, told) in looking.items():
        place = places[code]
        ids: dict[str, Any] = {"school_id": place.id} if isinstance(place, School) else {"collectivity_id": place.id}
        user = make_user(session, world, f"looking {name}", role, COMMON, **ids)
        person = Person(name, seen=seen | {COMMON}, told=frozenset(told | decided))
        world.people[name] = sign_in(session, user, now, person)
    user = make_user(
        session, world, "looking late", Role.OFFICER, COMMON, ends_at=now, collectivity_id=places["own"].id
    )
    late = Person("expired role", seen=frozenset({COMMON}), told=frozenset(decided))
    world.people["expired role"] = sign_in(session, user, now, late)
    world.people["anonymous"] = Person("anonymous")


def internal(codes: frozenset[str]) -> set[Mark]:
    return {(Kind.INTERNAL, code) for code in codes}


def sign_in(session: Session, user: User, now: datetime, person: Person) -> Person:
    """The same person with a session, as the cookie and the forms' token."""
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    session.add(
        WebSession(
            token_hash=digest(cookie),
            csrf_token=csrf,
            user_id=user.id,
            created_at=now,
            expires_at=now + timedelta(hours=9),
            last_used_at=now,
            confirmed_at=now,  # what asks first who one is lets them pass
        )
    )
    return Person(person.name, cookie, csrf, person.sees_all, person.seen, person.told)

"""Rows for tests: sensible defaults, keyword overrides, flushed so that they have ids."""

import itertools
import uuid
from datetime import UTC, datetime
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy.orm import Session

from fleet.accounts.models import RoleGrant, User
from fleet.collectivities.models import Collectivity, CollectivityKind
from fleet.devices.models import Device, DeviceKind, DeviceStatus, Platform
from fleet.schools.models import School, SchoolLevel
from fleet.scope import Role
from fleet.text import fold
from fleet.tickets.models import Ticket, TicketKind, TicketSubject

NOON = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
"""A Tuesday of term, noon in Paris."""
PASSWORD = "une phrase de passe pour les tests"
numbers = itertools.count(1)


def make_uai(number: int) -> str:
    """A well-formed UAI of the Aisne, far above the real ones."""
    digits = f"002{9000 + number:04d}"
    return digits + "ABCDEFGHJKLMNPRSTUVWXYZ"[int(digits) % 23]


def make_collectivity(session: Session, **overrides: Any) -> Collectivity:
    n = next(numbers)
    values = {"kind": CollectivityKind.COMMUNE, "name": f"Commune {n}", "insee_code": f"T{n:04d}"} | overrides
    row = Collectivity(**values, search_text=fold(values["name"], values["insee_code"]))
    session.add(row)
    session.flush()
    return row


def make_school(session: Session, **overrides: Any) -> School:
    n = next(numbers)
    if "collectivity" not in overrides:
        overrides["collectivity"] = make_collectivity(session)
    values = {"uai": make_uai(n), "name": f"École {n}", "level": SchoolLevel.PRIMARY} | overrides
    row = School(**values, search_text=fold(values["name"], values["uai"]))
    session.add(row)
    session.flush()
    return row


def make_device(session: Session, **overrides: Any) -> Device:
    n = next(numbers)
    if "school" not in overrides:
        overrides["school"] = make_school(session)
    values = {
        "asset_tag": f"PRE-T{n:05d}",
        "kind": DeviceKind.DISPLAY,
        "platform": Platform.LINUX,
        "status": DeviceStatus.ACTIVE,
        "name": f"Écran {n}",
        "serial": f"SN{n:06d}",
        "label": uuid.uuid4().hex[:12],
    } | overrides
    row = Device(**values, search_text=fold(values["asset_tag"], values["name"], values["serial"]))
    session.add(row)
    session.flush()
    return row


def make_user(session: Session, role: Role = Role.TECHNICIAN, **overrides: Any) -> User:
    """A person with one role; ``collectivity`` or ``school`` is its node, else the operator. Password: PASSWORD."""
    n = next(numbers)
    collectivity, school = overrides.pop("collectivity", None), overrides.pop("school", None)
    values = {
        "email": f"personne{n}@example.test",
        "name": f"Personne {n}",
        "password_hash": PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD),
    } | overrides
    grant = RoleGrant(
        role=role,
        collectivity_id=collectivity.id if collectivity else None,
        school_id=school.id if school else None,
    )
    row = User(**values, grants=[grant])
    session.add(row)
    session.flush()
    return row


def make_ticket(session: Session, **overrides: Any) -> Ticket:
    n = next(numbers)
    if "collectivity" not in overrides:
        school = overrides.setdefault("school", make_school(session))
        overrides["collectivity"] = school.collectivity
    values: dict[str, Any] = {
        "kind": TicketKind.INCIDENT,
        "subject": TicketSubject.SCHOOL,
        "title": f"Panne {n}",
        "description": "L’écran ne s’allume plus.",
        "opened_at": NOON,
        "updated_at": NOON,
    } | overrides
    row = Ticket(**values, search_text=fold(values["title"], values["description"]))
    session.add(row)
    session.flush()
    return row

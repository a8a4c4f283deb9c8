"""The demonstration's accounts: invented people of real places, passwords of this installation only."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.accounts import service as accounts
from fleet.accounts.models import User
from fleet.collectivities import service as collectivities
from fleet.embedded.banner import Account
from fleet.errors import NotFound
from fleet.files import write_private
from fleet.schools.models import School
from fleet.scope import Grant, Role, Viewer

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
GUISE, VERVINS = "02361", "02789"
"""INSEE codes of the two communes that have an officer."""
SCHWEITZER = "0021094D"
"""UAI of the directrice's school, in Guise."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody invented, and the node of their role: a commune (INSEE), a school (UAI), or the operator."""

    email: str
    name: str
    role: Role
    what: str
    insee: str | None = None
    uai: str | None = None


ADMIN = Person("admin@preau.example", "Camille Renard", Role.ADMIN, "administratrice de l’ADICA")
TECHNICIAN = Person("technicien@preau.example", "Hugo Lemaire", Role.TECHNICIAN, "technicien de l’ADICA")
OFFICER = Person("guise@preau.example", "Nadia Carlier", Role.OFFICER, "agente de la mairie de Guise", insee=GUISE)
NEIGHBOUR = Person("vervins@preau.example", "Paul Dumont", Role.OFFICER, "agent de la mairie de Vervins", insee=VERVINS)
LEAD = Person(
    "directrice@preau.example",
    "Sophie Martel",
    Role.SCHOOL_LEAD,
    "directrice de l’école Albert-Schweitzer, Guise",
    uai=SCHWEITZER,
)
PEOPLE = (ADMIN, TECHNICIAN, OFFICER, NEIGHBOUR, LEAD)


def ensure_accounts(session: Session, path: Path) -> list[Account]:
    """Open what accounts are missing; passwords are made once, kept in ``path`` (mode 600) and returned each time."""
    passwords = read_passwords(path)
    kept = {person.email: passwords.get(person.email) or make_password() for person in PEOPLE}
    if kept != passwords:
        write_private(path, json.dumps(kept, indent=1))  # before the rows: a kill in between loses no password
    known = set(session.scalars(select(User.email)))
    for person in PEOPLE:
        if person.email not in known:
            grants = [grant_of(session, person)]
            accounts.create_user(
                session, email=person.email, name=person.name, password=kept[person.email], grants=grants
            )
        elif person.email not in passwords:  # the file was lost: nobody knows the old password
            accounts.set_password(session, person.email, kept[person.email])
    return [Account(person.email, kept[person.email], person.what) for person in PEOPLE]


def read_passwords(path: Path) -> dict[str, str]:
    """Email -> password; empty when the file is missing or spoilt."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def make_password() -> str:
    """Four groups of four letters that read apart: 79 bits, easy to type from a screen."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(4))


def grant_of(session: Session, person: Person) -> Grant:
    """The person's role on its node; raise NotFound when the demonstration's places are not loaded."""
    if person.insee is not None:
        commune = collectivities.find_by_insee(session, person.insee)
        if commune is None:
            raise NotFound("demo.no_commune", f"La commune {person.insee} manque : chargez l’Aisne d’abord.")
        return Grant(person.role, collectivity_id=commune.id)
    if person.uai is not None:
        school_id = session.scalar(select(School.id).where(School.uai == person.uai))
        if school_id is None:
            raise NotFound("demo.no_school", f"L’école {person.uai} manque : chargez l’Aisne d’abord.")
        return Grant(person.role, school_id=school_id)
    return Grant(person.role)


def viewer_of(session: Session, person: Person) -> Viewer:
    """One of these people, as rights see them."""
    user_id = session.scalars(select(User.id).where(User.email == person.email)).one()
    return accounts.get_viewer(session, user_id)

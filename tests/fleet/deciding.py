"""What tests of decisions need: people on nodes, rooms with a network, and the current policy as a filter opens it."""

import itertools
import tempfile
from pathlib import Path

from sqlalchemy.orm import Session

from filter.bundle import PolicyFile
from filter.settings import PolicySettings, ProfileSettings
from filter.signing import trust
from fleet.accounts import service as accounts
from fleet.filtering import service
from fleet.filtering.exceptions import rooms
from fleet.filtering.policy import policies
from fleet.filtering.policy.models import FilterProfile, FilterRoom
from fleet.filtering.policy.places import find_place
from fleet.filtering.publishing import signing
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from tests.factories import NOON, make_user

networks = itertools.count(1)


def viewer_of(session: Session, role: Role = Role.TECHNICIAN, **node: object) -> Viewer:
    return accounts.get_viewer(session, make_user(session, role, **node).id)


def profile_named(session: Session, slug: str) -> FilterProfile:
    service.ensure_default_profile(session)
    return next(profile for profile in service.list_profiles(session) if profile.slug == slug)


def make_room(session: Session, staff: Viewer, school: School, profile: str = "elementaire") -> FilterRoom:
    """A room with one network of its own."""
    number = next(networks)
    room = rooms.add_room(session, staff, school, f"Salle {number}", NOON)
    found = find_place(session, staff, room_id=room.id)
    cidr = f"10.{number // 250}.{number % 250}.0/24"
    rooms.add_network(session, staff, cidr, profile_named(session, profile), found, NOON)
    return room


def opened(session: Session) -> PolicyFile:
    """The current policy, its signature checked."""
    current = policies.current_policy(session)
    assert current is not None
    content, etag = current
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "policy"
        path.write_bytes(content)
        policy = PolicyFile.open(path, trust(signing.public_keys(session)))
    assert policy.etag == etag
    return policy


def current_settings(session: Session) -> PolicySettings:
    return PolicySettings.from_json(opened(session).settings)


def flat(session: Session, slug: str) -> ProfileSettings:
    """A profile of the current policy."""
    return next(profile for profile in current_settings(session).profiles if profile.slug == slug)

"""Filtering, the controller's side: profiles are edited, bundles asked for, filters registered, verdicts explained."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from fleet.db import after_commit
from fleet.errors import Invalid
from fleet.filtering import profiles, publications, tasks
from fleet.filtering.explaining import Explained as Explained
from fleet.filtering.explaining import explain as explain
from fleet.filtering.models import FilterNetwork, FilterProfile, Publication
from fleet.filtering.nodes import authenticate as authenticate
from fleet.filtering.nodes import list_filters as list_filters
from fleet.filtering.nodes import register_filter as register_filter
from fleet.filtering.nodes import revoke_filter as revoke_filter
from fleet.filtering.profiles import ensure_default_profile as ensure_default_profile
from fleet.filtering.profiles import get_profile as get_profile
from fleet.filtering.profiles import list_networks as list_networks
from fleet.filtering.profiles import list_profiles as list_profiles
from fleet.filtering.publications import find_latest as find_latest
from fleet.filtering.publications import get_publication as get_publication
from fleet.filtering.publications import list_publications as list_publications
from fleet.filtering.reports import totals as totals
from fleet.schools.models import School
from fleet.scope import Action, Viewer


def request_publication(session: Session, by: str | None, now: datetime) -> Publication:
    """Ask for a bundle of what is decided now. Callers check the right; ``by`` is the name that the history shows.

    What was asked for and not started yet serves both: the row returned is then that one.
    """
    publication = publications.add_request(session, by, now)
    after_commit(session, tasks.compile_publication.delay, str(publication.id))
    return publication


def update_profile(
    session: Session,
    viewer: Viewer,
    profile_id: UUID,
    *,
    name: str | None = None,
    blocked_categories: Sequence[str] | None = None,
    allowed_categories: Sequence[str] | None = None,
    denied_names: Sequence[str] | None = None,
    allowed_names: Sequence[str] | None = None,
    now: datetime,
) -> FilterProfile:
    """Change what is given and ask for a bundle that says so; None leaves alone.

    Raise NotAllowed, NotFound, or Invalid naming each name and category that is none.
    """
    viewer.must(Action.PUBLISH_FILTER)
    profile = profiles.get_profile(session, profile_id)
    if name is not None:
        profile.name = _name(name)
    if blocked_categories is not None:
        profile.blocked_categories = profiles.clean_categories(blocked_categories)
    if allowed_categories is not None:
        profile.allowed_categories = profiles.clean_categories(allowed_categories)
    if denied_names is not None:
        profile.denied_names = profiles.clean_names(denied_names)
    if allowed_names is not None:
        profile.allowed_names = profiles.clean_names(allowed_names)
    profile.updated_at = now
    session.flush()
    request_publication(session, viewer.name, now)
    return profile


def add_network(
    session: Session, viewer: Viewer, cidr: str, profile_id: UUID, school: School | None, now: datetime
) -> FilterNetwork:
    """Give a network's clients a profile and ask for a bundle that says so; raise Invalid, NotFound or Conflict."""
    viewer.must(Action.PUBLISH_FILTER)
    network = profiles.add_network(session, cidr, profiles.get_profile(session, profile_id), school)
    request_publication(session, viewer.name, now)
    return network


def remove_network(session: Session, viewer: Viewer, network_id: UUID, now: datetime) -> None:
    """Take a network's profile back and ask for a bundle that says so; raise NotFound."""
    viewer.must(Action.PUBLISH_FILTER)
    profiles.remove_network(session, network_id)
    request_publication(session, viewer.name, now)


def _name(typed: str) -> str:
    name = " ".join(typed.split())
    if not name or len(name) > 80 or not name.isprintable():
        raise Invalid("filtering.bad_profile_name", "Donnez au profil un nom de 1 à 80 caractères.")
    return name

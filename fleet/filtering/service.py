"""Filtering, the controller's side: profiles are edited, lists and policies published, filters registered, verdicts
explained. What other features and the portal call; the rest is in the modules beside it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from filter.deciding.services import SERVICES
from filter.settings import Verdict
from fleet.db import after_commit
from fleet.filtering import tasks
from fleet.filtering.exceptions import rooms
from fleet.filtering.exceptions.rooms import list_networks as list_networks
from fleet.filtering.exceptions.rooms import remove_network as remove_network
from fleet.filtering.gateways.nodes import authenticate as authenticate
from fleet.filtering.gateways.nodes import list_filters as list_filters
from fleet.filtering.gateways.nodes import register_filter as register_filter
from fleet.filtering.gateways.nodes import revoke_filter as revoke_filter
from fleet.filtering.gateways.reports import totals as totals
from fleet.filtering.models import Publication
from fleet.filtering.policy import editing, policies, profiles
from fleet.filtering.policy.editing import OPERATOR_FOUND
from fleet.filtering.policy.editing import add_profile as add_profile
from fleet.filtering.policy.explaining import Explained as Explained
from fleet.filtering.policy.explaining import explain as explain
from fleet.filtering.policy.layers import SILENT, CategoryLine, LayerSettings, NameLine
from fleet.filtering.policy.models import FilterNetwork, FilterProfile
from fleet.filtering.policy.places import find_place
from fleet.filtering.policy.policies import find_current as find_current_policy
from fleet.filtering.policy.policies import publish as publish_policy
from fleet.filtering.policy.profiles import ensure_default_profile as ensure_default_profile
from fleet.filtering.policy.profiles import get_profile as get_profile
from fleet.filtering.policy.profiles import list_profiles as list_profiles
from fleet.filtering.policy.removing import remove_profile as remove_profile
from fleet.filtering.publishing import publications
from fleet.filtering.publishing.publications import find_latest as find_latest
from fleet.filtering.publishing.publications import get_publication as get_publication
from fleet.filtering.publishing.publications import list_publications as list_publications
from fleet.schools.models import School
from fleet.scope import Action, Viewer

__all__ = ["find_current_policy", "publish_policy"]

SERVICE_TITLES = {service.category: service.title for service in SERVICES.values()}
"""Category of a service of the catalogue -> what people call it."""


def request_publication(session: Session, by: str | None, now: datetime, *, expects: str | None = None) -> Publication:
    """Ask for a names file of what the lists hold now. Callers check the right; ``by`` is the name that the history
    shows, None when no person asks. A person answers for the controller's own folder, whatever changed there.

    What was asked for and not started yet serves both: the row returned is then that one. ``expects``: the digest of
    the only content that may come of it, or it fails.
    """
    publication = publications.add_request(session, by, now, accepts_folder=by is not None, expects=expects)
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
    """Change what the operator says of a profile, and publish it; None leaves alone.

    A line that stays keeps its schedule and its lock. Raise NotAllowed, NotFound, or Invalid naming each name and
    category that is none.
    """
    viewer.must(Action.EDIT_FILTER)
    policies.lock(session)
    profile = profiles.get_profile(session, profile_id)
    if name is not None:
        editing.rename_profile(session, viewer, profile, name, now)
    layer = editing.find_layer(session, OPERATOR_FOUND, profile)
    says = before = layer.says if layer is not None else SILENT
    if blocked_categories is not None:
        says = _with_categories(says, blocked_categories, Verdict.BLOCK)
    if allowed_categories is not None:
        says = _with_categories(says, allowed_categories, Verdict.ALLOW)
    if denied_names is not None:
        says = _with_names(says, denied_names, Verdict.BLOCK)
    if allowed_names is not None:
        says = _with_names(says, allowed_names, Verdict.ALLOW)
    if says != before:
        editing.set_layer(session, viewer, OPERATOR_FOUND, profile, says, now)
    return profile


def _with_categories(says: LayerSettings, wanted: Iterable[str], verdict: Verdict) -> LayerSettings:
    """The layer with exactly these categories under a verdict; one that had the other changes sides."""
    slugs = profiles.clean_categories(wanted)
    before = {line.category: line for line in says.categories}
    kept = [line for line in says.categories if line.verdict is not verdict and line.category not in slugs]
    same = [before[s] if s in before and before[s].verdict is verdict else CategoryLine(s, verdict) for s in slugs]
    return replace(says, categories=tuple(sorted([*kept, *same], key=lambda line: line.category)))


def _with_names(says: LayerSettings, wanted: Iterable[str], verdict: Verdict) -> LayerSettings:
    names = profiles.clean_names(wanted)
    before = {line.name: line for line in says.names}
    kept = [line for line in says.names if line.verdict is not verdict and line.name not in names]
    same = [before[n] if n in before and before[n].verdict is verdict else NameLine(n, verdict) for n in names]
    return replace(says, names=tuple(sorted([*kept, *same], key=lambda line: line.name)))


def add_network(
    session: Session, viewer: Viewer, cidr: str, profile_id: UUID, school: School | None, now: datetime
) -> FilterNetwork:
    """Give a network's clients a profile, as that school has it, and publish it; raise Invalid, NotFound, Conflict."""
    found = find_place(session, viewer, school_id=school.id if school else None)
    return rooms.add_network(session, viewer, cidr, profiles.get_profile(session, profile_id), found, now)

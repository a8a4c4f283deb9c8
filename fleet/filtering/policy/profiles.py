"""Profiles, and everything that was decided as filters read it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from filter.settings import PolicySettings
from fleet.clock import utc_now
from fleet.errors import NotFound
from fleet.filtering.policy import decisions
from fleet.filtering.policy.cleaning import clean_categories as clean_categories
from fleet.filtering.policy.cleaning import clean_names as clean_names
from fleet.filtering.policy.models import FilterProfile
from fleet.filtering.policy.presets import WHITE_CATEGORIES as WHITE_CATEGORIES
from fleet.filtering.policy.presets import ensure_default_profile as _ensure_default_profile


def ensure_default_profile(session: Session, now: datetime | None = None) -> FilterProfile:
    """The profile of whoever is in no known network; the ready-made ones are made when there is none."""
    return _ensure_default_profile(session, now or utc_now())


def policy_settings(session: Session, now: datetime | None = None) -> PolicySettings:
    """All that is decided, in one order; compiling it says whether it holds together."""
    now = now or utc_now()
    default = ensure_default_profile(session, now)
    session.flush()
    return decisions.read_policy(session, default.id, now)


def list_profiles(session: Session) -> list[FilterProfile]:
    """Every profile, the default one first, then by name."""
    return list(session.scalars(select(FilterProfile).order_by(FilterProfile.is_default.desc(), FilterProfile.name)))


def get_profile(session: Session, profile_id: UUID) -> FilterProfile:
    """The profile; raise NotFound."""
    profile = session.get(FilterProfile, profile_id)
    if profile is None:
        raise NotFound("filtering.profile_not_found", "Ce profil n’existe pas.")
    return profile

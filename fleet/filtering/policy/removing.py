"""Removing a profile that nobody has any more."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from fleet.devices.models import Device, DeviceStatus
from fleet.errors import Conflict
from fleet.filtering.policy import events, policies, profiles
from fleet.filtering.policy.models import FilterLabel, FilterNetwork, FilterOverride, FilterProfile
from fleet.schools.models import School
from fleet.scope import Action, Viewer

TOLD = 5
"""How many of those who have a profile are named, of each kind."""


def remove_profile(session: Session, viewer: Viewer, profile_id: UUID, now: datetime) -> None:
    """Remove a profile with all that any node says of it, and publish that.

    Raise NotFound, or Conflict for the default profile and for one that networks, devices or overrides still have.
    """
    viewer.must(Action.EDIT_FILTER)
    policies.lock(session)
    profile = profiles.get_profile(session, profile_id)
    session.refresh(profile)
    if profile.is_default:
        text = "Le profil par défaut est celui de tous ceux qui n’en ont pas d’autre : il ne peut pas être supprimé."
        raise Conflict("filtering.profile_default", text)
    if users := users_of(session, profile, now):
        text = f"Le profil « {profile.name} » sert encore : {' ; '.join(users)}. Donnez-leur d’abord un autre profil."
        raise Conflict("filtering.profile_used", text)
    before = {"slug": profile.slug, "name": profile.name}
    events.note(session, viewer.name, "profile.remove", profile.name, now, subject_id=profile.id, before=before)
    session.execute(delete(FilterLabel).where(FilterLabel.profile_id == profile.id))  # of retired devices
    session.delete(profile)
    session.flush()
    policies.publish(session, viewer.name, f"Profil supprimé : {profile.name}", now)


def users_of(session: Session, profile: FilterProfile, now: datetime) -> list[str]:
    """Who has the profile, in words: networks with their schools, devices that are not retired, overrides that are not
    over.
    """
    placed = select(FilterNetwork.cidr, School.name).outerjoin(School, School.id == FilterNetwork.school_id)
    networks = session.execute(placed.where(FilterNetwork.profile_id == profile.id).order_by(FilterNetwork.cidr)).all()
    tags = select(Device.asset_tag).join(FilterLabel, FilterLabel.device_id == Device.id)
    tags = tags.where(FilterLabel.profile_id == profile.id, Device.status != DeviceStatus.RETIRED)
    devices = session.scalars(tags.order_by(Device.asset_tag)).all()
    override = FilterOverride
    lasting = select(override.reason).where(
        override.profile_id == profile.id, override.ends > now, override.revoked_at.is_(None)
    )
    overrides = session.scalars(lasting.order_by(override.ends)).all()
    told = [
        listed("réseau", "réseaux", [f"{cidr} ({school})" if school else cidr for cidr, school in networks]),
        listed("appareil", "appareils", devices),
        listed("dérogation en cours", "dérogations en cours", [f"« {reason} »" for reason in overrides]),
    ]
    return [each for each in told if each]


def listed(one: str, many: str, names: Sequence[str]) -> str:
    """``2 réseaux : 10.0.0.0/24, 10.0.1.0/24``; of many the first ones, and how many more. None: ""."""
    more = f" et {len(names) - TOLD} de plus" if len(names) > TOLD else ""
    return f"{len(names)} {one if len(names) == 1 else many} : {', '.join(names[:TOLD])}{more}" if names else ""

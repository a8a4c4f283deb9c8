"""What stands for the clients of a node once every layer has spoken, as people read it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from filter.settings import OverrideSettings
from fleet.devices.models import Device, DeviceStatus
from fleet.filtering.policy import decisions
from fleet.filtering.policy.layers import Line, Mark, Merged, Said
from fleet.filtering.policy.models import FilterLabel, FilterNetwork, FilterProfile
from fleet.filtering.policy.places import Found
from fleet.filtering.policy.profiles import ensure_default_profile


@dataclass(frozen=True, slots=True)
class StandingLine:
    """A line that nobody below changed: where it stands, what it says, and whose word it is."""

    part: str
    key: str
    says: dict[str, object]
    layer: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Standing:
    """A profile on a node: the slug that filters know it by, its lines and its overrides."""

    slug: str
    lines: tuple[StandingLine, ...]
    overrides: tuple[OverrideSettings, ...]


def what_stands(session: Session, found: Found, profile: FilterProfile, now: datetime) -> Standing:
    """What clients of a profile get there."""
    tree = decisions.tree_with(session, found, now)
    merged = tree.merged_for(profile.id, found.place)
    slug = tree.profile_for(profile.id, found.place).slug
    return Standing(slug, tuple(lines_of(merged)), merged.overrides)


def lines_of(merged: Merged) -> list[StandingLine]:
    """Every line that stands, part by part."""
    parts: list[tuple[str, list[Said[Line]]]] = [
        ("categories", list(merged.categories.values())),
        ("names", list(merged.names.values())),
        ("engines", list(merged.engines.values())),
        ("rewrites", list(merged.rewrites.values())),
    ]
    single = [(p, said) for p in ("youtube", "block_mode", "bypass") if (said := getattr(merged, p)) is not None]
    parts += [(part, [said]) for part, said in single]
    return [_standing(part, said) for part, said in ((part, said) for part, many in parts for said in many)]


def _standing(part: str, said: Said[Line]) -> StandingLine:
    says: dict[str, object] = msgspec.to_builtins(said.line)
    return StandingLine(part, said.line.key, {k: v for k, v in says.items() if k != "mark"}, said.layer, said.line.mark)


@dataclass(frozen=True, slots=True)
class Use:
    """A profile that clients of a school have, in one of its rooms or in none."""

    profile: FilterProfile
    room_id: UUID | None
    networks: tuple[str, ...]
    devices: int


def uses(session: Session, found: Found) -> list[Use]:
    """Who gets what in a school; the default profile, for the others, comes last when nobody has it already."""
    school_id = found.place.school_id
    networks = session.scalars(select(FilterNetwork).where(FilterNetwork.school_id == school_id)).all()
    query = select(FilterLabel).join(Device, Device.id == FilterLabel.device_id)
    labels = session.scalars(query.where(Device.school_id == school_id, Device.status != DeviceStatus.RETIRED)).all()
    keys = {(n.profile_id, n.room_id) for n in networks} | {(label.profile_id, label.room_id) for label in labels}
    default = ensure_default_profile(session)
    keys |= set() if any(profile_id == default.id for profile_id, _ in keys) else {(default.id, None)}
    known = {profile.id: profile for profile in session.scalars(select(FilterProfile))}
    made = [
        Use(
            known[profile_id],
            room_id,
            tuple(sorted(n.cidr for n in networks if (n.profile_id, n.room_id) == (profile_id, room_id))),
            sum((label.profile_id, label.room_id) == (profile_id, room_id) for label in labels),
        )
        for profile_id, room_id in keys
    ]
    return sorted(
        made, key=lambda use: (not use.networks and not use.devices, use.profile.name, str(use.room_id or ""))
    )

"""Reading all that was decided, in a handful of queries whatever the number of schools, as filters will have it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from uuid import UUID

import msgspec
from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from filter.calendar import closed_days, school_holidays
from filter.settings import (
    LabelSettings,
    LessonSettings,
    NetworkSettings,
    OverrideSettings,
    PolicySettings,
    ScheduleSettings,
    hash_label,
)
from fleet.collectivities.models import Collectivity
from fleet.devices.models import Device, DeviceStatus
from fleet.filtering.policy.layers import LayerSettings
from fleet.filtering.policy.models import (
    FilterLabel,
    FilterLayer,
    FilterOverride,
    FilterProfile,
    FilterRoom,
    FilterSchedule,
    Lesson,
)
from fleet.filtering.policy.networks import NetworkRow, heeded
from fleet.filtering.policy.places import OPERATOR, Found, Place
from fleet.filtering.policy.resolving import Key, ProfileNode, RoomNode, SchoolNode, Spoken, Tree, distinct
from fleet.schools.models import School

LATE_CLOCKS = timedelta(minutes=5)
YEARS_AHEAD = 2
"""How far public holidays and school holidays are written into schedules: gateways may be on their own for long."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A device's label, and who is behind it."""

    label: str
    profile_id: UUID
    school_id: UUID | None
    room_id: UUID | None


def read_policy(session: Session, default_id: UUID, now: datetime) -> PolicySettings:
    """All that was decided. Rows are read as columns: none comes from what the session remembers."""
    networks, labels = list(heeded(session)), list(_labels(session))
    clients: list[NetworkRow | Labelled] = [*(row for row, _ in networks), *labels]
    tree = read_tree(session, now, {c.school_id for c in clients if c.school_id is not None})
    rooms = {room for c in clients if (room := tree.place_of(c.school_id, c.room_id).room_id) is not None}
    profiles = [tree.profile_for(profile_id, OPERATOR) for profile_id in tree.profiles]
    profiles += [tree.profile_for(c.profile_id, tree.place_of(c.school_id, c.room_id)) for c in clients]
    return PolicySettings(
        profiles=distinct(profiles),
        default_profile=tree.profile_for(default_id, OPERATOR).slug,
        networks=tuple(NetworkSettings(row.cidr, *_reaches(tree, row), filter=own) for row, own in networks),
        labels=tuple(LabelSettings(hash_label(c.label), *_reaches(tree, c)) for c in labels),
        schedules=tuple(_schedules(session, now)),
        lessons=tuple(_lessons(session, rooms, now)),
    )


def _reaches(tree: Tree, client: NetworkRow | Labelled) -> tuple[str, str]:
    """The slug of a client's flat profile, and its room."""
    place = tree.place_of(client.school_id, client.room_id)
    return tree.profile_for(client.profile_id, place).slug, str(place.room_id or "")


def read_tree(session: Session, now: datetime, school_ids: Iterable[UUID] = ()) -> Tree:
    """The tree as it speaks at ``now``, with these schools and those that say something."""
    spoken = _spoken(session, now)
    room_rows = session.execute(select(FilterRoom.id, FilterRoom.name, FilterRoom.school_id)).all()
    wanted = {*school_ids, *(place.school_id for _, place in spoken if place.school_id is not None)}
    wanted |= {school_id for _, _, school_id in room_rows}
    columns = select(School.id, School.uai, School.name, School.collectivity_id)
    schools = {row[0]: SchoolNode(*row[1:]) for row in session.execute(columns.where(School.id.in_(wanted)))}
    above = {school.collectivity_id for school in schools.values()}
    above |= {place.collectivity_id for _, place in spoken if place.collectivity_id is not None}
    collectivities = session.execute(select(Collectivity.id, Collectivity.name).where(Collectivity.id.in_(above)))
    profiles = session.execute(select(FilterProfile.id, FilterProfile.slug, FilterProfile.name))
    return Tree(
        profiles={row[0]: ProfileNode(*row[1:]) for row in profiles},
        schools=schools,
        collectivities={row[0]: row[1] for row in collectivities},
        rooms={row[0]: RoomNode(*row[1:]) for row in room_rows},
        spoken=spoken,
    )


def tree_with(session: Session, found: Found, now: datetime) -> Tree:
    """The tree, in which this node has its place though nobody says anything there."""
    place = found.place
    tree = read_tree(session, now, [place.school_id] if place.school_id else [])
    if place.collectivity_id is not None and found.collectivity is not None:
        tree.collectivities = {**tree.collectivities, place.collectivity_id: found.collectivity.name}
    return tree


def _spoken(session: Session, now: datetime) -> dict[Key, Spoken]:
    """What every node says, and its overrides that have not ended."""
    said: defaultdict[Key, Spoken] = defaultdict(Spoken)
    layer = FilterLayer
    columns = select(layer.profile_id, layer.collectivity_id, layer.school_id, layer.room_id, cast(layer.content, Text))
    for profile_id, collectivity_id, school_id, room_id, content in session.execute(columns):
        key = (profile_id, Place(collectivity_id, school_id, room_id))
        said[key] = Spoken(_read_layer(content))
    for key, override in _overrides(session, now):
        said[key] = replace(said[key], overrides=(*said[key].overrides, override))
    return dict(said)


@lru_cache(maxsize=20_000)
def _read_layer(content: str) -> LayerSettings:
    """What a layer says. The same text is the same object: what was made of it is known again by that."""
    return msgspec.json.decode(content, type=LayerSettings)


def _overrides(session: Session, now: datetime) -> Iterator[tuple[Key, OverrideSettings]]:
    o = FilterOverride
    columns = select(
        o.profile_id, o.collectivity_id, o.school_id, o.room_id, o.id, o.verdict, o.starts, o.ends, o.names,
        o.categories, o.reason, o.by,
    )  # fmt: skip
    for row in session.execute(columns.where(o.revoked_at.is_(None), o.ends > now).order_by(o.starts, o.id)):
        yield (
            (row.profile_id, Place(row.collectivity_id, row.school_id, row.room_id)),
            OverrideSettings(
                id=str(row.id),
                verdict=row.verdict,
                starts=row.starts,
                ends=row.ends,
                names=tuple(row.names),
                categories=tuple(row.categories),
                reason=row.reason,
                by=row.by,
            ),
        )


def _labels(session: Session) -> Iterator[Labelled]:
    """Of all devices but the retired ones: whoever still shows the label of one is nobody we know."""
    columns = select(Device.label, FilterLabel.profile_id, Device.school_id, FilterLabel.room_id)
    columns = columns.join(FilterLabel, FilterLabel.device_id == Device.id)
    for row in session.execute(columns.where(Device.status != DeviceStatus.RETIRED).order_by(Device.label)):
        yield Labelled(*row)


def _schedules(session: Session, now: datetime) -> Iterator[ScheduleSettings]:
    s = FilterSchedule
    for slug, name, zone_b, content in session.execute(select(s.slug, s.name, s.zone_b, s.content).order_by(s.slug)):
        schedule = replace(msgspec.convert(content, ScheduleSettings), slug=slug, name=name)
        yield with_calendar(schedule, now.date()) if zone_b else schedule


def with_calendar(schedule: ScheduleSettings, today: date) -> ScheduleSettings:
    """The schedule with the school holidays and public holidays from this year on; its own exceptions beat these."""
    own = {exception.day for exception in schedule.exceptions}
    first, last = date(today.year, 1, 1), date(today.year + YEARS_AHEAD, 12, 31)
    closed = [day for year in range(first.year, last.year + 1) for day in closed_days(year) if day.day not in own]
    return replace(
        schedule,
        holidays=(*schedule.holidays, *school_holidays(first, last)),
        exceptions=(*schedule.exceptions, *closed),
    )


def _lessons(session: Session, rooms: set[UUID], now: datetime) -> Iterator[LessonSettings]:
    """Lessons that have not ended, in rooms that have clients. They are said to start a little earlier than they did:
    a gateway whose clock is late starts them when it hears of them all the same.
    """
    le = Lesson
    columns = select(le.id, le.room_id, le.starts, le.ends, le.names, le.title, le.by)
    running = columns.where(le.stopped_at.is_(None), le.ends > now, le.room_id.in_(rooms)).order_by(le.starts, le.id)
    for row in session.execute(running):
        yield LessonSettings(
            str(row.id), str(row.room_id), row.starts - LATE_CLOCKS, row.ends, tuple(row.names), row.title, row.by
        )

"""What each client's profile is, once every node has spoken: the tree in memory, and flat profiles made of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from filter.settings import OverrideSettings, ProfileSettings
from fleet.filtering.policy.layers import SILENT, LayerSettings, Merged, Voice, flatten, merge
from fleet.filtering.policy.places import OPERATOR, OPERATOR_NAME, NodeKind, Place


@dataclass(frozen=True, slots=True)
class SchoolNode:
    uai: str
    name: str
    collectivity_id: UUID


@dataclass(frozen=True, slots=True)
class RoomNode:
    name: str
    school_id: UUID


@dataclass(frozen=True, slots=True)
class ProfileNode:
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """What one node says of one profile, or of all."""

    says: LayerSettings = SILENT
    overrides: tuple[OverrideSettings, ...] = ()


Key = tuple[UUID | None, Place]
"""A profile (None: all of them) and a node."""


@dataclass(slots=True)
class Tree:
    """Every node that speaks or has clients, and what is said on each."""

    profiles: Mapping[UUID, ProfileNode]
    schools: Mapping[UUID, SchoolNode]
    collectivities: Mapping[UUID, str]
    rooms: Mapping[UUID, RoomNode]
    spoken: Mapping[Key, Spoken]
    _flat: dict[tuple[UUID, Place], ProfileSettings] = field(default_factory=dict)

    def place_of(self, school_id: UUID | None, room_id: UUID | None) -> Place:
        """The most specific node of a client; a room that is not in the school (a device moved) does not count."""
        if school_id not in self.schools:
            return OPERATOR
        room = self.rooms.get(room_id) if room_id is not None else None
        return Place(None, school_id, room_id if room is not None and room.school_id == school_id else None)

    def parent_of(self, place: Place) -> Place | None:
        """The node above; None: there is nothing above the operator."""
        match place.kind:
            case NodeKind.ROOM:
                return Place(None, place.school_id)
            case NodeKind.SCHOOL if place.school_id is not None:
                return Place(self.schools[place.school_id].collectivity_id)
            case NodeKind.COLLECTIVITY:
                return OPERATOR
        return None

    def path_to(self, place: Place) -> list[Place]:
        """The nodes from the operator down to this one."""
        above = self.parent_of(place)
        return [*(self.path_to(above) if above is not None else ()), place]

    def label_of(self, place: Place) -> str:
        """What people call a node."""
        school = self.schools[place.school_id].name if place.school_id is not None else ""
        if place.room_id is not None:
            return f"{school}, {self.rooms[place.room_id].name}"
        if place.collectivity_id is not None:
            return self.collectivities[place.collectivity_id]
        return school or OPERATOR_NAME

    def voices_for(self, profile_id: UUID, place: Place) -> list[Voice]:
        """Who speaks for clients of a profile there, the operator first. On one node what is said of all profiles comes
        first: what is said of this one is more precise.
        """
        return [
            Voice(self.label_of(node), spoken.says, spoken.overrides)
            for node in self.path_to(place)
            for key in ((None, node), (profile_id, node))
            if (spoken := self.spoken.get(key)) is not None
        ]

    def merged_for(self, profile_id: UUID, place: Place) -> Merged:
        return merge(self.voices_for(profile_id, place))

    def profile_for(self, profile_id: UUID, place: Place) -> ProfileSettings:
        """The flat profile of such clients. Nodes that add nothing share the one of the node above."""
        key = (profile_id, place)
        if (found := self._flat.get(key)) is None:
            found = self._flat[key] = self._make_profile(profile_id, place)
        return found

    def _make_profile(self, profile_id: UUID, place: Place) -> ProfileSettings:
        above = self.parent_of(place)
        shared = None if above is None else self.profile_for(profile_id, above)
        is_silent = (None, place) not in self.spoken and (profile_id, place) not in self.spoken
        if shared is not None and is_silent:
            return shared
        profile = self.profiles[profile_id]
        school = self.schools[place.school_id].uai if place.school_id is not None else ""
        own = flat_profile(
            self.voices_for(profile_id, place),
            slug=f"{profile.slug}{self._suffix_of(place)}",
            name=profile.name if place == OPERATOR else f"{profile.name}, {self.label_of(place)}",
            school=school,
        )
        return shared if shared is not None and says_the_same(own, shared) else own

    def find_node(self, slug: str) -> tuple[UUID, Place] | None:
        """The profile and the node that a flat profile's slug stands for."""
        base, at = base_slug(slug), "@" in slug
        profile_id = next((key for key, profile in self.profiles.items() if profile.slug == base), None)
        if profile_id is None or not at:
            return None if profile_id is None else (profile_id, OPERATOR)
        places = {place for _, place in self.spoken}
        return next(((profile_id, place) for place in places if base + self._suffix_of(place) == slug), None)

    def _suffix_of(self, place: Place) -> str:
        """What tells a node's profile from the operator's: ``@0020001A``, with the room's number behind a slash."""
        if place.collectivity_id is not None:
            return f"@{place.collectivity_id.hex[:12]}"
        if place.school_id is None:
            return ""
        room = f"/{place.room_id.hex[:12]}" if place.room_id is not None else ""
        return f"@{self.schools[place.school_id].uai}{room}"


MOST_REMEMBERED = 20_000
_remembered: dict[tuple[object, ...], tuple[Sequence[Voice], ProfileSettings]] = {}


def flat_profile(voices: Sequence[Voice], *, slug: str, name: str, school: str) -> ProfileSettings:
    """What these voices make together. Of hundreds of schools one changes at a time: the others are remembered.

    What was said is known by its identity, which is its own as long as it is remembered here.
    """
    key = (slug, name, school, *((voice.label, id(voice.says), voice.overrides) for voice in voices))
    if (found := _remembered.get(key)) is None:
        if len(_remembered) >= MOST_REMEMBERED:
            _remembered.clear()
        found = _remembered[key] = (voices, flatten(merge(voices), slug=slug, name=name, school=school))
    return found[1]


def base_slug(slug: str) -> str:
    """The profile behind a flat profile: ``college`` for ``college@0020001A``."""
    return slug.partition("@")[0]


def says_the_same(one: ProfileSettings, other: ProfileSettings) -> bool:
    """Whether clients see no difference: all that was said on the lower node was void."""
    return replace(one, slug=other.slug, name=other.name, school=other.school) == other


def distinct(profiles: Sequence[ProfileSettings]) -> tuple[ProfileSettings, ...]:
    """Each once, by slug."""
    return tuple(profile for _, profile in sorted({profile.slug: profile for profile in profiles}.items()))

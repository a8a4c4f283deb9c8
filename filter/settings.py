"""What people decided, as filters read it: profiles, schedules, lessons, networks, labels. Plain data, the policy file.

filter.normalising brings them into one form before they are compiled.

The controller has already merged the layers (département, collectivity, school, room) and their locks: a filter sees
one flat profile for each group of clients, where every line says which layer set it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum
from typing import Self

import msgspec

SCHOOL_CATEGORIES: tuple[str, ...] = (
    "adult",
    "agressif",
    "cryptojacking",
    "dangerous_material",
    "dating",
    "ddos",
    "dialer",
    "doh",
    "drogue",
    "gambling",
    "hacking",
    "lingerie",
    "malware",
    "mixed_adult",
    "phishing",
    "redirector",
    "residential-proxies",
    "sect",
    "stalkerware",
    "strict_redirector",
    "strong_redirector",
    "tricheur",
    "vpn",
    "warez",
)
"""UT1 categories that a school blocks when nobody chose: harm to pupils, attacks, and ways around the filter."""
SERVICE_PREFIX = "service:"
"""A service of the catalogue is a category like any other: ``service:tiktok``."""


class SettingsInvalid(ValueError):
    """The settings contradict themselves; the text says, in French, all that is wrong."""


class Verdict(StrEnum):
    """What is said of a category or a name."""

    BLOCK = "block"
    ALLOW = "allow"
    NEUTRAL = "neutral"


class YouTube(StrEnum):
    OFF = "off"
    MODERATE = "moderate"
    STRICT = "strict"


class BlockMode(StrEnum):
    """How a blocked name is answered."""

    PAGE = "page"
    """The block page's address; NXDOMAIN where there is no page."""
    NXDOMAIN = "nxdomain"
    ZERO = "zero"
    """0.0.0.0 and ::"""


@dataclass(frozen=True, slots=True)
class WeeklyRange:
    """From ``start`` to ``end`` on these weekdays (0 is Monday). ``end`` at or before ``start`` is the next day."""

    weekdays: tuple[int, ...]
    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, both included, in the schedule's time zone."""

    first: date
    last: date
    name: str = ""


@dataclass(frozen=True, slots=True)
class DayException:
    """On this day the week's ranges are replaced by these; none: never active that day."""

    day: date
    ranges: tuple[tuple[time, time], ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """When something holds. Exceptions beat holidays, holidays beat the week."""

    slug: str
    name: str
    timezone: str = "Europe/Paris"
    weekly: tuple[WeeklyRange, ...] = ()
    holidays: tuple[Period, ...] = ()
    in_holidays: bool = False
    """Whether the week's ranges hold in the holidays too; when not, the schedule is never active in them."""
    exceptions: tuple[DayException, ...] = ()


@dataclass(frozen=True, slots=True)
class CategoryRule:
    """What is said of one category, all the time or by a schedule."""

    category: str
    verdict: Verdict
    schedule: str | None = None
    """While it is active ``verdict`` holds, ``otherwise`` the rest of the time."""
    otherwise: Verdict = Verdict.NEUTRAL
    layer: str = ""
    """Who set it, as people call it: « Aisne », « Guise », « École Jean Macé »."""


@dataclass(frozen=True, slots=True)
class NameRule:
    """One own name, with all that is under it."""

    name: str
    verdict: Verdict
    layer: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OverrideSettings:
    """A *dérogation*: names or categories, allowed or blocked until a date, for a reason."""

    id: str
    verdict: Verdict
    starts: datetime
    ends: datetime
    names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    reason: str = ""
    by: str = ""
    layer: str = ""


@dataclass(frozen=True, slots=True)
class RewriteSettings:
    """A local answer: ``name`` (or everything under it, as ``*.name``) leads to a name or to addresses."""

    name: str
    answers: tuple[str, ...]
    """One name, or addresses; ``A`` or ``AAAA`` keeps what the upstream says for that type; the name itself: nothing
    is rewritten."""


@dataclass(frozen=True, slots=True)
class LessonSettings:
    """For the clients of a room, only these names until the lesson ends; denials hold all the same."""

    id: str
    room: str
    starts: datetime
    ends: datetime
    names: tuple[str, ...] = ()
    title: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """What one group of clients may reach."""

    slug: str
    name: str
    categories: tuple[CategoryRule, ...] = ()
    names: tuple[NameRule, ...] = ()
    """Own names; the longer beats the shorter, and allowed beats denied for one and the same."""
    safe_search: tuple[str, ...] = ()
    """Engines (keys of filter.deciding.safesearch.ENGINES)."""
    youtube: YouTube = YouTube.OFF
    block_mode: BlockMode = BlockMode.PAGE
    closes_bypass: bool = True
    """Other people's encrypted DNS, private relays and the like get no answer."""
    overrides: tuple[OverrideSettings, ...] = ()
    rewrites: tuple[RewriteSettings, ...] = ()
    school: str = ""
    """UAI, for the block page and counters; "" when several schools share the profile."""


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Clients of this network get that profile; the longest prefix wins."""

    cidr: str
    profile: str
    room: str = ""
    """Lessons of this room apply."""
    filter: str = ""
    """The filter that alone heeds it (its id: the part of its credential before the dot); "": all do. Two schools may
    well have the same private network, each behind a filter of its own."""


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """A device known by the label in its DoH path or DoT name, wherever it is."""

    hash: str
    """hash_label() of it: the file that gateways hold names no device."""
    profile: str
    room: str = ""


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """Everything that a person decides."""

    profiles: tuple[ProfileSettings, ...]
    default_profile: str
    networks: tuple[NetworkSettings, ...] = ()
    labels: tuple[LabelSettings, ...] = ()
    schedules: tuple[ScheduleSettings, ...] = ()
    lessons: tuple[LessonSettings, ...] = ()
    private_names: tuple[str, ...] = ()
    """Public-looking names that may have private addresses: the school's own servers."""
    closed_categories: tuple[str, ...] = field(default=("doh",))
    """Categories that ``closes_bypass`` blocks, besides the names of filter.deciding.bypass."""

    @classmethod
    def from_json(cls, content: bytes | memoryview | Mapping[str, object]) -> Self:
        """Read a POLICY section; unknown keys are ignored. Raise SettingsInvalid."""
        try:
            if isinstance(content, Mapping):
                return msgspec.convert(content, cls)
            return msgspec.json.decode(content, type=cls)
        except msgspec.ValidationError as error:
            raise SettingsInvalid(f"politique illisible : {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SettingsInvalid(f"politique illisible : {error}") from error

    def to_json(self) -> bytes:
        """One way to write it: keys sorted, no spaces."""
        return msgspec.json.encode(self, order="deterministic")


def hash_label(label: str) -> str:
    """What stands for a device's label in the policy file: 128 bits of SHA-256, hex. Labels are random themselves."""
    return hashlib.sha256(label.strip().lower().encode()).hexdigest()[:32]


def category_rules(
    blocked: Iterable[str] = (), allowed: Iterable[str] = (), layer: str = ""
) -> tuple[CategoryRule, ...]:
    """Rules for whole categories; one that is in both is blocked and its allowed lists win name by name elsewhere."""
    verdicts = dict.fromkeys(allowed, Verdict.ALLOW) | dict.fromkeys(blocked, Verdict.BLOCK)
    return tuple(CategoryRule(category, verdict, layer=layer) for category, verdict in sorted(verdicts.items()))

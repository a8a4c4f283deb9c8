"""Ready-made profiles and the schedule of school hours: where the operator starts from, made once, then its own."""

from dataclasses import dataclass
from datetime import datetime, time

import msgspec
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from filter.deciding.safesearch import ENGINES
from filter.deciding.services import SERVICES
from filter.settings import SCHOOL_CATEGORIES, BlockMode, ScheduleSettings, Verdict, WeeklyRange, YouTube
from fleet.doors import Door, for_a_while
from fleet.filtering.policy.layers import (
    BlockModeLine,
    BypassLine,
    CategoryLine,
    EngineLine,
    LayerSettings,
    Mark,
    YouTubeLine,
)
from fleet.filtering.policy.models import FilterLayer, FilterProfile, FilterSchedule

DEFAULT_SLUG = "elementaire"
WHITE_CATEGORIES = ("child", "educational_games", "liste_blanche", "liste_bu", "sexual_education")
"""UT1 lists that their authors mean to stay reachable at school."""
NEVER_AT_SCHOOL = ("adult", "agressif", "malware", "phishing", "stalkerware")
"""Locked for pupils: no school and no room opens them. A single name may still be allowed, for a reason."""
LEISURE = ("audio-video", "celebrity", "chat", "dating", "forums", "games", "manga", "social_networks", "sports")
BUYING = ("arjel", "bitcoin", "marketingware", "publicite", "shopping")
AROUND = ("dynamic-dns", "filehosting", "remote-control", "shortener")
SECURITY = ("cryptojacking", "ddos", "dialer", "malware", "phishing", "stalkerware")
YOUNG_SERVICES = (
    "chatgpt",
    "discord",
    "facebook",
    "instagram",
    "reddit",
    "roblox",
    "snapchat",
    "tiktok",
    "twitch",
    "x",
)
"""Services that pupils under fifteen have no use for in class."""
CLASS_HOURS = "temps-scolaire"


@dataclass(frozen=True, slots=True)
class Preset:
    """A ready-made profile: what people call it and what it says."""

    slug: str
    name: str
    says: LayerSettings


def pupils(blocked: tuple[str, ...], youtube: YouTube, in_class: tuple[str, ...] = ()) -> LayerSettings:
    """Safe search everywhere, encrypted DNS closed, ``blocked`` always and ``in_class`` during school hours."""
    always = {*SCHOOL_CATEGORIES, *services("search-unsafe"), *blocked}
    lines = [CategoryLine(c, Verdict.BLOCK, mark=Mark(locked=c in NEVER_AT_SCHOOL)) for c in always]
    lines += [CategoryLine(c, Verdict.BLOCK, schedule=CLASS_HOURS) for c in set(in_class) - always]
    lines += [CategoryLine(c, Verdict.ALLOW) for c in WHITE_CATEGORIES]
    return LayerSettings(
        categories=tuple(sorted(lines, key=lambda line: line.category)),
        engines=tuple(EngineLine(engine) for engine in sorted(ENGINES)),
        youtube=YouTubeLine(youtube),
        block_mode=BlockModeLine(BlockMode.PAGE),
        bypass=BypassLine(closed=True, mark=Mark(locked=True)),
    )


def services(*slugs: str) -> tuple[str, ...]:
    """The categories of these services."""
    return tuple(SERVICES[slug].category for slug in slugs)


STAFF = LayerSettings(
    categories=tuple(
        CategoryLine(category, Verdict.BLOCK)
        for category in sorted({*SECURITY, "adult", "agressif", "doh", "gambling", "warez"})
    ),
    block_mode=BlockModeLine(BlockMode.PAGE),
    bypass=BypassLine(closed=True),
)
"""Adults at work: attacks, what the law forbids at school, and ways around the filter; nothing rewritten."""
PRESETS: tuple[Preset, ...] = (
    Preset(
        "maternelle",
        "Maternelle",
        pupils((*LEISURE, *BUYING, *AROUND, "ai", "blog", "press", *services(*YOUNG_SERVICES)), YouTube.STRICT),
    ),
    Preset(
        DEFAULT_SLUG,
        "Élémentaire",
        pupils(
            ("chat", "dating", "social_networks", *BUYING, *AROUND, *services(*YOUNG_SERVICES)),
            YouTube.STRICT,
            in_class=("celebrity", "games", "manga"),
        ),
    ),
    Preset(
        "college",
        "Collège",
        pupils(
            ("dating", "arjel", "bitcoin", "remote-control", *services("roblox", "tiktok")),
            YouTube.MODERATE,
            in_class=("chat", "forums", "games", "manga", "social_networks", *services(*YOUNG_SERVICES)),
        ),
    ),
    Preset("personnels", "Personnels", STAFF),
    Preset(
        "ecrans",
        "Écrans de classe",
        pupils(("dating", "publicite", "marketingware", "remote-control"), YouTube.MODERATE, in_class=("chat",)),
    ),
)
SCHOOL_WEEK = ScheduleSettings(
    slug=CLASS_HOURS,
    name="Temps scolaire",
    weekly=(WeeklyRange((0, 1, 3, 4), time(8), time(17)), WeeklyRange((2,), time(8), time(12))),
)


def ensure_default_profile(session: Session, now: datetime) -> FilterProfile:
    """The profile of whoever is in no known network. Ready-made profiles that are missing are made: all of them in a
    new database, the others where there was one only.
    """
    made = select(func.count()).where(FilterProfile.slug.in_([preset.slug for preset in PRESETS]))
    if session.scalar(made) != len(PRESETS):
        with for_a_while(session, Door.JOBS):  # whoever looks first
            ensure_profiles(session, now)
    return session.scalars(select(FilterProfile).where(FilterProfile.is_default)).one()


def ensure_profiles(session: Session, now: datetime) -> None:
    """Make what is missing of the ready-made profiles and their schedule; what is there stays as people left it."""
    session.execute(
        insert(FilterSchedule)
        .values(
            slug=SCHOOL_WEEK.slug,
            name=SCHOOL_WEEK.name,
            zone_b=True,
            content=msgspec.to_builtins(SCHOOL_WEEK),
            updated_at=now,
            updated_by="",
        )
        .on_conflict_do_nothing(index_elements=["slug"])
    )
    has_default = session.scalar(select(FilterProfile.id).where(FilterProfile.is_default)) is not None
    for preset in PRESETS:
        _ensure_profile(session, preset, now, is_default=preset.slug == DEFAULT_SLUG and not has_default)


def _ensure_profile(session: Session, preset: Preset, now: datetime, *, is_default: bool) -> None:
    """Two processes that start together make it once: whoever inserts the profile inserts its layer."""
    row = insert(FilterProfile).values(slug=preset.slug, name=preset.name, is_default=is_default, updated_at=now)
    made = session.scalar(row.on_conflict_do_nothing(index_elements=["slug"]).returning(FilterProfile.id))
    if made is not None:
        content = msgspec.to_builtins(preset.says)
        session.add(FilterLayer(profile_id=made, content=content, updated_at=now, updated_by=""))
        session.flush()

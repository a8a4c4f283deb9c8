"""normalise(): settings in the one form that is compiled, or a refusal that names everything wrong with them."""

import re
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import TypeVar

from filter.clients import NetworkInvalid, parse_network
from filter.deciding.safesearch import ENGINES
from filter.names import NameRefused, clean_name
from filter.schedules import is_of_calendar
from filter.schedules import problems as problems_of_schedule
from filter.settings import (
    LabelSettings,
    LessonSettings,
    NameRule,
    NetworkSettings,
    OverrideSettings,
    PolicySettings,
    ProfileSettings,
    RewriteSettings,
    ScheduleSettings,
    SettingsInvalid,
    Verdict,
)

CATEGORY = re.compile(r"(?:[a-z]+:)?[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
FILTER_ID = re.compile(r"[A-Za-z0-9_-]{0,64}", re.ASCII)
LABEL_HASH = re.compile(r"[0-9a-f]{32}", re.ASCII)
KEEP_UPSTREAM = ("A", "AAAA")
"""Answers of a rewrite that keep what the upstream says."""
MOST_PROFILES = 20_000
MOST_NETWORKS = 200_000
MOST_LABELS = 1_000_000
MOST_LESSONS = 20_000
MOST_NAMES = 20_000
"""Own names, or names of one override or lesson: what is longer is a list."""
LONGEST_TEXT = 500
MOST_PROBLEMS = 100

T = TypeVar("T")


def normalise(settings: PolicySettings) -> PolicySettings:
    """The same settings with names as the filter compares them, times in UTC and everything in one order.

    Raises SettingsInvalid naming every bad name, network, date, category and reference at once.
    """
    problems: list[str] = []
    schedules = tuple(clean_schedule(each, problems) for each in sorted(settings.schedules, key=lambda s: s.slug))
    known = {schedule.slug for schedule in schedules}
    cleaned = replace(
        settings,
        profiles=tuple(
            clean_profile(each, known, problems) for each in sorted(settings.profiles, key=lambda p: p.slug)
        ),
        networks=clean_networks(settings.networks, problems),
        labels=clean_labels(settings.labels, problems),
        schedules=schedules,
        lessons=tuple(
            clean_lesson(each, problems) for each in sorted(settings.lessons, key=lambda one: (one.room, one.id))
        ),
        private_names=clean_names(settings.private_names, problems, "noms privés", clean_word),
        closed_categories=clean_categories(settings.closed_categories, problems, "contournement"),
    )
    check_references(cleaned, problems)
    check_sizes(cleaned, problems)
    if problems:
        told = list(dict.fromkeys(problems))
        more = f" ; et {len(told) - MOST_PROBLEMS} autres" if len(told) > MOST_PROBLEMS else ""
        raise SettingsInvalid(" ; ".join(told[:MOST_PROBLEMS]) + more)
    return cleaned


def check_references(settings: PolicySettings, problems: list[str]) -> None:
    """Every profile and room that is named must be there, and each name must stand for one thing."""
    slugs = [profile.slug for profile in settings.profiles]
    clients: list[NetworkSettings | LabelSettings] = [*settings.networks, *settings.labels]
    wanted = {settings.default_profile, *(each.profile for each in clients)}
    problems += [f"profil inconnu : {slug}" for slug in sorted(wanted - set(slugs))]
    rooms = {each.room for each in clients}
    problems += [
        f"leçon {each.id} : salle inconnue : {each.room or '(vide)'}"
        for each in settings.lessons
        if not each.room or each.room not in rooms
    ]
    for word, keys in (
        ("profil", slugs),
        ("plage", [schedule.slug for schedule in settings.schedules]),
        ("leçon", [lesson.id for lesson in settings.lessons]),
        ("réseau", [" ".join(filter(None, (each.cidr, each.filter))) for each in settings.networks]),
        ("étiquette", [label.hash for label in settings.labels]),
    ):
        problems += [f"{word} en double : {key}" for key in twice(keys)]


def check_sizes(settings: PolicySettings, problems: list[str]) -> None:
    """A policy is what people decided: what is larger is a mistake, or a list."""
    counted: list[tuple[str, Sized, int]] = [
        ("profils", settings.profiles, MOST_PROFILES),
        ("réseaux", settings.networks, MOST_NETWORKS),
        ("étiquettes", settings.labels, MOST_LABELS),
        ("leçons", settings.lessons, MOST_LESSONS),
    ]
    counted += [(f"noms de la leçon {lesson.id}", lesson.names, MOST_NAMES) for lesson in settings.lessons]
    for profile in settings.profiles:
        counted.append((f"noms du profil {profile.slug}", profile.names, MOST_NAMES))
        counted += [(f"noms de la dérogation {o.id}", o.names, MOST_NAMES) for o in profile.overrides]
    problems += [
        f"trop de {what} : {len(values)} (au plus {most})" for what, values, most in counted if len(values) > most
    ]


def clean_profile(profile: ProfileSettings, schedules: set[str], problems: list[str]) -> ProfileSettings:
    """One profile, its own parts cleaned; ``schedules`` are the slugs that it may name."""
    where = f"profil {profile.slug or '(vide)'}"
    if not profile.slug or not profile.name:
        problems.append(f"{where} : il faut un identifiant et un nom")
    check_texts(where, (profile.slug, profile.name, profile.school), problems)
    categories = tuple(sorted(profile.categories, key=lambda rule: rule.category))
    clean_categories((rule.category for rule in categories), problems, where)
    problems += [f"{where} : catégorie en double : {slug}" for slug in twice([rule.category for rule in categories])]
    for rule in categories:
        if rule.schedule is not None and rule.schedule not in schedules:
            problems.append(f"{where} : plage inconnue : {rule.schedule}")
    problems += [f"{where} : moteur inconnu : {slug}" for slug in sorted(set(profile.safe_search) - set(ENGINES))]
    problems += [f"{where} : dérogation en double : {key}" for key in twice([o.id for o in profile.overrides])]
    return replace(
        profile,
        categories=categories,
        names=clean_rules(profile.names, problems, where),
        safe_search=tuple(sorted(set(profile.safe_search))),
        overrides=tuple(clean_override(o, problems, where) for o in sorted(profile.overrides, key=lambda o: o.id)),
        rewrites=clean_rewrites(profile.rewrites, problems, where),
    )


def clean_rules(rules: Iterable[NameRule], problems: list[str], where: str) -> tuple[NameRule, ...]:
    """Own names that say something; of two that say the same the first stays."""
    cleaned: dict[tuple[str, Verdict], NameRule] = {}
    for rule in rules:
        check_texts(where, (rule.layer, rule.reason), problems)
        name = clean(rule.name, problems, where)
        if name is not None and rule.verdict is not Verdict.NEUTRAL:
            cleaned.setdefault((name, rule.verdict), replace(rule, name=name))
    return tuple(cleaned[key] for key in sorted(cleaned))


def clean_override(override: OverrideSettings, problems: list[str], where: str) -> OverrideSettings:
    where = f"{where}, dérogation {override.id or '(vide)'}"
    check_texts(where, (override.id, override.reason, override.by, override.layer), problems)
    if not override.names and not override.categories:
        problems.append(f"{where} : ni nom ni catégorie")
    if override.names and override.verdict is Verdict.NEUTRAL:
        problems.append(f"{where} : un nom se permet ou se bloque")
    starts, ends = clean_dates(override.starts, override.ends, problems, where)
    return replace(
        override,
        starts=starts,
        ends=ends,
        names=clean_names(override.names, problems, where),
        categories=clean_categories(override.categories, problems, where),
    )


def clean_lesson(lesson: LessonSettings, problems: list[str]) -> LessonSettings:
    where = f"leçon {lesson.id or '(vide)'}"
    check_texts(where, (lesson.id, lesson.room, lesson.title, lesson.by), problems)
    starts, ends = clean_dates(lesson.starts, lesson.ends, problems, where)
    return replace(lesson, starts=starts, ends=ends, names=clean_names(lesson.names, problems, where))


def clean_dates(starts: datetime, ends: datetime, problems: list[str], where: str) -> tuple[datetime, datetime]:
    """Both in UTC."""
    if starts.tzinfo is None or ends.tzinfo is None:
        problems.append(f"{where} : date sans fuseau horaire")
        return starts, ends
    if ends <= starts:
        problems.append(f"{where} : finit avant de commencer")
    if not all(is_of_calendar(each) for each in (starts, ends)):
        problems.append(f"{where} : date hors du calendrier")
        return starts, ends
    return starts.astimezone(UTC), ends.astimezone(UTC)


def clean_schedule(schedule: ScheduleSettings, problems: list[str]) -> ScheduleSettings:
    where = f"plage {schedule.slug or '(vide)'}"
    check_texts(where, (schedule.slug, schedule.name), problems)
    problems += [f"{where} : {text}" for text in problems_of_schedule(schedule)]
    return replace(
        schedule,
        weekly=tuple(sorted(schedule.weekly, key=lambda r: (r.weekdays, r.start, r.end))),
        holidays=tuple(sorted(schedule.holidays, key=lambda p: (p.first, p.last, p.name))),
        exceptions=tuple(sorted(schedule.exceptions, key=lambda e: e.day)),
    )


def clean_networks(networks: Iterable[NetworkSettings], problems: list[str]) -> tuple[NetworkSettings, ...]:
    cleaned = []
    for network in networks:
        try:
            cleaned.append(replace(network, cidr=clean_cidr(network.cidr)))
        except NetworkInvalid as error:
            problems.append(str(error))
        if not FILTER_ID.fullmatch(network.filter):
            problems.append(f"réseau {network.cidr[:80]} : filtre invalide : {network.filter[:80]}")
    return tuple(sorted(cleaned, key=lambda network: (network.cidr, network.filter)))


@lru_cache(maxsize=20_000)
def clean_cidr(text: str) -> str:
    """A network as it is written everywhere; raise NetworkInvalid."""
    return str(parse_network(text))


def clean_labels(labels: Iterable[LabelSettings], problems: list[str]) -> tuple[LabelSettings, ...]:
    ordered = tuple(sorted(labels, key=lambda label: label.hash))
    problems += [f"étiquette invalide : {each.hash}" for each in ordered if not LABEL_HASH.fullmatch(each.hash)]
    return ordered


def clean_rewrites(rewrites: Iterable[RewriteSettings], problems: list[str], where: str) -> tuple[RewriteSettings, ...]:
    """One rewrite for each name, with all its answers."""
    answers: dict[str, list[str]] = {}
    for rewrite in rewrites:
        if (name := clean(rewrite.name, problems, where, clean_pattern)) is not None:
            kept = answers.setdefault(name, [])
            kept += (a for text in rewrite.answers if (a := clean(text, problems, where, clean_answer)) is not None)
    for name, given in answers.items():
        names = {answer for answer in given if is_name(answer)}
        if len(names) > 1 or (names and len(set(given)) > 1) or not given:
            problems.append(f"{where} : {name} mène à un seul nom, ou à des adresses")
    return tuple(RewriteSettings(name, tuple(dict.fromkeys(answers[name]))) for name in sorted(answers))


def clean_word(text: str) -> str:
    """A name that may be a single label: ``lan``, ``imprimante``."""
    try:
        return clean_name(text)
    except NameRefused as refusal:
        if refusal.reason != "bare_label":
            raise
        return text.strip().lower().removesuffix(".").removeprefix("*").removeprefix(".")


def clean_pattern(text: str) -> str:
    """A name, or ``*.`` and a name."""
    wildcard = "*." if text.strip().startswith("*.") else ""
    return wildcard + clean_word(text)


def clean_answer(text: str) -> str:
    """An address, ``A`` or ``AAAA``, or a name."""
    if text.strip().upper() in KEEP_UPSTREAM:
        return text.strip().upper()
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        return clean_pattern(text)


def is_name(answer: str) -> bool:
    """Whether an answer in its clean form is a name: neither an address nor a type that is kept."""
    return answer not in KEEP_UPSTREAM and ":" not in answer and not answer.rpartition(".")[2].isdigit()


def clean(text: str, problems: list[str], where: str, how: Callable[[str], str] = clean_name) -> str | None:
    try:
        return how(text)
    except NameRefused:
        problems.append(f"{where} : nom invalide : {text[:80]}")
        return None


def clean_names(
    names: Iterable[str], problems: list[str], where: str, how: Callable[[str], str] = clean_name
) -> tuple[str, ...]:
    cleaned = (clean(name, problems, where, how) for name in names)
    return tuple(sorted({name for name in cleaned if name is not None}))


def clean_categories(categories: Iterable[str], problems: list[str], where: str) -> tuple[str, ...]:
    ordered = tuple(sorted(set(categories)))
    problems += [f"{where} : catégorie invalide : {slug[:80]}" for slug in ordered if not CATEGORY.fullmatch(slug)]
    return ordered


def check_texts(where: str, texts: Iterable[str], problems: list[str]) -> None:
    problems += [f"{where} : texte de plus de {LONGEST_TEXT} signes" for text in texts if len(text) > LONGEST_TEXT]


def twice(keys: Sequence[T]) -> list[T]:
    """Those that come more than once."""
    seen: set[T] = set()
    return sorted({key for key in keys if key in seen or seen.add(key)}, key=str)  # type: ignore[func-returns-value]

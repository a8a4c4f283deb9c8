"""What people type about filtering, in the form that is kept, or refused with a French sentence. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from filter.deciding.safesearch import ENGINES
from filter.deciding.services import SERVICES
from filter.names import NameRefused, clean_name
from filter.normalising import CATEGORY, clean_answer, clean_pattern
from filter.settings import SERVICE_PREFIX
from fleet.errors import Invalid
from fleet.filtering.policy.layers import (
    BlockModeLine,
    BypassLine,
    CategoryLine,
    EngineLine,
    LayerSettings,
    Line,
    Mark,
    NameLine,
    RewriteLine,
    YouTubeLine,
)

MAX_NAMES = 5000
MAX_REASON = 500
AnyLine = CategoryLine | NameLine | EngineLine | RewriteLine | YouTubeLine | BlockModeLine | BypassLine
A = TypeVar("A", CategoryLine, NameLine, EngineLine, RewriteLine, YouTubeLine, BlockModeLine, BypassLine)


def clean_categories(categories: Iterable[str]) -> list[str]:
    """Sorted, each once; raise Invalid naming those that cannot be a category, and services that nobody knows."""
    wanted = sorted({category.strip() for category in categories})
    wrong = [category for category in wanted if not CATEGORY.fullmatch(category)]
    wrong += [c for c in wanted if c.startswith(SERVICE_PREFIX) and c.removeprefix(SERVICE_PREFIX) not in SERVICES]
    if wrong:
        raise Invalid("filtering.bad_category", f"Catégories inconnues : {', '.join(w[:60] for w in wrong[:10])}.")
    return wanted


def clean_names(names: Iterable[str]) -> list[str]:
    """As the filter compares them, sorted, each once; raise Invalid naming those that are no domain name."""
    cleaned = sorted(set(_cleaned(names, clean_name)))
    if len(cleaned) > MAX_NAMES:
        raise Invalid("filtering.too_many_names", f"Au plus {MAX_NAMES} noms : au-delà, faites-en une liste.")
    return cleaned


def _cleaned(texts: Iterable[str], how: Callable[[str], str]) -> list[str]:
    cleaned, wrong = [], []
    for text in texts:
        try:
            cleaned.append(how(text))
        except NameRefused:
            wrong.append(text)
    if wrong:
        raise Invalid("filtering.bad_name", f"Noms de domaine invalides : {', '.join(w[:80] for w in wrong[:10])}.")
    return cleaned


def clean_host(text: str) -> str:
    """One name; also what a person copies: an address of a page, with its port and path. Raise Invalid."""
    host = text.strip().removeprefix("https://").removeprefix("http://").partition("/")[0].partition(":")[0]
    try:
        return clean_name(host)
    except NameRefused as error:
        raise Invalid("filtering.bad_name", f"« {text[:80]} » n’est pas un nom de domaine.") from error


def clean_text(text: str, what: str, longest: int = MAX_REASON, *, code: str = "filtering.bad_text") -> str:
    """One line without doubled spaces; raise Invalid when it is empty, too long or not printable."""
    cleaned = " ".join(text.split())
    if not cleaned or len(cleaned) > longest or not cleaned.isprintable():
        raise Invalid(code, f"Donnez {what} de 1 à {longest} caractères.")
    return cleaned


def clean_layer(says: LayerSettings, schedules: Iterable[str]) -> LayerSettings:
    """The same with names as the filter compares them, in one order. ``schedules`` are the slugs that lines may name.

    Raise Invalid for bad names and categories, unknown engines, services and schedules, and a thing said twice.
    """
    clean_categories(line.category for line in says.categories)
    clean_names(line.name for line in says.names)
    _known((line.engine for line in says.engines), ENGINES, "Moteurs de recherche inconnus")
    named = {line.schedule for line in says.categories if line.schedule is not None}
    _known(named, schedules, "Plages horaires inconnues")
    return replace(
        says,
        categories=_ordered([replace(line, category=line.category.strip()) for line in says.categories]),
        names=_ordered([replace(line, name=clean_name(line.name)) for line in says.names]),
        engines=_ordered(says.engines),
        rewrites=_ordered([_clean_rewrite(line) for line in says.rewrites]),
    )


def _clean_rewrite(line: RewriteLine) -> RewriteLine:
    [name] = _cleaned([line.name], clean_pattern)
    return replace(line, name=name, answers=tuple(_cleaned(line.answers, clean_answer)))


def _known(wanted: Iterable[str], known: Iterable[str], complaint: str) -> None:
    if unknown := sorted(set(wanted) - set(known)):
        raise Invalid("filtering.unknown_word", f"{complaint} : {', '.join(u[:60] for u in unknown[:10])}.")


def _ordered(lines: Sequence[A]) -> tuple[A, ...]:
    by_key = {line.key: line for line in lines}
    if len(by_key) < len(lines):
        keys = [line.key for line in lines]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise Invalid("filtering.said_twice", f"Dit deux fois : {', '.join(twice[:10])}.")
    return tuple(line for _, line in sorted(by_key.items()))


def mark_layer(says: LayerSettings, before: LayerSettings, by: str, now: datetime) -> LayerSettings:
    """The same with who wrote each line: the one before where it says the same, else ``by``, ``now``."""
    return LayerSettings(
        categories=tuple(_marked(line, _by_key(before.categories), by, now) for line in says.categories),
        names=tuple(_marked(line, _by_key(before.names), by, now) for line in says.names),
        engines=tuple(_marked(line, _by_key(before.engines), by, now) for line in says.engines),
        rewrites=tuple(_marked(line, _by_key(before.rewrites), by, now) for line in says.rewrites),
        youtube=says.youtube and _marked(says.youtube, _by_key((before.youtube,)), by, now),
        block_mode=says.block_mode and _marked(says.block_mode, _by_key((before.block_mode,)), by, now),
        bypass=says.bypass and _marked(says.bypass, _by_key((before.bypass,)), by, now),
    )


def _by_key(lines: Sequence[A | None]) -> dict[str, A]:
    return {line.key: line for line in lines if line is not None}


def _marked(line: A, before: Mapping[str, A], by: str, now: datetime) -> A:
    earlier = before.get(line.key)
    fresh = replace(line, mark=Mark(line.mark.locked, by, now))
    if earlier is None:
        return fresh
    same = replace(earlier, mark=fresh.mark) == fresh and earlier.mark.locked == line.mark.locked
    return earlier if same else fresh


def lines_of(says: LayerSettings) -> list[tuple[str, Line]]:
    """Every line with the part it stands in."""
    parts: list[tuple[str, Sequence[Line | None]]] = [
        ("categories", says.categories),
        ("names", says.names),
        ("engines", says.engines),
        ("rewrites", says.rewrites),
        ("youtube", (says.youtube,)),
        ("block_mode", (says.block_mode,)),
        ("bypass", (says.bypass,)),
    ]
    return [(part, line) for part, lines in parts for line in lines if line is not None]

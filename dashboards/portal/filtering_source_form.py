"""The form of a source of lists: what people type of one, read and shown again."""

import re
from collections.abc import Callable

from fastapi import Request
from fastapi.responses import Response

from dashboards.portal import refusals
from dashboards.portal.categories import all_choices
from dashboards.portal.forms import Reader
from dashboards.portal.rendering import render
from fleet.errors import FleetError
from fleet.filtering.lists.catalogue import FORMAT_TITLES
from fleet.filtering.lists.terms import SLUG, Changes, Terms
from fleet.filtering.models import FilterSource

UT1_CHOICE = "ut1"
PAIR = re.compile(r"(\S+)\s*=\s*(\S*)")
NUMBERS = {
    "every_hours": (1, 744),
    "shrink_percent": (0, 100),
    "growth_percent": (100, 1_000_000),
    "popular_limit": (0, 1_000_000),
}
FIELDS = {
    "filtering.bad_slug": "slug",
    "filtering.source_taken": "slug",
    "filtering.bad_source_title": "title",
    "filtering.url_missing": "url",
    "filtering.bad_url": "url",
    "filtering.bad_category": "category",
    "filtering.category_missing": "category",
    "filtering.bad_hours": "quiet_from",
    "filtering.bad_interval": "every_hours",
}
"""Which field a refusal is about."""
Typed = Callable[[str], str]


def read_slug(reader: Reader) -> str:
    """The identifier of a new source, or a problem noted."""
    slug = reader.text("slug", maximum=40, missing="Donnez un identifiant.")
    if slug and not SLUG.fullmatch(slug):
        reader.problems["slug"] = "Lettres minuscules sans accent, chiffres, - et _ seulement."
    return slug


def read_changes(reader: Reader, *, is_local: bool = False) -> Changes:
    """The fields of Terms; problems are noted in the reader. A local folder has no address and no hours."""
    changes: Changes = {
        "title": reader.text("title", maximum=120, missing="Donnez un nom."),
        "categories": read_categories(reader),
        "licence": reader.text("licence", maximum=200),
    }
    if is_local:
        return changes
    changes |= {
        "every_hours": read_number(reader, "every_hours"),
        "shrink_percent": read_number(reader, "shrink_percent"),
        "growth_percent": read_number(reader, "growth_percent"),
        "popular_limit": read_number(reader, "popular_limit"),
        "url": reader.text("url", maximum=2000, missing="Donnez l’adresse de la liste."),
        "format": reader.text("format", maximum=64),
        "category": reader.text("category", maximum=64),
        "checksum_url": reader.text("checksum_url", maximum=2000) or None,
        "is_internal": reader.raw("is_internal") == "yes",
        "quiet_from": read_hour(reader, "quiet_from"),
        "quiet_until": read_hour(reader, "quiet_until"),
    }
    if changes["format"] != UT1_CHOICE and not changes["category"]:
        reader.problems["category"] = "Dites de quelle catégorie sont les noms de cette liste."
    return changes


def read_number(reader: Reader, name: str) -> int:
    low, high = NUMBERS[name]
    return reader.integer(name, minimum=low, maximum=high)


def read_hour(reader: Reader, name: str) -> int | None:
    """An hour of UTC; nothing typed: None."""
    return reader.integer(name, minimum=0, maximum=24) if reader.raw(name) else None


def read_categories(reader: Reader) -> dict[str, str]:
    """``dossier = catégorie``, one a line; nothing behind the sign leaves the folder out."""
    found = {}
    for line in reader.lines("categories", maximum=40_000):
        pair = PAIR.fullmatch(line)
        if pair is None:
            reader.problems["categories"] = f"« {line[:60]} » : écrivez « dossier = catégorie »."
        else:
            found[pair[1]] = pair[2]
    return found


def as_typed(terms: Terms, slug: str) -> Typed:
    """What the fields hold when nobody typed anything yet."""
    values: dict[str, object] = {name: getattr(terms, name) for name in Terms.__slots__}
    values |= {
        "slug": slug,
        "is_internal": "yes" if terms.is_internal else "",
        "categories": "\n".join(f"{folder} = {category}" for folder, category in terms.categories.items()),
    }
    return lambda name: "" if values.get(name) is None else str(values[name])


def blank() -> Typed:
    """The fields of a new source."""
    return as_typed(Terms(title=""), "")


def show_form(
    request: Request, source: FilterSource | None, typed: Typed | Reader, refused: FleetError | None = None
) -> Response:
    """The page, with what was typed when it comes back refused. ``source`` None: a new one."""
    read = typed.raw if isinstance(typed, Reader) else typed
    return render(
        request,
        "filtering_source_form.html",
        refused.status if refused else 200,
        source=source,
        read=read,
        formats=list(FORMAT_TITLES.items()),
        categories=all_choices(),
        offers_ut1=source is None and read("format") != UT1_CHOICE,
        **refusals.explained(refused, FIELDS),
    )

"""What a person says of a source of lists, checked and tidied."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TypedDict
from urllib.parse import urlsplit

from filter.lists.formats import FORMATS
from fleet.errors import Invalid
from fleet.filtering.lists.inspecting import UT1
from fleet.filtering.lists.reaching import Forbidden, check_url, is_inside
from fleet.filtering.models import FilterSource

SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
CATEGORY = re.compile(r"[a-z0-9][a-z0-9_:-]{0,63}")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person says of a source; what they do not say keeps its default."""

    title: str
    url: str | None = None
    format: str = ""
    """A key of filter.lists.formats.FORMATS, "ut1" for a tarball of the UT1 lists, "" for what the content shows."""
    category: str = ""
    """Of a source of one list."""
    categories: Mapping[str, str] = field(default_factory=dict)
    """Of a tree: folder -> category; "" leaves the folder out, one that is not named keeps its name."""
    licence: str = ""
    is_internal: bool = False
    """It lives on a private network: its addresses, and those it redirects to, may be private."""
    checksum_url: str | None = None
    """MD5 sums as md5sum writes them."""
    quiet_from: int | None = None
    quiet_until: int | None = None
    """Hours of UTC between which its server is left alone."""
    every_hours: int = 24
    shrink_percent: int = 50
    growth_percent: int = 200
    popular_limit: int = 3
    is_enabled: bool = True


class Changes(TypedDict, total=False):
    """Fields of Terms that a person changes; the others stay."""

    title: str
    url: str | None
    format: str
    category: str
    categories: Mapping[str, str]
    licence: str
    is_internal: bool
    checksum_url: str | None
    quiet_from: int | None
    quiet_until: int | None
    every_hours: int
    shrink_percent: int
    growth_percent: int
    popular_limit: int
    is_enabled: bool


UT1_TERMS = Terms(
    title="Listes de l’Université Toulouse Capitole",
    url="https://dsi.ut-capitole.fr/blacklists/download/all.tar.gz",
    format=UT1,
    licence="CC BY-SA 4.0",
    checksum_url="https://dsi.ut-capitole.fr/blacklists/download/MD5SUM.LST",
    quiet_from=8,
    quiet_until=19,
)
"""Ready to add: its authors ask to be left alone from 8 to 19 h GMT."""


def terms_of(source: FilterSource) -> Terms:
    """What people said of a source so far."""
    return Terms(**{f.name: getattr(source, f.name) for f in fields(Terms)})


def check_terms(terms: Terms) -> Terms:
    """The terms, tidied; raise Invalid with what is wrong with them."""
    title = " ".join(terms.title.split())
    if not title or len(title) > 120 or not title.isprintable():
        raise Invalid("filtering.bad_source_title", "Donnez à la source un nom de 1 à 120 caractères.")
    if terms.format not in {"", UT1, *FORMATS}:
        raise Invalid(
            "filtering.bad_format", f"Format inconnu. Formats possibles : {', '.join((UT1, *sorted(FORMATS)))}."
        )
    if terms.url is not None and terms.format != UT1 and not terms.category:
        raise Invalid("filtering.category_missing", "Dites de quelle catégorie sont les noms de cette liste.")
    named = [terms.category, *terms.categories.values()]
    if wrong := [category for category in named if category and not CATEGORY.fullmatch(category)]:
        told = ", ".join(w[:60] for w in wrong[:10])
        text = f"Catégories invalides : {told}. Minuscules sans accent, chiffres, - et _ seulement, sans espace."
        raise Invalid("filtering.bad_category", text)
    check_numbers(terms)
    url = check_address(terms.url, is_internal=terms.is_internal)
    checksum_url = check_address(terms.checksum_url, is_internal=terms.is_internal)
    return replace(terms, title=title, url=url, checksum_url=checksum_url, categories=dict(terms.categories))


def check_numbers(terms: Terms) -> None:
    """Raise Invalid for hours and bounds that cannot be."""
    hours = (terms.quiet_from, terms.quiet_until)
    if (None in hours and hours != (None, None)) or any(h is not None and not 0 <= h <= 24 for h in hours):
        raise Invalid("filtering.bad_hours", "Les heures de repos vont d’une heure à une autre, de 0 à 24 (UTC).")
    if not 1 <= terms.every_hours <= 24 * 31:
        raise Invalid("filtering.bad_interval", "Une source est relue toutes les 1 à 744 heures.")
    if not 0 <= terms.shrink_percent <= 100 <= terms.growth_percent <= 1_000_000 or terms.popular_limit < 0:
        raise Invalid("filtering.bad_bounds", "Les bornes encadrent 100 % : par exemple 50 et 200.")


def check_address(url: str | None, *, is_internal: bool) -> str | None:
    """The URL; raise Invalid for what may not be fetched. Names are looked up when they are fetched, not here."""
    if url is None:
        return None
    try:
        url = check_url(url)
        host = urlsplit(url).hostname or ""
        if not is_internal and is_address(host) and is_inside(host):
            raise Forbidden(f"{host} est une adresse interne : dites que la source est sur un réseau interne")
    except Forbidden as error:
        raise Invalid("filtering.bad_url", f"Adresse refusée : {error}.") from error
    return url


def is_address(host: str) -> bool:
    """Whether a host is written as an address."""
    return ":" in host or host.replace(".", "").isdecimal()

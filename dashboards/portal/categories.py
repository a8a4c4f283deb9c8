"""The categories of the UT1 lists, as a school reads them: under which heading they stand, and their title."""

from collections.abc import Iterable
from dataclasses import dataclass

from filter.lists.titles import TITLES
from fleet.filtering.lists.catalogue import service_groups
from fleet.filtering.service import SERVICE_TITLES

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Protection des élèves",
        (
            "adult",
            "mixed_adult",
            "lingerie",
            "agressif",
            "dating",
            "drogue",
            "gambling",
            "arjel",
            "dangerous_material",
            "sect",
            "stalkerware",
        ),
    ),
    (
        "Sécurité",
        (
            "malware",
            "phishing",
            "cryptojacking",
            "ddos",
            "dialer",
            "hacking",
            "warez",
            "dynamic-dns",
            "reaffected",
        ),
    ),
    (
        "Contournement du filtre",
        (
            "vpn",
            "doh",
            "redirector",
            "strict_redirector",
            "strong_redirector",
            "residential-proxies",
            "remote-control",
            "shortener",
        ),
    ),
    (
        "Examens et travail scolaire",
        (
            "tricheur",
            "tricheur_pix",
            "examen_pix",
            "ai",
            "translation",
            "fakenews",
        ),
    ),
    (
        "Loisirs et réseaux",
        (
            "social_networks",
            "chat",
            "forums",
            "blog",
            "games",
            "audio-video",
            "radio",
            "manga",
            "celebrity",
            "sports",
            "astrology",
            "cooking",
        ),
    ),
    (
        "Commerce et services",
        (
            "publicite",
            "marketingware",
            "shopping",
            "bank",
            "financial",
            "bitcoin",
            "jobsearch",
            "mobile-phone",
            "webmail",
            "filehosting",
            "webhosting",
            "download",
            "press",
            "associations_religieuses",
        ),
    ),
    (
        "Listes d’autorisation",
        (
            "liste_blanche",
            "liste_bu",
            "exceptions_liste_bu",
            "child",
            "educational_games",
            "sexual_education",
            "cleaning",
            "update",
            "special",
        ),
    ),
)
"""Heading -> slugs."""


@dataclass(frozen=True, slots=True)
class Group:
    """A heading and the categories under it."""

    title: str
    entries: tuple[tuple[str, str], ...]


def label(slug: str) -> str:
    """What people read; a category that nobody translated is shown as it is."""
    return TITLES.get(slug) or SERVICE_TITLES.get(slug, slug)


def groups(known: Iterable[str]) -> list[Group]:
    """Every category, with those that only the lists know under a heading of their own: none is hidden."""
    placed = {slug for _, slugs in GROUPS for slug in slugs}
    others = tuple(sorted(set(known) - placed - set(SERVICE_TITLES)))
    headings = (*GROUPS, ("Autres", others))
    return [Group(title, tuple((slug, label(slug)) for slug in slugs)) for title, slugs in headings if slugs]


def services() -> list[Group]:
    """Every service of the catalogue, under its headings."""
    return [
        Group(title, tuple((category, label(category)) for category in categories))
        for title, categories in service_groups().items()
    ]


def all_choices() -> list[tuple[str, str]]:
    """Every category that has a French title, without the services, by title: slug, title."""
    return sorted(TITLES.items(), key=lambda pair: pair[1])

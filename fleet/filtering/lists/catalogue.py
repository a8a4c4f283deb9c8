"""What people call the things that filtering knows: services by group, search engines, formats, lines left out."""

from collections.abc import Mapping

from filter.deciding.safesearch import ENGINES
from filter.deciding.services import SERVICES
from filter.lists.source import REASONS
from fleet.filtering.lists.inspecting import UT1


def service_groups() -> dict[str, tuple[str, ...]]:
    """Group of the catalogue -> categories of its services, in its order."""
    groups: dict[str, list[str]] = {}
    for service in SERVICES.values():
        groups.setdefault(service.group, []).append(service.category)
    return {title: tuple(categories) for title, categories in groups.items()}


ENGINE_TITLES: Mapping[str, str] = {slug: engine.title for slug, engine in ENGINES.items()}
FORMAT_TITLES: Mapping[str, str] = {
    "": "Reconnu d’après le contenu",
    UT1: "Archive des listes UT1 (.tar.gz)",
    "domains": "Un nom par ligne",
    "hosts": "Fichier hosts",
    "adblock": "Règles Adblock",
    "wildcards": "Noms avec *.",
    "dnsmasq": "Configuration dnsmasq",
    "rpz": "Zone RPZ",
    "addresses": "Adresses et réseaux IP",
}
SKIPPED_TITLES: Mapping[str, str] = REASONS
"""Why a line of a list was left out -> how to say it."""

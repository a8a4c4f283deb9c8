"""What a device's page shows, composed from the features that know it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request
from fastapi.responses import Response

from agent.protocol import Bookmark, Shortcut
from dashboards.portal.rendering import render
from dashboards.portal.words import size
from fleet.config import FleetConfig
from fleet.configuration import service as configuration
from fleet.configuration.layers import Explained
from fleet.configuration.states import state_of
from fleet.db import DbSession
from fleet.devices import service as devices
from fleet.devices.models import MOVES, Device, DeviceStatus, Platform
from fleet.errors import FleetError
from fleet.paging import Page
from fleet.platforms import service as platforms
from fleet.scope import Action, Viewer
from fleet.tickets import service as tickets

PROFILE_PLATFORMS = frozenset({Platform.IPADOS, Platform.ANDROID})
GRAVE = frozenset({DeviceStatus.RETIRED, DeviceStatus.LOST})
FACTS = (
    ("Nom d’hôte", "hostname"),
    ("Système", "os_name"),
    ("Version", "os_version"),
    ("Architecture", "architecture"),
)
SIZES = (("Mémoire", "memory_bytes"), ("Disque", "disk_bytes"), ("Disque libre", "disk_free_bytes"))
PATHS = {
    "browser.managed": "Navigateurs gérés",
    "browser.home_page": "Page d’accueil",
    "browser.doh": "DNS chiffré dans le navigateur",
    "dns.managed": "DNS du système géré",
    "dns.servers": "Serveurs DNS",
    "dns.search": "Domaines de recherche",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One value of the desired state, and who set it."""

    name: str
    value: str
    layer: str
    overrides: tuple[str, ...]


def show(
    request: Request,
    session: DbSession,
    viewer: Viewer,
    device: Device,
    now: datetime,
    *,
    refused: FleetError | None = None,
    problems: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    """The page of one device; ``refused`` and ``typed`` come back from a form that a rule turned down."""
    outcomes = configuration.list_outcomes(session, device.id)
    owner = (device.school.collectivity_id if device.school else None, device.school_id)
    config: FleetConfig = request.app.state.config
    explained = configuration.explain(session, config, school_id=device.school_id, device=device)
    return render(
        request,
        "device.html",
        refused.status if refused else 200,
        device=device,
        state=state_of(device, outcomes, now),
        outcomes=outcomes,
        wanted=wanted_by_resource(explained),
        facts=facts_of(device),
        events=devices.list_events(session, viewer, device),
        tickets=tickets.list_tickets(session, viewer, device_id=device.id, page=Page(size=20)),
        may_manage=viewer.may(Action.MANAGE_DEVICE, *owner),
        may_open=viewer.may(Action.OPEN_TICKET, *owner),
        moves=sorted(MOVES[device.status], key=lambda status: (status in GRAVE, list(DeviceStatus).index(status))),
        grave=GRAVE,
        android_problem=platforms.android_problem(config),
        hands_profile=device.platform in PROFILE_PLATFORMS,
        refused=refused.detail if refused else None,
        problems=problems or {},
        typed=typed,
    )


def wanted_by_resource(explained: Iterable[Explained]) -> dict[str, list[Wanted]]:
    """Values grouped by resource, in the order of the state."""
    grouped: dict[str, list[Wanted]] = {}
    for each in explained:
        grouped.setdefault(each.path.partition(".")[0], []).append(wanted(each))
    return grouped


def wanted(each: Explained) -> Wanted:
    """One line for people."""
    value = each.value
    name = PATHS.get(each.path, each.path.partition(".")[2])
    if isinstance(value, Shortcut | Bookmark):
        name, text = value.title, value.url
    elif isinstance(value, bool):
        text = "oui" if value else "non"
    elif isinstance(value, tuple):
        text = ", ".join(value) or "ceux du réseau"
    else:
        text = str(value) if value else ("retiré" if value is None else "aucune")
    return Wanted(name, text, each.label, each.overrides)


def facts_of(device: Device) -> list[tuple[str, str]]:
    """What the device said of itself, in French; what it did not say is left out."""
    facts = device.facts
    told = [(label, str(facts[key])) for label, key in FACTS if facts.get(key)]
    told += [(label, size(int(facts[key]))) for label, key in SIZES if facts.get(key)]
    if facts.get("battery_percent") is not None:
        told.append(("Batterie", f"{facts['battery_percent']} %"))
    if facts.get("browsers"):
        told.append(("Navigateurs", ", ".join(facts["browsers"])))
    if facts.get("addresses"):
        told.append(("Adresses", ", ".join(facts["addresses"])))
    return told

"""The menu: what each person can open, in the order of the day's work."""

from dataclasses import dataclass

from dashboards.portal.person import landing
from fleet.scope import Action, Viewer


@dataclass(frozen=True, slots=True)
class Entry:
    text: str
    path: str
    icon: str


def menu(viewer: Viewer) -> list[Entry]:
    """The entries that this person's pages stand behind; rights are checked by each page, not here."""
    home = landing(viewer)
    entries = [Entry("Tableau de bord", "/", "activity")] if viewer.sees_all else []
    if home.startswith("/collectivities/"):
        entries.append(Entry("Ma collectivité", home, "house-door"))
    if home.startswith("/schools/"):
        entries.append(Entry("Mon école", home, "building"))
    else:
        entries.append(Entry("Écoles", "/schools", "building"))
    entries.append(Entry("Parc", "/devices", "display"))
    if viewer.may_somewhere(Action.ISSUE_TOKEN):
        entries.append(Entry("Enrôlement", "/enrollment", "qr-code"))
    entries.append(Entry("Tickets", "/tickets", "ticket-detailed"))
    if viewer.sees_all:
        entries.append(Entry("Collectivités", "/collectivities", "buildings"))
        entries.append(Entry("Filtrage", "/filtering", "shield-check"))
    return entries


def current(entries: list[Entry], path: str) -> str | None:
    """The path of the entry that a page belongs to: the longest that starts its address."""
    matching = [e.path for e in entries if path == e.path or (e.path != "/" and path.startswith(f"{e.path}/"))]
    return max(matching, key=len, default=None)

"""The menu: what each person can open, in the order of the day's work."""

from dataclasses import dataclass

from dashboards.portal.person import landing
from fleet.scope import Action, Viewer


@dataclass(frozen=True, slots=True)
class Entry:
    text: str
    path: str
    icon: str
    under: str = ""
    """The pages of the entry begin with this; nothing: with its path."""
    also: str = ""
    """So do others of it."""

    @property
    def root(self) -> str:
        return self.under or self.path


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
        entries.append(Entry("Accès", "/grants", "key"))
        entries.append(Entry("Filtrage", "/filtering", "shield-check"))
        entries.append(Entry("Travaux", "/jobs", "arrow-repeat", also="/imports"))
    elif viewer.may_somewhere(Action.RUN_LESSON):
        entries.append(Entry("Leçons et filtrage", "/filtering/lessons", "shield-check", under="/filtering"))
    else:
        entries.append(Entry("Filtrage", "/filtering/requests", "shield-check", under="/filtering"))
    if viewer.may_somewhere(Action.READ_AUDIT):
        entries.append(Entry("Journal", "/journal", "journal-text"))
    if viewer.may_somewhere(Action.MANAGE_ACCOUNT):
        entries.append(Entry("Comptes", "/accounts", "person-check"))
    return entries


OPERATORS_TABS = (
    Entry("Vue d’ensemble", "/filtering", "activity"),
    Entry("Profils", "/filtering/profiles", "filter"),
    Entry("Listes", "/filtering/sources", "list"),
    Entry("Publications", "/filtering/publications", "send", also="/filtering/previews"),
    Entry("Pourquoi ?", "/filtering/why", "question-circle"),
)
EVERYBODYS_TABS = (
    Entry("Dérogations", "/filtering/overrides", "key"),
    Entry("Demandes", "/filtering/requests", "inbox"),
    Entry("Leçons", "/filtering/lessons", "mortarboard"),
    Entry("Salles", "/filtering/rooms", "building"),
)
HISTORY_TAB = Entry("Historique", "/filtering/history", "clock-history")


def filtering_tabs(viewer: Viewer) -> list[Entry]:
    """The pages of filtering that this person can open."""
    if viewer.sees_all:
        return [*OPERATORS_TABS, *EVERYBODYS_TABS, HISTORY_TAB]
    if viewer.may_somewhere(Action.RUN_LESSON):  # what they come for every day stands first
        return [*EVERYBODYS_TABS[2:], *EVERYBODYS_TABS[1::-1], HISTORY_TAB]
    return [*EVERYBODYS_TABS, HISTORY_TAB]


def current(entries: list[Entry], path: str) -> str | None:
    """The path of the entry that a page belongs to: the longest that starts its address."""
    begins = [(root, entry) for entry in entries for root in (entry.root, entry.also) if root]
    matching = [(len(r), e.path) for r, e in begins if path == r or (r != "/" and path.startswith(f"{r}/"))]
    return max(matching)[1] if matching else None


ACCOUNT_TABS = [
    Entry("Mon compte", "/account", "person-check"),
    Entry("Second facteur", "/account/second-factor", "phone"),
    Entry("Jetons", "/account/tokens", "key"),
]
"""The pages that everybody has about their own account."""

"""How the portal says things in French: labels with their tone and icon, dates on Paris clocks, numbers."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from fleet.devices import labels
from fleet.tickets.models import TicketKind, TicketStatus, TicketSubject

PARIS = ZoneInfo("Europe/Paris")
MONTHS = ("janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc.")
NB = "\u00a0"
"""Holds a number and its unit on one line."""


@dataclass(frozen=True, slots=True)
class Word:
    """A value as people read it. ``tone`` colours the chip; the icon and the text carry the meaning without it."""

    text: str
    icon: str
    tone: str = "neutral"  # neutral, info, good, warn, bad


KIND_ICONS = {
    "display": "display",
    "tablet": "tablet",
    "laptop": "laptop",
    "desktop": "pc-display",
    "gateway": "router",
    "video_kit": "camera-video",
    "robot_kit": "robot",
    "accessory": "puzzle",
}
STATUS_LOOKS = {
    "in_stock": ("box-seam", "neutral"),
    "staged": ("hourglass-split", "info"),
    "active": ("check-circle", "good"),
    "failed": ("x-circle", "bad"),
    "lost": ("question-circle", "warn"),
    "retired": ("archive", "neutral"),
}
TICKET_LOOKS = {
    "new": ("inbox", "warn"),
    "assigned": ("person-check", "info"),
    "planned": ("calendar-event", "info"),
    "pending": ("hourglass-split", "neutral"),
    "solved": ("check-circle", "good"),
    "closed": ("archive", "neutral"),
}
DEVICE_KIND = {kind.value: Word(text, KIND_ICONS[kind]) for kind, text in labels.KINDS.items()}
PLATFORM = {
    platform.value: Word(text, "puzzle" if platform == "none" else "pc-display")
    for platform, text in labels.PLATFORMS.items()
}
DEVICE_STATUS = {status.value: Word(text, *STATUS_LOOKS[status]) for status, text in labels.STATUSES.items()}
STATE = {
    "conform": Word("Conforme", "check-circle", "good"),
    "applying": Word("Application en cours", "arrow-repeat", "info"),
    "drifted-repaired": Word("Réparé après dérive", "tools", "info"),
    "failed": Word("Échec", "x-circle", "bad"),
    "silent": Word("Silencieux", "wifi-off", "warn"),
    "profile_issued": Word("Profil émis", "file-earmark-arrow-down", "info"),
    "not_managed": Word("Suivi seulement", "eye-slash"),
}
OUTCOME = {
    "unchanged": Word("Conforme", "check-circle", "good"),
    "applied": Word("Appliqué", "check-circle", "good"),
    "repaired": Word("Réparé", "tools", "info"),
    "failed": Word("Échec", "x-circle", "bad"),
    "unsupported": Word("Non pris en charge", "slash-circle"),
}
ENT_PRODUCT = {
    "one": Word("ONE", "check-circle", "good"),
    "neo": Word("NEO", "check-circle", "good"),
    "beneylu": Word("Beneylu", "check-circle", "good"),
    "other": Word("Autre ENT", "check-circle", "good"),
}
RESOURCE = {
    "shortcuts": Word("Raccourcis ENT", "mortarboard"),
    "browser": Word("Navigateurs", "display"),
    "dns": Word("Résolution DNS", "shield-check"),
}
TICKET_STATUS = {status.value: Word(status.label, *TICKET_LOOKS[status]) for status in TicketStatus}
TICKET_KIND = {
    kind.value: Word(kind.label, "exclamation-triangle" if kind is TicketKind.INCIDENT else "chat-left-text")
    for kind in TicketKind
}
SUBJECT_ICONS = {"device": "display", "school": "building", "ent": "mortarboard"}
TICKET_SUBJECT = {subject.value: Word(subject.label, SUBJECT_ICONS[subject]) for subject in TicketSubject}
COLLECTIVITY_KIND = {
    "commune": Word("Commune", "house-door"),
    "epci": Word("Intercommunalité", "buildings"),
    "syndicat": Word("Syndicat scolaire", "buildings"),
    "department": Word("Département", "building"),
    "region": Word("Région", "building"),
}
SCHOOL_LEVEL = {
    "primary": Word("École", "building"),
    "middle": Word("Collège", "building"),
    "high": Word("Lycée", "building"),
}
ROLE = {
    "admin": Word("Administrateur", "key"),
    "technician": Word("Technicien", "tools"),
    "officer": Word("Agent de collectivité", "building"),
    "school_lead": Word("Référent d’école", "mortarboard"),
    "auditor": Word("Auditeur", "eye-slash"),
}
JOB_STATE = {
    "queued": Word("En attente", "hourglass-split", "info"),
    "running": Word("En cours", "arrow-repeat", "info"),
    "done": Word("Terminé", "check-circle", "good"),
    "failed": Word("Échoué", "x-circle", "bad"),
    "cancelled": Word("Annulé", "slash-circle"),
}
PUBLICATION = {
    "requested": Word("Demandée", "hourglass-split", "info"),
    "compiling": Word("Compilation en cours", "arrow-repeat", "info"),
    "published": Word("Publiée", "check-circle", "good"),
    "unchanged": Word("Sans changement", "check-circle"),
    "failed": Word("Échec", "x-circle", "bad"),
    "retired": Word("Ancien format", "clock-history"),
}
VERDICT = {
    "allowed": "autorisé",
    "blocked": "bloqué",
    "nxdomain": "déclaré inexistant",
    "nodata": "laissé sans réponse",
    "loopback": "renvoyé à la machine qui demande",
    "minimal": "répondu au strict minimum",
    "refused": "refusé",
    "dropped": "laissé sans aucune réponse",
    "truncated": "renvoyé vers TCP",
    "rewritten": "mené ailleurs",
}
RULE = {
    "default": "Aucune règle ni aucune liste de ce profil ne le vise",
    "any": "Les questions de type ANY reçoivent la plus petite réponse",
    "special_name": "C’est un nom spécial, que personne ne peut rouvrir",
    "canary": "C’est un nom par lequel les logiciels demandent s’ils peuvent contourner le filtre",
    "bypass": "C’est un moyen de contourner le filtre",
    "lesson": "Une leçon est en cours : elle n’ouvre que ses propres sites",
    "override": "Une dérogation le dit",
    "own_allow": "Le profil l’autorise à la main",
    "own_deny": "Le profil le bloque à la main",
    "rewrite": "Le profil lui donne une réponse à la main",
    "safe_search": "La recherche sûre est imposée",
    "address_deny": "La réponse menait à une adresse bloquée",
    "category": "Une liste de catégorie le vise",
    "category_deny": "Une catégorie bloquée le contient",
    "category_allow": "Une catégorie autorisée le contient",
    "rebinding": "La réponse menait à une adresse privée",
}
UNBLOCK = {
    "asked": Word("À traiter", "inbox", "warn"),
    "allowed": Word("Acceptée", "check-circle", "good"),
    "declined": Word("Refusée", "slash-circle"),
}
OVERRIDE = {
    "coming": Word("À venir", "calendar-event", "info"),
    "running": Word("En cours", "play-fill", "good"),
    "ended": Word("Finie", "archive"),
    "revoked": Word("Levée", "archive"),
}
OVERRIDE_VERDICT = {
    "allow": Word("Autorise", "check-circle", "good"),
    "block": Word("Bloque", "slash-circle", "bad"),
}
LESSON = {
    "running": Word("En cours", "play-fill", "good"),
    "ended": Word("Finie", "archive"),
    "stopped": Word("Arrêtée", "archive"),
}
WORDS = {
    "device_kind": DEVICE_KIND,
    "platform": PLATFORM,
    "device_status": DEVICE_STATUS,
    "state": STATE,
    "outcome": OUTCOME,
    "resource": RESOURCE,
    "ent_product": ENT_PRODUCT,
    "ticket_status": TICKET_STATUS,
    "ticket_kind": TICKET_KIND,
    "ticket_subject": TICKET_SUBJECT,
    "collectivity_kind": COLLECTIVITY_KIND,
    "school_level": SCHOOL_LEVEL,
    "role": ROLE,
    "job_state": JOB_STATE,
    "publication": PUBLICATION,
    "unblock": UNBLOCK,
    "override": OVERRIDE,
    "override_verdict": OVERRIDE_VERDICT,
    "lesson": LESSON,
}
EVENT_ICONS = {
    "enrolled": "qr-code",
    "enrolled_again": "qr-code",
    "adopted": "arrow-repeat",
    "moved": "arrow-left-right",
    "arrived": "arrow-left-right",
    "edited": "pencil",
    "configured": "pencil",
    "repaired": "tools",
    "ready": "check-circle",
    "failed": "x-circle",
    "silent": "wifi-off",
    "back": "check-circle",
    "profile_issued": "file-earmark-arrow-down",
    "enrollment_refused": "slash-circle",
    "credential_refused": "shield-exclamation",
}
DEVICE_EVENT = {kind: Word(text, EVENT_ICONS.get(kind, "journal-text")) for kind, text in labels.EVENTS.items()}
WORDS["device_event"] = DEVICE_EVENT


RESOURCE_NAMES = re.compile(rf"\b({'|'.join(RESOURCE)})\b")


def word(family: str, value: StrEnum | str) -> Word:
    """The French of one value; an unknown one is shown as it is, never hidden."""
    return WORDS[family].get(str(value), Word(str(value), "question-circle"))


def name_resources(told: str) -> str:
    """A sentence of the controller with its resources named as people know them."""
    return RESOURCE_NAMES.sub(lambda found: RESOURCE[found.group()].text, told)


def day(moment: datetime) -> str:
    """``24 nov. 2026``, in Paris."""
    local = moment.astimezone(PARIS)
    return f"{'1er' if local.day == 1 else local.day}{NB}{MONTHS[local.month - 1]}{NB}{local.year}"


def moment(at: datetime) -> str:
    """``24 nov. 2026 à 12 h 00``, in Paris."""
    return f"{day(at)} à {clock(at)}"


def clock(at: datetime) -> str:
    """``12 h 05``, in Paris."""
    local = at.astimezone(PARIS)
    return f"{local.hour}{NB}h{NB}{local.minute:02d}"


def in_paris(at: datetime | None) -> str:
    """``24/11/2026 12:00``, what a French spreadsheet reads as a date."""
    return at.astimezone(PARIS).strftime("%d/%m/%Y %H:%M") if at else ""


def typed(at: datetime) -> str:
    """What a datetime-local field holds of a moment: ``2026-11-24T12:00``, in Paris."""
    return at.astimezone(PARIS).strftime("%Y-%m-%dT%H:%M")


def evening(at: datetime) -> datetime:
    """Six o’clock of that day, in Paris: when the last school closes."""
    return at.astimezone(PARIS).replace(hour=18, minute=0, second=0, microsecond=0)


def lasting(duration: timedelta) -> str:
    """``25 min``, ``3 h 05``."""
    hours, minutes = divmod(max(0, int(duration.total_seconds() // 60)), 60)
    return f"{hours}{NB}h{NB}{minutes:02d}" if hours else f"{minutes}{NB}min"


def ago(at: datetime, now: datetime) -> str:
    """``il y a 5 min``; further than a month, the date."""
    seconds = (now - at).total_seconds()
    if seconds < 60:
        return "à l’instant" if seconds > -60 else moment(at)
    if seconds < 3600:
        return f"il{NB}y{NB}a{NB}{int(seconds // 60)}{NB}min"
    if seconds < 86400:
        return f"il{NB}y{NB}a{NB}{int(seconds // 3600)}{NB}h"
    days = int(seconds // 86400)
    return f"il{NB}y{NB}a{NB}{days}{NB}jour{'s' if days > 1 else ''}" if days <= 31 else f"le {day(at)}"


def number(value: float) -> str:
    """``49 164``, with the narrow space of French typography."""
    return f"{value:,}".replace(",", "\u202f").replace(".", ",")


def size(count: int | None) -> str:
    """``16 Go``; bytes in decimal units, as disks and memories are sold."""
    if count is None:
        return "inconnu"
    for unit, factor in (("To", 10**12), ("Go", 10**9), ("Mo", 10**6), ("ko", 10**3)):
        if count >= factor:
            return f"{number(round(count / factor, 1)).removesuffix(',0')}{NB}{unit}"
    return f"{count} octets"


def plural(count: int, one: str, many: str | None = None) -> str:
    """``1 ticket``, ``3 tickets``; zero is singular in French."""
    return f"{number(count)} {one if count < 2 else many or one + 's'}"

"""Templates to HTML: one environment, and what every page knows without being told."""

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dashboards.portal import account_words, categories, words
from dashboards.portal.menu import current, filtering_tabs, menu
from dashboards.portal.person import is_staff
from dashboards.portal.typography import Typography, unbreakable
from fleet.clock import utc_now
from fleet.schools import names
from fleet.scope import Action

HERE = Path(__file__).parent
DONE = {
    "ticket-assigned": "Le ticket est confié.",
    "ticket-planned": "L’intervention est planifiée.",
    "ticket-pending": "Le ticket est en attente.",
    "ticket-resumed": "Le ticket est repris.",
    "ticket-solved": "Le ticket est résolu.",
    "ticket-closed": "Le ticket est clos.",
    "ticket-reopened": "Le ticket est rouvert.",
    "follow-up": "Votre message est ajouté.",
    "device-edited": "La fiche est à jour.",
    "device-moved": "L’appareil a changé d’école.",
    "device-status": "Le statut a changé.",
    "device-registered": "L’appareil est inscrit à l’inventaire.",
    "token-revoked": "Le code est révoqué : il n’enrôle plus aucun appareil.",
    "profile-saved": "Le profil est enregistré et publié : les filtres suivent en quelques secondes.",
    "publication-requested": "La publication est demandée : la compilation démarre.",
    "return-requested": "Le retour est demandé : la publication arrive, puis tous les filtres la reçoivent.",
    "policy-returned": "Les réglages d’alors sont de nouveau en vigueur : les filtres suivent en quelques secondes.",
    "profile-added": "Le profil est ajouté. Réglez-le, puis donnez-le à des réseaux ou à des appareils.",
    "preview-asked": "L’essai est demandé : rien n’est encore publié. Les passerelles répondent en quelques minutes.",
    "preview-abandoned": "L’essai est abandonné. Rien n’a été publié.",
    "profile-removed": "Le profil est supprimé : les filtres suivent en quelques secondes.",
    "schedule-added": "La plage horaire est ajoutée : les profils peuvent s’en servir.",
    "schedule-changed": "La plage horaire est enregistrée et publiée : les filtres suivent en quelques secondes.",
    "schedule-removed": "La plage horaire est supprimée.",
    "source-added": "La source est ajoutée : elle est téléchargée dès que ses heures le permettent.",
    "source-changed": "La source est enregistrée.",
    "source-enabled": "La source est active : ses noms reviennent avec la publication qui vient d’être demandée.",
    "source-disabled": "La source est désactivée : ses noms partent avec la publication qui vient d’être demandée.",
    "source-fetching": "Le téléchargement est lancé ; ce qu’il apporte sera publié aussitôt.",
    "source-waiting": "La source demande du repos à cette heure : le téléchargement suivra, à l’heure dite plus bas.",
    "content-approved": "Le contenu est accepté : il part dans la publication qui vient d’être demandée.",
    "content-rejected": "Le contenu est rejeté : la version en service reste.",
    "lesson-started": "La leçon est lancée : la salle n’ouvre plus que ces sites, dans quelques secondes.",
    "lesson-prolonged": "La leçon finira plus tard.",
    "lesson-stopped": "La leçon est arrêtée : la salle retrouve sa navigation habituelle.",
    "list-removed": "La liste est supprimée. Les leçons lancées avec elle continuent.",
    "room-added": "La salle est ajoutée. Rattachez-lui un réseau ou des appareils pour pouvoir y lancer une leçon.",
    "room-renamed": "La salle a changé de nom.",
    "room-removed": "La salle est supprimée. Ses réseaux et ses appareils restent dans l’école, hors salle.",
    "network-added": "Le réseau est rattaché.",
    "network-shared": "Le réseau est rattaché. Une autre école, qui a son filtre, a le même : si celle-ci a sa propre "
    "passerelle, faites-la enregistrer avec le code de l’école.",
    "network-removed": "Le réseau est détaché : ses appareils suivent le profil par défaut.",
    "label-set": "L’appareil a son profil.",
    "label-removed": "L’appareil suit de nouveau le profil de son réseau.",
    "override-added": "La dérogation est enregistrée : les filtres la reçoivent dans quelques secondes.",
    "override-revoked": "La dérogation est levée : les filtres le savent dans quelques secondes.",
    "unblock-asked": "Votre demande est partie : l’équipe technique la voit, et sa réponse s’affichera ici.",
    "unblock-allowed": "Le site est ouvert : les filtres le savent dans quelques secondes.",
    "unblock-declined": "La demande est refusée, avec votre raison.",
    "grant-given": "L’accès est accordé : il vaut dès l’heure dite, et s’éteint de lui-même à sa fin.",
    "grant-ended": "L’accès est retiré.",
    "import-added": "Le fichier est reçu : rien n’est encore changé.",
    "import-checking": "La vérification est lancée : rien n’est encore changé.",
    "import-started": "L’import est lancé.",
    "job-cancelled": "Le travail est annulé.",
    "job-stopping": "L’arrêt est demandé : le travail s’arrête dans quelques secondes, et rien n’en reste.",
    "job-retried": "Le travail est relancé.",
    "filter-saved": "Ces filtres sont gardés : vous les retrouvez au-dessus de la liste.",
    "filter-removed": "Le filtre est supprimé.",
    "signed-out": "Vous êtes déconnecté.",
    **account_words.DONE,
}
"""What a page says after a change, by the word its address carries: no cookie, and no text from outside."""


@cache
def asset_version(name: str) -> str:
    """The first characters of a static file's digest: a changed file is a new address."""
    return hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()[:12]


def asset(name: str) -> str:
    """The address of a static file, cacheable for ever."""
    return f"/static/{name}?v={asset_version(name)}"


@cache
def icon(name: str) -> Markup:
    """An icon as inline SVG, hidden from screen readers: the text beside it says the same."""
    svg = (HERE / "templates" / "icons" / f"{name}.svg").read_text(encoding="utf-8")
    inner = re.sub(r"<svg[^>]*>|</svg>|\n", "", svg)
    opening = '<svg class="icon" viewBox="0 0 16 16" width="16" height="16" fill="currentColor"'
    return Markup(f'{opening} aria-hidden="true" focusable="false">{inner}</svg>')  # noqa: S704 - our own vendored files


def with_query(path: str, given: Mapping[str, str], **changes: object) -> str:
    """An address with some of its query changed; None and "" drop a name."""
    merged = {**given, **{name: "" if value is None else str(value) for name, value in changes.items()}}
    query = urlencode({name: value for name, value in merged.items() if value})
    return f"{path}?{query}" if query else path


def make_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Typography],
    )
    environment.filters |= {
        "day": words.day,
        "moment": words.moment,
        "clock": words.clock,
        "number": words.number,
        "size": words.size,
        "school_name": names.written,
        "directory": names.in_text,
        "of": names.of,
        "resources": words.name_resources,
        "unbreakable": unbreakable,
        "category_label": categories.label,
    }
    environment.globals |= {
        "asset": asset,
        "icon": icon,
        "word": words.word,
        "browser_words": account_words.browser,
        "words": words.WORDS,
        "ago": words.ago,
        "lasting": words.lasting,
        "plural": words.plural,
        "with_query": with_query,
        "school_label": names.labelled,
        "Action": Action,
        "category_label": categories.label,
        "filtering_tabs": filtering_tabs,
        "current_entry_of": current,
        "verdict_words": words.VERDICT,
        "rule_words": words.RULE,
    }
    return environment


ENVIRONMENT = make_environment()


def page_context(request: Request) -> dict[str, object]:
    """What the layout needs: who looks (None when nobody signed in), where, and what was just done."""
    signed_in = getattr(request.state, "signed_in", None)
    viewer = signed_in.viewer if signed_in else None
    owes = getattr(request.state, "owes_second_factor", False)
    entries = menu(viewer) if viewer and not owes else []
    return {
        "request_path": request.url.path,
        "query": dict(request.query_params),
        "viewer": viewer,
        "csrf_token": signed_in.csrf_token if signed_in else "",
        "is_staff": viewer is not None and is_staff(viewer),
        "owes_second_factor": owes,
        "lacks_second_factor": bool(signed_in and is_staff(signed_in.viewer) and not signed_in.has_second_factor),
        "menu": entries,
        "current_entry": current(entries, request.url.path),
        "done": DONE.get(request.query_params.get("done", "")),
        "now": getattr(request.state, "now", None) or utc_now(),
        "refused": None,
        "problems": {},
    }


def render(request: Request, template: str, status: int = 200, /, **context: object) -> HTMLResponse:
    """One page. Pages hold other people's data: no cache keeps them."""
    html = ENVIRONMENT.get_template(template).render(page_context(request) | context)
    return HTMLResponse(html, status, {"Cache-Control": "no-store", "Vary": "Cookie"})

"""Words and markup of a blocked site's page: one document that needs nothing from elsewhere, readable from 320 px."""

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from zoneinfo import ZoneInfo

from filter.serving.asking import AskingRefused
from filter.updates.requests import LONGEST_CONTACT, LONGEST_REASON

FORM_PATH = "/.preau/demande"
"""Of every blocked site: the page is reached under the site's own name."""
FRANCE = "Europe/Paris"
WEEKDAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
    "décembre",
)  # fmt: skip

STYLE = """
:root{color-scheme:light dark}
body{margin:0;font:1.125rem/1.5 system-ui,sans-serif;background:#f6f6f6;color:#161616}
main{max-width:38rem;margin:0 auto;padding:2rem 1rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}
h2{font-size:1.25rem;line-height:1.25;margin:2rem 0 .5rem}
.name{font-weight:700;overflow-wrap:anywhere}
dl{background:#fff;border-left:.25rem solid #000091;margin:1.5rem 0;padding:1rem}
dt{font-weight:700}dd{margin:0 0 .5rem;overflow-wrap:anywhere}
label{display:block;font-weight:700;margin:1rem 0 .25rem}
.hint{margin:0 0 .25rem;font-size:1rem}
input,textarea{box-sizing:border-box;width:100%;font:inherit;color:inherit;background:#fff;border:1px solid #666;
padding:.5rem}
textarea{min-height:6rem;resize:vertical}
button{font:inherit;font-weight:700;margin:1rem 0 0;padding:.625rem 1.25rem;border:0;background:#000091;color:#fff;
min-height:2.75rem}
:focus-visible{outline:3px solid #0a76f6;outline-offset:2px}
.wrong{background:#fff;border-left:.25rem solid #ce0500;padding:1rem}
@media(prefers-color-scheme:dark){body{background:#161616;color:#fff}dl,.wrong{background:#1e1e1e}
dl{border-color:#8585f6}.wrong{border-color:#ff5655}input,textarea{background:#1e1e1e;border-color:#929292}
button{background:#8585f6;color:#161616}}
"""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a site is blocked: a sentence, and details in the order in which they are shown."""

    sentence: str
    details: tuple[tuple[str, str], ...]


def page(title: str, body: str) -> bytes:
    """A whole document that needs nothing from elsewhere."""
    return (
        '<!doctype html>\n<html lang="fr"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    ).encode()


OPEN_PAGE = page(
    "Site non bloqué",
    "<h1>Ce site n’est pas bloqué</h1><p>Il l’était peut-être il y a un instant. Attendez quelques secondes, puis "
    "rechargez la page ; si elle revient, fermez le navigateur et recommencez.</p>",
)
FILTER_PAGE = page(
    "Filtre de l’école",
    "<h1>Filtre de l’école</h1><p>Cette adresse sert seulement à expliquer pourquoi un site est bloqué.</p>",
)
WITHOUT_FORM = (
    "<p>S’il est utile à la classe, l’enseignant peut demander son ouverture : qu’il indique ce nom et la "
    "catégorie au référent numérique de l’école ou à la collectivité.</p>"
)


def blocked_page(name: str, profile: str, reason: Reason, form: str) -> bytes:
    """Why this name is blocked for this profile; ``form``: what takes a request, "" for none."""
    details = (("Profil", profile), *reason.details)
    rows = "".join(f"<dt>{escape(term)}</dt><dd>{escape(value)}</dd>" for term, value in details)
    return page(
        "Site bloqué",
        f'<h1>Ce site est bloqué</h1><p>Le site <span class="name">{escape(name)}</span> n’est pas accessible depuis '
        f"cette école.</p><p>{escape(reason.sentence)}</p><dl>{rows}</dl>{form or WITHOUT_FORM}",
    )


def form(token: str, refused: AskingRefused | None) -> str:
    """The form, with what was typed and what is wrong with it when it comes a second time."""
    wrong = f'<p class="wrong" role="alert">{escape(refused.sentence)}</p>' if refused else ""
    reason, contact = (refused.reason, refused.contact) if refused else ("", "")
    return (
        f'<form method="post" action="{FORM_PATH}"><h2>Demander son ouverture</h2>{wrong}'
        f'<input type="hidden" name="token" value="{escape(token)}">'
        '<label for="reason">Pourquoi ce site est utile</label>'
        f'<p class="hint" id="hint-reason">{LONGEST_REASON} caractères au plus. N’indiquez le nom d’aucun élève.</p>'
        f'<textarea id="reason" name="reason" required maxlength="{LONGEST_REASON}" aria-describedby="hint-reason">'
        f"{escape(reason)}</textarea>"
        '<label for="contact">À qui répondre (facultatif)</label>'
        '<p class="hint" id="hint-contact">Un nom d’enseignant ou une adresse professionnelle.</p>'
        f'<input id="contact" name="contact" maxlength="{LONGEST_CONTACT}" aria-describedby="hint-contact" '
        f'value="{escape(contact)}">'
        '<button type="submit">Envoyer la demande</button></form>'
    )


def thanks_page(name: str) -> bytes:
    return page(
        "Demande enregistrée",
        f'<h1>Demande enregistrée</h1><p>La demande d’ouverture de <span class="name">{escape(name)}</span> sera '
        "transmise à la collectivité. Un technicien y répondra ; le site reste bloqué d’ici là.</p>",
    )


def moment(at: datetime) -> str:
    """« vendredi 20 novembre à 16 h 30 », on the clock of a schedule, or of metropolitan France for a bare instant."""
    local = at.astimezone(ZoneInfo(FRANCE)) if at.utcoffset() == UTC.utcoffset(None) else at
    day = "1er" if local.day == 1 else str(local.day)
    minutes = f" {local.minute:02}" if local.minute else ""
    return f"{WEEKDAYS[local.weekday()]} {day} {MONTHS[local.month - 1]} à {local.hour} h{minutes}"

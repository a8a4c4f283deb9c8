"""The page that says in French why a site is blocked. It judges by the same code as the queries, for the same client.

It answers 403 Forbidden. 451 is for what the law or a court demands; this is the school's own choice.
"""

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime
from html import escape

from filter.names import NameRefused, clean_name
from filter.policy import Action, Decision, Policy, Query, decide
from filter.webserver import Request, Response

STYLE = """
:root{color-scheme:light dark}
body{margin:0;font:1.125rem/1.5 system-ui,sans-serif;background:#f6f6f6;color:#161616}
main{max-width:38rem;margin:0 auto;padding:2rem 1rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}
.name{font-weight:700;overflow-wrap:anywhere}
dl{background:#fff;border-left:.25rem solid #000091;margin:1.5rem 0;padding:1rem}
dt{font-weight:700}dd{margin:0 0 .5rem}
@media(prefers-color-scheme:dark){body{background:#161616;color:#fff}dl{background:#1e1e1e;border-color:#8585f6}}
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Content-Language": "fr",
}
REASONS = {
    "category_deny": "Il figure sur une liste de sites que l’école ne souhaite pas laisser ouverts.",
    "own_deny": "L’école ou la collectivité l’a bloqué nommément.",
    "special_name": "Ce nom est réservé : il ferait contourner le filtre de l’école.",
}


def page(title: str, body: str) -> bytes:
    """A whole document that needs nothing from elsewhere."""
    return (
        '<!doctype html>\n<html lang="fr"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    ).encode()


def blocked_page(name: str, decision: Decision, profile: str) -> bytes:
    """Why this name is blocked for this profile."""
    details = [("Profil", profile)]
    if decision.lists:
        details.append(("Catégorie", ", ".join(decision.lists)))
    if decision.suffix and decision.suffix != name:
        details.append(("Nom inscrit", decision.suffix))
    rows = "".join(f"<dt>{escape(term)}</dt><dd>{escape(value)}</dd>" for term, value in details)
    return page(
        "Site bloqué",
        f'<h1>Ce site est bloqué</h1><p>Le site <span class="name">{escape(name)}</span> n’est pas accessible depuis '
        f"cette école.</p><p>{REASONS.get(decision.rule, '')}</p><dl>{rows}</dl>"
        "<p>S’il est utile à la classe, l’enseignant peut demander son ouverture : qu’il indique ce nom et la "
        "catégorie au référent numérique de l’école ou à la collectivité.</p>",
    )


OPEN_PAGE = page(
    "Site non bloqué",
    "<h1>Ce site n’est pas bloqué</h1><p>Il l’était peut-être il y a un instant. Attendez quelques secondes, puis "
    "rechargez la page ; si elle revient, fermez le navigateur et recommencez.</p>",
)
FILTER_PAGE = page(
    "Filtre de l’école",
    "<h1>Filtre de l’école</h1><p>Cette adresse sert seulement à expliquer pourquoi un site est bloqué.</p>",
)


class BlockPage:
    """Answers every request, whatever its path and method, by what the Host header names."""

    def __init__(self, policy: Callable[[], Policy | None], now: Callable[[], datetime]) -> None:
        self.policy = policy
        self.now = now

    def __call__(self, request: Request) -> Response:
        policy = self.policy()
        try:
            name = clean_name(request.host)
        except NameRefused:
            return Response(404, FILTER_PAGE, "text/html; charset=utf-8", HEADERS)
        if policy is None:
            return Response(404, FILTER_PAGE, "text/html; charset=utf-8", HEADERS)
        profile = policy.profile_for(request.client)
        decision = decide(Query(name), profile, self.now())
        if decision.action is Action.ALLOWED:
            return Response(404, OPEN_PAGE, "text/html; charset=utf-8", HEADERS)
        return Response(403, blocked_page(name, decision, profile.name), "text/html; charset=utf-8", HEADERS)

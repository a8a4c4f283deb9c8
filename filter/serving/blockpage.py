"""The page that says in French why a site is blocked, and takes a request to unblock it.

It judges by the same code as the queries, for the same client. It answers 403 Forbidden: 451 is for what the law or a
court demands; this is the school's own choice.
"""

import base64
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from filter.names import NameRefused, clean_name
from filter.policy import Action, Decision, Policy, Profile, Query, decide
from filter.schedules import next_change
from filter.serving import blockpage_html as html
from filter.serving.asking import AskingRefused, Desk
from filter.serving.requests import BoxFull
from filter.serving.webserver import Request, Response

log = logging.getLogger("filter")

STYLE_HASH = base64.b64encode(hashlib.sha256(html.STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # without a referrer the form would not say where it comes from either
    "Content-Language": "fr",
}
REACHABLE = frozenset({Action.ALLOWED, Action.REWRITTEN, Action.TRUNCATED})


@dataclass(frozen=True, slots=True)
class Blocked:
    """A name that somebody may not reach now, and why."""

    name: str
    profile: Profile
    decision: Decision
    until: datetime | None
    """When that may change by itself: the end of a lesson, an override or a schedule."""


class BlockPage:
    """Answers every request by what the Host header names; the form's own path also takes POST."""

    def __init__(self, policy: Callable[[], Policy | None], now: Callable[[], datetime], desk: Desk | None) -> None:
        """``desk`` takes requests to unblock; None: nobody would read them, and no form is shown."""
        self.policy = policy
        self.now = now
        self.desk = desk

    async def __call__(self, request: Request) -> Response:
        policy = self.policy()
        try:
            name = clean_name(request.host)
        except NameRefused:
            return respond(404, html.FILTER_PAGE)
        if policy is None:
            return respond(404, html.FILTER_PAGE)
        blocked = find_block(policy, name, request.client, self.now())
        if blocked is None:
            return respond(404, html.OPEN_PAGE)
        if self.desk is not None and (request.method, request.path) == ("POST", html.FORM_PATH):
            return await self.take(self.desk, request, blocked)
        return self.show(request, blocked, 403)

    def show(
        self, request: Request, blocked: Blocked, status: int, *, refused: AskingRefused | None = None
    ) -> Response:
        """Why it is blocked, with the form when somebody reads what it sends."""
        form = "" if self.desk is None else html.form(self.desk.token(request.client, blocked.name), refused)
        return respond(status, html.blocked_page(blocked.name, blocked.profile.name, reason(blocked), form))

    async def take(self, desk: Desk, request: Request, blocked: Blocked) -> Response:
        """Keep a request to unblock and say so, or say what is wrong with it."""
        try:
            await desk.take(request, blocked.name, blocked.profile)
        except AskingRefused as refused:
            return self.show(request, blocked, refused.status, refused=refused)
        except (BoxFull, OSError) as error:
            log.warning("a request was not kept", extra={"error": type(error).__name__})
            sorry = AskingRefused(503, "La demande n’a pas pu être enregistrée. Prévenez le référent numérique.")
            return self.show(request, blocked, sorry.status, refused=sorry)
        return respond(200, html.thanks_page(blocked.name))


def respond(status: int, body: bytes) -> Response:
    return Response(status, body, "text/html; charset=utf-8", HEADERS)


def find_block(policy: Policy, name: str, client: str, now: datetime) -> Blocked | None:
    """Why this client may not reach this name; None when it may."""
    profile = policy.profile_for(client)
    decision = decide(Query(name), profile, now)
    if decision.action in REACHABLE:
        return None
    return Blocked(name, profile, decision, decision.until or end_of_schedule(policy, decision, now))


def end_of_schedule(policy: Policy, decision: Decision, now: datetime) -> datetime | None:
    """When the schedule that blocks changes; in its own time zone."""
    schedule = next((s for s in policy.settings.schedules if s.name == decision.schedule and s.name), None)
    return None if schedule is None else next_change(schedule, now)


REASONS = {
    "category_deny": "Il figure sur une liste de sites que l’école ne souhaite pas laisser ouverts.",
    "own_deny": "L’école ou la collectivité l’a bloqué nommément.",
    "override": "Il est bloqué pour un temps, par une décision de l’école ou de la collectivité.",
    "lesson": "Une leçon est en cours : seuls les sites choisis par l’enseignant sont ouverts.",
    "special_name": "Ce nom est réservé : il n’existe pas sur Internet.",
    "bypass": "Il permettrait de contourner le filtre de l’école.",
    "canary": "Il permettrait de contourner le filtre de l’école.",
}


def reason(blocked: Blocked) -> html.Reason:
    """What the page says of a decision."""
    decision, details = blocked.decision, []
    if decision.lists:
        details.append(("Catégorie", ", ".join(decision.lists)))
    if decision.rule == "lesson" and decision.reason:
        details.append(("Leçon", decision.reason))
    elif decision.reason:
        details.append(("Motif", decision.reason))
    if decision.schedule:
        details.append(("Plage horaire", decision.schedule))
    if blocked.until is not None:
        details.append(("Jusqu’à", html.moment(blocked.until)))
    if decision.layer:
        details.append(("Décidé par", decision.layer))
    if decision.suffix and decision.suffix != blocked.name:
        details.append(("Nom inscrit", decision.suffix))
    return html.Reason(REASONS.get(decision.rule, ""), tuple(details))

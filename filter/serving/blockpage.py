"""The page that says in French why a site is blocked, and takes a request to unblock it.

It judges by the same code as the queries, for the same client: the name itself, then where its answer leads, which is
looked up as for a query. It answers 403 Forbidden: 451 is for what the law or a court demands; this is the school's own
choice.
"""

import asyncio
import base64
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from filter.names import NameRefused, clean_name
from filter.policy import Action, AnswerRecord, Decision, Policy, Profile, Query, decide, review_answer
from filter.schedules import next_change
from filter.serving import blockpage_html as html
from filter.serving.asking import AskingRefused, Desk
from filter.serving.webserver import Request, Response
from filter.updates.requests import BoxFull

log = logging.getLogger("filter")

STYLE_HASH = base64.b64encode(hashlib.sha256(html.STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # without a referrer the form would not say where it comes from either
    "Content-Language": "fr",
}
Recall = Callable[[str, int], Awaitable[Sequence[AnswerRecord]]]
"""(name, type) -> where its answer leads, as far as that can be known soon (filter.serving.resolving.lookup)."""
BROWSER_TYPES = (1, 28, 65)
"""A, AAAA and HTTPS: what a browser asks for."""
REACHABLE = frozenset({Action.ALLOWED, Action.REWRITTEN, Action.TRUNCATED})


@dataclass(frozen=True, slots=True)
class Blocked:
    """A name that somebody may not reach now, and why."""

    name: str
    profile: Profile
    decision: Decision
    until: datetime | None
    """When that may change by itself: the end of a lesson, an override or a schedule."""


async def know_nothing(_name: str, _qtype: int) -> Sequence[AnswerRecord]:
    """Without a resolver."""
    return ()


class BlockPage:
    """Answers every request by what the Host header names; the form's own path also takes POST."""

    def __init__(
        self,
        policy: Callable[[], Policy | None],
        now: Callable[[], datetime],
        desk: Desk | None,
        recall: Recall = know_nothing,
    ) -> None:
        """``desk`` takes requests to unblock; None: nobody would read them, and no form is shown."""
        self.policy = policy
        self.now = now
        self.desk = desk
        self.recall = recall

    async def __call__(self, request: Request) -> Response:
        policy = self.policy()
        try:
            name = clean_name(request.host)
        except NameRefused:
            return respond(404, html.FILTER_PAGE)
        if policy is None:
            return respond(404, html.FILTER_PAGE)
        blocked = await find_block(policy, name, request.client, self.now(), self.recall)
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


async def find_block(policy: Policy, name: str, client: str, now: datetime, recall: Recall) -> Blocked | None:
    """Why this client may not reach this name; None when it may, for all that is known."""
    profile = policy.profile_for(client)
    decision = decide(Query(name), profile, now)
    if decision.action in REACHABLE:
        found = await follow(name, profile, now, recall)
        if found is None:
            return None
        decision = found
    return Blocked(name, profile, decision, decision.until or end_of_schedule(policy, decision, now))


async def follow(name: str, profile: Profile, now: datetime, recall: Recall) -> Decision | None:
    """What stops the answer to a name that is not blocked itself, as the live path reviews it."""
    decided = [(qtype, decide(Query(name, qtype), profile, now)) for qtype in BROWSER_TYPES]
    led = [
        (Query(decision.leads_to or name, qtype), decision)
        for qtype, decision in decided
        if decision.action is Action.ALLOWED or decision.leads_to is not None
    ]
    found = await asyncio.gather(*(recall(to.name, to.qtype) for to, _ in led))
    reviewed = (
        review_answer(to, decision, profile, each, now) for (to, decision), each in zip(led, found, strict=True)
    )
    return next((each for each in reviewed if each.action not in REACHABLE), None)


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
    "address_deny": "Il se trouve à une adresse qui figure sur une liste de sites bloqués.",
    "rebinding": "Sa réponse mène à une machine du réseau de l’école : c’est le signe d’une attaque.",
}
ELSEWHERE = "Il mène à un autre site, qui est bloqué."


def reason(blocked: Blocked) -> html.Reason:
    """What the page says of a decision."""
    decision, details = blocked.decision, []
    is_elsewhere = decision.via not in {None, blocked.name} and decision.rule not in {"address_deny", "rebinding"}
    if is_elsewhere and decision.via is not None:
        details.append(("Mène à", decision.via))
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
    if decision.suffix and decision.suffix not in {blocked.name, decision.via}:
        details.append(("Adresse inscrite" if decision.rule == "address_deny" else "Nom inscrit", decision.suffix))
    return html.Reason(ELSEWHERE if is_elsewhere else REASONS.get(decision.rule, ""), tuple(details))

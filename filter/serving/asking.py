"""The desk behind the block page: who may ask to unblock a site, how often, and what makes a request one."""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from filter.deciding.profiles import Profile
from filter.serving.webserver import Request
from filter.updates.requests import LONGEST_CONTACT, LONGEST_REASON, Box, UnblockRequest, make_request

TOKEN_SECONDS = 3600
MOST_AN_HOUR = 5
"""Requests of one client address."""
HOUR = 3600.0
MOST_CLIENTS = 5_000
FIELDS = ("token", "reason", "contact")


class AskingRefused(Exception):
    """A request that is not taken: the sentence for the person, and what was typed, so that nothing is lost."""

    def __init__(self, status: int, sentence: str, reason: str = "", contact: str = "") -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.reason = reason
        self.contact = contact


class Desk:
    """Takes requests of people at this school, and of no other web page in their browser."""

    def __init__(
        self,
        box: Box,
        now: Callable[[], datetime],
        kept: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``kept`` is called when a request was written."""
        self.box = box
        self.now = now
        self.kept = kept
        self.clock = clock
        self.secret = secrets.token_bytes(32)
        self.asked: OrderedDict[str, deque[float]] = OrderedDict()

    def token(self, client: str, name: str) -> str:
        """What the form of this client for this name must bring back within the hour."""
        return self.sign(client, name, int(self.clock()))

    def sign(self, client: str, name: str, issued: int) -> str:
        mac = hmac.new(self.secret, f"{issued}|{client}|{name}".encode(), hashlib.sha256)
        return f"{issued}.{mac.hexdigest()}"

    async def take(self, request: Request, name: str, profile: Profile) -> None:
        """Keep what was asked; raise AskingRefused, BoxFull or OSError. Queries wait for no disk meanwhile."""
        asked = self.read(request, name, profile)
        await asyncio.to_thread(self.box.keep, asked)
        self.kept()

    def read(self, request: Request, name: str, profile: Profile) -> UnblockRequest:
        """What was asked, if it may be; raise AskingRefused."""
        values = read_form(request)
        reason, contact = values["reason"], values["contact"]
        if not self.is_ours(request, name, values["token"]):
            sentence = "Cette page a été ouverte il y a trop longtemps. Envoyez de nouveau la demande."
            raise AskingRefused(403, sentence, reason, contact)
        if not reason:
            raise AskingRefused(422, "Dites en quelques mots pourquoi ce site est utile.", reason, contact)
        if len(reason) > LONGEST_REASON or len(contact) > LONGEST_CONTACT:
            raise AskingRefused(422, "Ce texte est trop long.", reason[:LONGEST_REASON], contact[:LONGEST_CONTACT])
        if not self.may_ask(request.client):
            raise AskingRefused(429, "Trop de demandes depuis cet appareil : attendez une heure.", reason, contact)
        return make_request(name, reason, contact, profile, self.now())

    def is_ours(self, request: Request, name: str, token: str) -> bool:
        """Whether the form came from our own page, for this client and name, lately."""
        issued, _, _ = token.partition(".")
        if not issued.isdecimal() or len(issued) > 12 or not 0 <= self.clock() - int(issued) <= TOKEN_SECONDS + 1:
            return False
        same = hmac.compare_digest(token.encode(), self.sign(request.client, name, int(issued)).encode())
        return same and is_same_origin(request)

    def may_ask(self, client: str) -> bool:
        """Count one more request of a client; whether that is not too many."""
        times = self.asked.pop(client, deque(maxlen=MOST_AN_HOUR))
        self.asked[client] = times
        while len(self.asked) > MOST_CLIENTS:
            self.asked.popitem(last=False)
        if len(times) == MOST_AN_HOUR and self.clock() - times[0] < HOUR:
            return False
        times.append(self.clock())
        return True


def read_form(request: Request) -> dict[str, str]:
    """The form's fields, each once, trimmed; raise AskingRefused for a body that is none of our form's."""
    if request.body is None:
        raise AskingRefused(413, "Ce texte est trop long.")
    try:
        found = parse_qs(request.body.decode(), max_num_fields=10, encoding="utf-8", errors="strict")
    except ValueError as error:
        raise AskingRefused(400, "La demande est illisible.") from error
    return {field: " ".join(found.get(field, [""])[0].replace("\0", "").split()) for field in FIELDS}


def is_same_origin(request: Request) -> bool:
    """What browsers say of where a form came from; old ones say nothing, then the token alone tells."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).hostname == request.host

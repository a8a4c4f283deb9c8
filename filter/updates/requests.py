"""Requests to unblock a site, made on the block page: kept on disk until the controller took each of them."""

import asyncio
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import httpx2

from filter.deciding.profiles import Profile
from filter.updates.controller import TalkFailed, check_status, unreachable

log = logging.getLogger("filter")

PATH = "/filter/v1/requests"
MOST_WAITING = 500
LONGEST_REASON = 500
LONGEST_CONTACT = 120
TAKEN = (200, 201, 202, 204)
NEVER_TAKEN = (400, 409, 413, 422)
"""The controller will not take this one, now or later: keeping it would keep back all behind it."""


class BoxFull(Exception):
    """Too many requests wait for the controller."""


@dataclass(frozen=True, slots=True)
class UnblockRequest:
    """What somebody asked; ``id`` is ours, so that a request that arrives twice is one."""

    id: str
    name: str
    reason: str
    contact: str
    client_school: str
    """UAI of the school whose profile blocked, "" when several share it."""
    client_room: str
    client_profile: str
    """Slug of the profile that blocked. Never who asked, nor from which device."""
    asked_at: str


def make_request(name: str, reason: str, contact: str, profile: Profile, asked_at: datetime) -> UnblockRequest:
    at = asked_at.isoformat()
    return UnblockRequest(str(uuid4()), name, reason, contact, profile.school, profile.room, profile.slug, at)


class Box:
    """A folder with one file a request, each written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, request: UnblockRequest) -> None:
        """Write a request so that neither a crash nor a power cut loses it; raise BoxFull or OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if sum(1 for _ in self.waiting()) >= MOST_WAITING:
            raise BoxFull
        place = self.folder / f"{request.id}.json"
        part = place.with_suffix(".part")
        with open(part, "w", encoding="utf-8", opener=open_private) as file:  # Path.open takes no opener
            json.dump(asdict(request), file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)

    def waiting(self) -> Iterator[Path]:
        """The files of requests that nobody took yet."""
        yield from self.folder.glob("*.json")

    def read(self, path: Path) -> Mapping[str, object] | None:
        """What a file holds; one that is damaged is removed."""
        try:
            values = json.loads(path.read_bytes())
        except ValueError:
            path.unlink(missing_ok=True)
            return None
        return values if isinstance(values, dict) else None


def open_private(path: str, flags: int) -> int:
    """Only the filter reads who asked what."""
    return os.open(path, flags, 0o600)


class Courier:
    """Hands requests to the controller, the oldest first."""

    def __init__(self, client: httpx2.AsyncClient, box: Box) -> None:
        self.client = client
        self.box = box
        self.news = asyncio.Event()
        """Set when something waits."""

    def start(self) -> None:
        """Requests of an earlier run are still to be handed over."""
        if next(self.box.waiting(), None) is not None:
            self.news.set()

    async def send_all(self) -> str:
        """Hand over all that waits; return ``taken`` or ``refused``, or raise TalkFailed while it cannot be done."""
        outcome = "taken"
        self.news.clear()
        try:
            for path in sorted(self.box.waiting(), key=lambda each: each.stat().st_mtime):
                if (request := self.box.read(path)) is not None and not await self.hand_over(request):
                    outcome = "refused"
                path.unlink(missing_ok=True)
        except (TalkFailed, OSError) as error:
            self.news.set()
            if isinstance(error, OSError):
                raise TalkFailed("disk", str(error)) from error
            raise
        return outcome

    async def hand_over(self, request: Mapping[str, object]) -> bool:
        """Whether the controller took it; raise TalkFailed when it may take it another time."""
        try:
            response = await self.client.post(PATH, json=request)
        except httpx2.HTTPError as error:
            raise unreachable(error) from error
        if response.status_code in NEVER_TAKEN:
            log.warning("the controller refused a request", extra={"status": response.status_code})
            return False
        check_status(response, *TAKEN)
        return True

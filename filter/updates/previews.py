"""Previews that the controller asks for: which names counted here would a change block or open? One at a time."""

import asyncio
import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import httpx2
import msgspec

from filter.config import Controller
from filter.updates.controller import TalkFailed, check_status, translated
from filter.updates.downloads import Download, read_etag
from filter.updates.judging import Answer, Names, Settings, Task, judge_aside
from filter.updates.unpacking import read_body

log = logging.getLogger("filter")

PATH = "/filter/v1/previews"
HEADER = "X-Preau-Preview"
NOTHING = "none"
IDENTIFIER = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FOLDER = "previews"
LARGEST_POLICY = 32 << 20
"""Bytes, unpacked."""
LARGEST_DELTA = 80 << 20
"""Bytes; filter.layout.delta makes none larger than 64 MiB."""
LARGEST_QUESTION = 64 << 10
"""Bytes: a question is ids, tags and numbers."""
LONGEST = 365
"""Days of counts that a question may be about."""
OVER = (httpx2.codes.NOT_FOUND,)
NEVER_TAKEN = (httpx2.codes.CONTENT_TOO_LARGE, httpx2.codes.UNPROCESSABLE_CONTENT)

FAILED: Answer = {"outcome": "failed"}


class NamesAsked(msgspec.Struct, frozen=True, rename={"from_etag": "from", "to_etag": "to"}):
    """Tags of the names that a delta leads from and to."""

    from_etag: str
    to_etag: str


class Question(msgspec.Struct, frozen=True):
    """What the controller asks; a file that is not named stays as it is. Unknown fields are ignored."""

    judged_at: datetime
    threshold: int
    days: int
    policy: str | None = None
    names: NamesAsked | None = None


class PreviewNews:
    """The last preview that the controller spoke of."""

    def __init__(self) -> None:
        self.announced: str | None = None
        self.arrived = asyncio.Event()

    def known(self) -> dict[str, str]:
        """Of this one there is nothing more to tell."""
        return {HEADER: self.announced or NOTHING}

    def hear(self, response: httpx2.Response) -> None:
        identifier = response.headers.get(HEADER, "")
        if IDENTIFIER.fullmatch(identifier) and identifier != self.announced:
            self.announced = identifier
            self.arrived.set()


class Served(NamedTuple):
    """The files that a filter judges by, and its counts."""

    names: Path
    policy: Path
    counts: Path


@dataclass(slots=True)
class Previewer:
    """Answers previews, the newest first. What it fetches is gone afterwards, whatever happens."""

    client: httpx2.AsyncClient
    news: PreviewNews
    controller: Controller
    counts: Path | None
    """None: this filter counts no names."""
    is_ready: Callable[[], bool]
    """Whether a pair is in use."""
    now: Callable[[], datetime]

    @property
    def folder(self) -> Path:
        return self.controller.data_dir / FOLDER

    def start(self) -> None:
        """Remove what a crash left."""
        shutil.rmtree(self.folder, ignore_errors=True)

    async def answer_next(self) -> str:
        """Answer the preview last heard of; return its outcome, or ``over``. Raise TalkFailed to try it again."""
        self.news.arrived.clear()
        wanted = self.news.announced
        if wanted is None:
            return "over"
        try:
            async with translated():
                return await self.answer(wanted)
        except TalkFailed:
            self.news.arrived.set()
            raise

    async def answer(self, identifier: str) -> str:
        """Fetch, judge, tell."""
        question = await self.fetch_question(identifier)
        if question is None:
            return "over"
        self.start()
        self.folder.mkdir(parents=True)
        try:
            answer = await self.judge(identifier, question)
        finally:
            self.start()
        return await self.tell(identifier, answer)

    async def fetch_question(self, identifier: str) -> Question | None:
        """What is asked; None when it is over."""
        async with self.client.stream("GET", f"{PATH}/{identifier}", headers={"Accept-Encoding": "gzip"}) as response:
            check_status(response, 200, *OVER)
            if response.status_code in OVER:
                return None
            content = await read_body(response, LARGEST_QUESTION)
        try:
            return msgspec.json.decode(content, type=Question)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise TalkFailed("controller", f"no question: {error}") from error

    async def judge(self, identifier: str, question: Question) -> Answer:
        """What the names counted here would meet."""
        if self.counts is None or not self.counts.exists():
            return {"outcome": "no_counts"}
        if not self.is_ready():
            return {"outcome": "failed", "detail": "nothing serves yet"}
        task = Task(
            folder=self.folder,
            names=self.keep("names"),
            policy=self.keep("policy"),
            counts=self.counts,
            since=(self.now() - timedelta(days=min(max(question.days, 1), LONGEST) - 1)).date(),
            judged_at=question.judged_at,
            threshold=question.threshold,
            filter_id=self.controller.filter_id,
            trusted_keys=self.controller.trusted_keys,
            new_names=await self.fetch_names(identifier, question.names) if question.names else None,
            new_policy=await self.fetch_policy(identifier, question.policy) if question.policy else None,
        )
        return await judge_aside(task)

    def keep(self, name: str) -> Path:
        """A file that serves, under a name that stays should another take its place meanwhile."""
        kept = self.folder / name
        kept.hardlink_to(self.controller.data_dir / name)
        return kept

    async def fetch_policy(self, identifier: str, etag: str) -> Settings:
        """The candidate policy, not yet verified; raise TalkFailed."""
        headers = {"Accept-Encoding": "gzip"}
        path = self.folder / "policy.candidate"
        async with self.client.stream("GET", f"{PATH}/{identifier}/policy", headers=headers) as response:
            check_status(response, 200)
            path.write_bytes(await read_body(response, LARGEST_POLICY))
        return Settings(path, etag)

    async def fetch_names(self, identifier: str, names: NamesAsked) -> Names:
        """What leads to the candidate names, not yet verified; raise TalkFailed."""
        download = Download(self.folder / "names.delta")
        async with self.client.stream("GET", f"{PATH}/{identifier}/names") as response:
            check_status(response, 200)
            if read_etag(response) != names.to_etag:
                raise TalkFailed("controller", "the controller sent another delta than it announced")
            await download.receive(response, LARGEST_DELTA)
        return Names(download.path, names.from_etag, names.to_etag)

    async def tell(self, identifier: str, answer: Answer) -> str:
        """Post an answer, and hear of the next question; return the outcome. One that the controller will never take
        is told as ``failed``: who says nothing is waited for, and hears of no older question.
        """
        if detail := answer.pop("detail", None):
            log.warning("preview not judged", extra={"outcome": answer["outcome"], "error": detail})
        response = await self.client.post(f"{PATH}/{identifier}/answer", json=answer)
        if response.status_code in NEVER_TAKEN and answer != FAILED:
            log.error("answer to a preview refused", extra={"status": response.status_code})
            return await self.tell(identifier, dict(FAILED))
        if response.status_code in (*OVER, *NEVER_TAKEN):
            return "over"
        check_status(response, 200, 204)
        self.news.hear(response)
        return str(answer["outcome"])

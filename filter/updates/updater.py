"""Names and policy from the controller: fetched, verified, swapped in. The last good pair stays, and keeps serving."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx2

from filter.bundle import BundleRefused, NamesFile, PolicyFile, Verify
from filter.layout.delta import DeltaRefused
from filter.updates.controller import TalkFailed, check_status, make_timeout, translated
from filter.updates.downloads import ETAG, Download, read_etag, serial_of, settle
from filter.updates.pair import File, Pair, check_serial, make_pair, open_kept, open_newer
from filter.updates.patching import apply_aside, forget_aside
from filter.updates.previews import PreviewNews
from filter.updates.unpacking import read_body

log = logging.getLogger("filter")

NAMES, POLICY = "names", "policy"
NAMES_PATH, DELTA_PATH, POLICY_PATH = "/filter/v1/names", "/filter/v1/names/delta", "/filter/v1/policy"
LARGEST_POLICY = 32 << 20
"""Bytes, unpacked."""
MADE = f"{NAMES}.made"
"""Names that a delta makes."""
UNFINISHED = (f"{POLICY}.part", MADE, f"{NAMES}.delta", f"{NAMES}.delta.etag")
"""What a crash may leave and nobody goes on with; a cut ``names.part`` is resumed."""

Install = Callable[[Pair], None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that is not used, and why: it is not fetched again and again, and the controller is told."""

    etag: str
    reason: str
    at: datetime


class Updater:
    """Keeps the two files in one folder as new as the controller's.

    Each file stands for itself: new names wait for no policy, a new policy for no names, and a folder that a crash
    left with one old and one new file holds a good pair.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        data_dir: Path,
        verify: Verify,
        install: Install,
        now: Callable[[], datetime],
        filter_id: str = "",
        zones: Iterable[str] = (),
    ) -> None:
        """``client`` has the controller as its base URL and carries the credential of the filter that has this id.

        ``zones``: names that this gateway's own resolvers answer for.
        """
        self.client = client
        self.data_dir = data_dir
        self.verify = verify
        self.install = install
        self.now = now
        self.filter_id = filter_id
        self.zones = tuple(zones)
        self.names: NamesFile | None = None
        self.settings: PolicyFile | None = None
        self.pair: Pair | None = None  # both as they serve
        self.previews = PreviewNews()
        self.refusals: dict[str, Refusal] = {}
        self.announced: str | None = None  # ETag of the names that the controller has
        self.news = asyncio.Event()  # set when other names are announced than those in use
        self.changed = asyncio.Event()  # set when a pair is in use or a file refused: the controller is told soon
        self.swapping = asyncio.Lock()
        """Held while a pair is made: two files that arrive at once do not undo each other."""

    async def start(self) -> bool:
        """Serve the last good pair; False when there is none that can be used."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        for left in UNFINISHED:
            (self.data_dir / left).unlink(missing_ok=True)
        forget_aside(self.data_dir / MADE)
        self.names = await self.reopen(NAMES, NamesFile)
        self.settings = await self.reopen(POLICY, PolicyFile)
        if self.names is None or self.settings is None:
            return False
        try:
            pair = await asyncio.to_thread(make_pair, self.names, self.settings, self.filter_id, self.zones)
        except BundleRefused as refused:
            self.refuse(POLICY, self.settings.etag, refused)
            self.settings = None
            return False
        self.use(pair)
        return True

    async def reopen(self, name: str, kind: type[File]) -> File | None:
        """A file of the last run, verified anew; None when it is not there or not good."""
        try:
            return await asyncio.to_thread(open_kept, kind, self.data_dir / name, self.verify)
        except FileNotFoundError:
            log.warning("queries fail until the controller sends what is missing", extra={"missing": name})
        except (BundleRefused, OSError) as error:
            log.warning("a kept file cannot be used", extra={"file": name, "error": str(error)})
        return None

    def use(self, pair: Pair) -> None:
        self.names, self.settings = pair.names, pair.settings
        self.pair = pair
        self.install(pair)
        self.changed.set()

    def refuse(self, name: str, etag: str, error: BundleRefused) -> None:
        self.refusals[name] = Refusal(etag, error.reason, self.now())
        self.changed.set()

    # --- policy: small, and in force within seconds -------------------------------------------------------------------

    async def poll_policy(self, wait: int) -> str:
        """Ask once, letting the controller hold its answer for ``wait`` seconds while nothing changes.

        Return ``unchanged``, ``none_published`` or ``installed``; raise TalkFailed. Either way the answer tells which
        names there are, and ``news`` is set when they are others.
        """
        async with translated():
            async with self.client.stream(
                "GET",
                POLICY_PATH,
                params={"wait": wait},
                headers=self.known() | self.previews.known() | {"Accept-Encoding": "gzip"},
                timeout=make_timeout(wait),
            ) as response:
                self.hear_of_names(response)
                self.previews.hear(response)
                check_status(response, 200, 304, 404)
                if response.status_code == httpx2.codes.NOT_FOUND:
                    return "none_published"
                if response.status_code == httpx2.codes.NOT_MODIFIED:
                    return "unchanged"
                etag = read_etag(response)
                if etag in {self.settings and self.settings.etag, self.refused_etag(POLICY)}:
                    return "unchanged"
                content = await read_body(response, LARGEST_POLICY)
            await self.take_policy(etag, content)
        return "installed"

    def known(self) -> dict[str, str]:
        """The last policy that came, refused or not, and the names last heard of: of these there is nothing to tell."""
        policy = self.refused_etag(POLICY) or (self.settings and self.settings.etag)
        known = {"If-None-Match": policy, "X-Preau-Names": self.announced}
        return {header: f'"{etag}"' for header, etag in known.items() if etag}

    def refused_etag(self, name: str) -> str | None:
        refusal = self.refusals.get(name)
        return None if refusal is None else refusal.etag

    def hear_of_names(self, response: httpx2.Response) -> None:
        etag = response.headers.get("X-Preau-Names", "").strip('"')
        if ETAG.fullmatch(f'"{etag}"') is None:
            return
        self.announced = etag
        self.look_again()

    async def take_policy(self, etag: str, content: bytes) -> None:
        """Verify a policy and judge by it from now on; raise BundleRefused and remember that it was."""
        part = self.data_dir / f"{POLICY}.part"
        try:
            part.write_bytes(content)
            settings = await asyncio.to_thread(open_newer, PolicyFile, part, etag, self.verify, self.settings)
            async with self.swapping:
                pair = None
                if self.names is not None:
                    pair = await asyncio.to_thread(
                        make_pair, self.names, settings, self.filter_id, self.zones, before=self.pair
                    )
                await asyncio.to_thread(settle, part, self.data_dir / POLICY)
                self.settings = settings
                self.refusals.pop(POLICY, None)
                if pair is not None:
                    self.use(pair)
        except BundleRefused as error:
            self.refuse(POLICY, etag, error)
            part.unlink(missing_ok=True)
            raise
        except OSError:  # no room: half a file must not keep it from others
            part.unlink(missing_ok=True)
            raise

    # --- names: large, by delta where one is offered ------------------------------------------------------------------

    async def fetch_names(self) -> str:
        """Bring the names that were announced; return ``unchanged``, ``none_published``, ``delta`` or ``whole``.

        Raise TalkFailed. What a cut transfer left is gone on with the next time.
        """
        self.news.clear()
        wanted = self.announced
        if wanted is None or wanted in {self.names and self.names.etag, self.refused_etag(NAMES)}:
            return "unchanged"
        async with translated():
            self.refuse_rollback(wanted)
            if await self.fetch_delta(wanted):
                return "delta"
            return await self.fetch_whole()

    def look_again(self) -> None:
        """Names that could not be fetched are still wanted, unless they were refused."""
        if self.announced not in {None, self.names and self.names.etag, self.refused_etag(NAMES)}:
            self.news.set()

    def refuse_rollback(self, etag: str) -> None:
        """Do not even fetch what is older than what serves; raise BundleRefused."""
        try:
            check_serial(serial_of(etag), self.names)
        except BundleRefused as error:
            self.refuse(NAMES, etag, error)
            raise

    async def fetch_delta(self, wanted: str) -> bool:
        """Make the new names from the old ones and what changed; False when the whole file must come instead."""
        if self.names is None or Download(self.part).find()[0] == wanted:
            return False  # nothing to start from, or most of the file may be here already
        delta = Download(self.data_dir / f"{NAMES}.delta")
        delta.forget()
        async with self.client.stream("GET", DELTA_PATH, params={"from": self.names.etag}) as response:
            if response.status_code == httpx2.codes.NOT_FOUND:
                return False
            check_status(response, 200)
            etag = read_etag(response)
            await delta.receive(response, self.names.size)
        made = self.data_dir / MADE
        try:
            await apply_aside(self.data_dir / NAMES, delta.path, made)
            await self.take_names(made, etag)
        except (DeltaRefused, BundleRefused) as error:  # a delta that lies costs one whole transfer, no more
            log.warning("delta not used, the whole file is fetched", extra={"error": str(error)})
            return False
        finally:
            delta.forget()
            made.unlink(missing_ok=True)
        return True

    @property
    def part(self) -> Path:
        return self.data_dir / f"{NAMES}.part"

    async def fetch_whole(self) -> str:
        """One request for the file, or for what is missing of it."""
        download = Download(self.part)
        async with self.client.stream("GET", NAMES_PATH, headers=download.headers()) as response:
            if response.status_code == httpx2.codes.NOT_FOUND:
                return "none_published"
            if response.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
                download.forget()
                raise TalkFailed("range", "the part kept is longer than the file; starting over")
            check_status(response, 200, 206)
            etag = read_etag(response)
            self.refuse_rollback(etag)
            resumed = await download.receive(response)
        try:
            await self.take_names(self.part, etag)
        except BundleRefused as error:
            if not resumed:  # else what is wrong may be the part that was here before: the whole is asked for once
                self.refuse(NAMES, etag, error)
            raise
        finally:
            download.forget()
        return "whole"

    async def take_names(self, path: Path, etag: str) -> None:
        """Verify names and judge by them from now on; raise BundleRefused."""
        names = await asyncio.to_thread(open_newer, NamesFile, path, etag, self.verify, self.names)
        async with self.swapping:
            pair = await self.pair_with(names)
            await asyncio.to_thread(settle, path, self.data_dir / NAMES)
            self.names = names
            self.refusals.pop(NAMES, None)
            if pair is not None:
                self.use(pair)

    async def pair_with(self, names: NamesFile) -> Pair | None:
        """The pair that new names make with the policy here; None without one.

        When no names served yet, a policy that does not fit is the one to blame: it is let go, not these names.
        """
        if self.settings is None:
            return None
        try:
            return await asyncio.to_thread(make_pair, names, self.settings, self.filter_id, self.zones)
        except BundleRefused as error:
            if self.names is not None:
                raise
            self.refuse(POLICY, self.settings.etag, error)
            self.settings = None
            return None

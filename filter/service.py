"""One running filter: sockets, the pair of files, cache and the conversation with the controller, as one."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Iterable
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path

from filter import namecounts
from filter.answering import Answering, ended, utc_now
from filter.binding import Bound
from filter.bundle import BundleRefused
from filter.config import FilterConfig, LocalFiles
from filter.namecounts import NameCounts
from filter.plane.choosing import describe
from filter.processes.forking import Forked
from filter.processes.supervisor import Supervisor
from filter.serving.asking import Desk
from filter.serving.blockpage import BlockPage
from filter.serving.sockets import Listening
from filter.serving.webserver import Request, Respond, Response, WebServer
from filter.signing import trust
from filter.updates.controller import make_client
from filter.updates.conversation import Conversation
from filter.updates.pair import Pair, open_pair
from filter.updates.previews import Previewer
from filter.updates.reporter import Reporter
from filter.updates.requests import Box, Courier
from filter.updates.updater import Refusal, Updater

log = logging.getLogger("filter")

CERTIFICATE_SECONDS = 10.0
"""How often the certificate's files are looked at."""


class FilterService:
    """Everything that `preau-filter serve` runs: answers in this process, or by workers."""

    def __init__(self, config: FilterConfig, bound: Bound, forked: Forked | None = None) -> None:
        """Answer on these sockets; raise CertificateInvalid. ``forked``: what makes workers, if it is there already."""
        self.config = config
        self.bound = bound
        self.answering = Answering(config)
        self.metrics = self.answering.metrics
        self.supervisor = Supervisor(config, bound.places, self.metrics, forked) if config.workers else None
        self.metrics.info.labels(version("preau"), describe(config.plane)).set(1)
        self.started_at = utc_now()
        self.pair: Pair | None = None
        self.refusals: dict[str, Refusal] = {}
        self.desk: Desk | None = None
        self.installing: set[asyncio.Task[None]] = set()
        self.answers = False

    def install(self, pair: Pair) -> None:
        """Judge from now on by this pair; workers have it a moment later (``installing``)."""
        self.answering.install(pair)
        self.pair = pair
        self.metrics.ready.set(1)
        self.metrics.bundle_serial.set(pair.names.serial)
        self.metrics.bundle_names.set(pair.names.names)
        self.metrics.policy_serial.set(pair.settings.serial)
        if self.supervisor is None:
            self.tell_of(pair)
        else:
            task = asyncio.create_task(self.hand_out(self.supervisor, pair))
            self.installing.add(task)
            task.add_done_callback(self.installing.discard)

    async def hand_out(self, supervisor: Supervisor, pair: Pair) -> None:
        """Have all workers judge by this pair."""
        await supervisor.install(pair)
        self.tell_of(pair)

    def tell_of(self, pair: Pair) -> None:
        """Once queries are answered; a pair that was there before is told of then."""
        if not self.answers:
            return
        names, policy = pair.names, pair.settings
        log.info("pair in use", extra={"names": names.serial, "policy": policy.serial, "count": names.names})

    def open_files(self) -> None:
        """Use the files named on the command line; raise BundleRefused or OSError."""
        if (files := self.config.files) is not None:
            self.install(read_files(files, self.config.forwards))

    async def reload_files(self) -> None:
        """Use the certificate and both files anew (SIGHUP); what cannot be used changes nothing."""
        await self.refresh_certificate(always=True)
        if (files := self.config.files) is None:
            return
        try:
            self.install(await asyncio.to_thread(read_files, files, self.config.forwards))
            await asyncio.gather(*self.installing)
        except (BundleRefused, OSError) as error:
            log.warning("bundle not reloaded, the open one stays", extra={"error": str(error)})
        else:
            log.info("bundle reloaded", extra=self.serials())

    async def refresh_certificate(self, *, always: bool = False) -> None:
        """Use another certificate when its files changed; connections keep the one that they began with."""
        if await (self.supervisor or self.answering).refresh_certificate(always=always):
            log.info("certificate reloaded")

    async def follow_certificate(self) -> None:
        """Use a new certificate soon after its files were replaced."""
        while True:
            await asyncio.sleep(CERTIFICATE_SECONDS)
            await self.refresh_certificate()

    def serials(self) -> dict[str, object]:
        """Which files are in use."""
        return {
            "serial": self.pair and self.pair.names.serial,
            "policy_serial": self.pair and self.pair.settings.serial,
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``; raise WorkersFailed."""
        async with AsyncExitStack() as stack:
            stack.callback(self.bound.close)
            await self.start_counting(stack)
            conversation = await self.prepare_conversation(stack)
            if self.supervisor is not None:
                stack.push_async_callback(self.supervisor.close)
                await self.supervisor.start()
            else:
                await self.answering.start(stack, self.bound.answering)
            await self.start_web(stack, self.bound)
            listen = [f"{each.kind}:{each.endpoint}" for each in self.bound.places[0]]
            log.info("filter answers", extra={"listen": listen, "workers": self.config.workers, **self.serials()})
            self.answers = True
            if self.pair is not None:
                self.tell_of(self.pair)
            self.answering.start_probing(stack)  # beside workers too: the block page asks for itself
            if self.config.certificate is not None:
                stack.push_async_callback(ended, asyncio.create_task(self.follow_certificate()))
            if conversation is not None:
                task = asyncio.create_task(conversation.go_on())
                stack.callback(task.cancel)
            await stop.wait()

    async def start_web(self, stack: AsyncExitStack, bound: Bound) -> None:
        """The block page and the metrics, each on its own address, when they are wanted."""
        block_page = BlockPage(
            lambda: self.answering.handler.policy, utc_now, self.desk, self.answering.handler.lookup.recall
        )
        pages: tuple[tuple[Listening | None, Respond], ...] = (
            (bound.block_page, block_page),
            (bound.metrics, self.watch),
        )
        for listening, respond in pages:
            if listening is not None:
                web = WebServer(respond)
                stack.push_async_callback(web.close)
                await web.listen(listening)

    async def start_counting(self, stack: AsyncExitStack) -> None:
        """Count names on this machine, when that is wanted; when not, what was counted before is removed."""
        if (folder := self.config.data_dir) is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        if self.config.name_counts_days == 0:
            namecounts.forget(folder)
            return
        counts = NameCounts(folder, self.config.name_counts_days, utc_now, self.metrics.name_counts_dropped.inc)
        try:
            await asyncio.to_thread(counts.start)
        except (sqlite3.Error, OSError) as error:
            log.warning("names are not counted", extra={"error": str(error)})
        if self.supervisor is None:
            self.answering.count_names(counts)
        else:
            self.supervisor.counts = counts
        task = asyncio.create_task(counts.keep())
        stack.push_async_callback(ended, task)

    async def prepare_conversation(self, stack: AsyncExitStack) -> Conversation | None:
        """Open the last good pair and prepare the talks with the controller; they begin once we listen."""
        if (controller := self.config.controller) is None:
            return None
        client = await stack.enter_async_context(make_client(controller))
        trusted = trust(controller.trusted_keys)
        updater = Updater(
            client, controller.data_dir, trusted, self.install, utc_now, controller.filter_id, self.config.forwards
        )
        await updater.start()
        self.refusals = updater.refusals
        reporter = Reporter(client, self.metrics, version("preau"), self.started_at, self.health, self.gather)
        courier = Courier(client, Box(controller.data_dir / "requests"))
        courier.start()
        self.desk = Desk(courier.box, utc_now, courier.news.set)
        previewer = Previewer(
            client, updater.previews, controller, self.counts_path(), lambda: self.pair is not None, utc_now
        )
        previewer.start()
        conversation = Conversation(
            updater, reporter, courier, previewer, self.metrics, lambda: self.pair, controller.interval
        )
        stack.push_async_callback(conversation.end)
        return conversation

    def counts_path(self) -> Path | None:
        """Where names are counted; None when they are not."""
        folder = self.config.data_dir
        return folder / namecounts.FILE if folder is not None and self.config.name_counts_days else None

    @property
    def is_ready(self) -> bool:
        """Whether queries are judged and answered."""
        return self.pair is not None and (self.supervisor is None or self.supervisor.is_ready)

    def health(self) -> dict[str, object]:
        """How this filter is, for the controller, `preau-filter status` and load balancers."""
        pair, now = self.pair, utc_now()
        return {
            "ready": self.is_ready,
            "version": version("preau"),
            "uptime_seconds": int((now - self.started_at).total_seconds()),
            "bundle_serial": pair and pair.names.serial,
            "bundle_compiled_at": pair and pair.names.compiled_at.isoformat(),
            "bundle_age_seconds": pair and int((now - pair.names.compiled_at).total_seconds()),
            "bundle_names": pair.names.names if pair else 0,
            "names_etag": pair and pair.names.etag,
            "policy_serial": pair and pair.settings.serial,
            "policy_compiled_at": pair and pair.settings.compiled_at.isoformat(),
            "policy_age_seconds": pair and int((now - pair.settings.compiled_at).total_seconds()),
            "policy_etag": pair and pair.settings.etag,
            "refused": {
                name: {"etag": refusal.etag, "reason": refusal.reason, "at": refusal.at.isoformat()}
                for name, refusal in self.refusals.items()
            },
            **(self.supervisor or self.answering).health(),
        }

    async def watch(self, request: Request) -> Response:
        """/metrics, /health/live, /health/ready."""
        match request.path:
            case "/health/live":
                return Response(200, b"live\n")
            case "/health/ready":
                await self.gather()
                body = json.dumps(self.health(), ensure_ascii=False).encode()
                return Response(200 if self.is_ready else 503, body, "application/json")
            case "/metrics":
                return Response(200, await self.render(), "text/plain; version=0.0.4; charset=utf-8")
            case _:
                return Response(404, b"/metrics /health/live /health/ready\n")

    async def render(self) -> bytes:
        """The text that Prometheus reads, over all processes."""
        if (pair := self.pair) is not None:
            self.metrics.bundle_age.set((utc_now() - pair.names.compiled_at).total_seconds())
            self.metrics.policy_age.set((utc_now() - pair.settings.compiled_at).total_seconds())
        places = None if self.supervisor is None else self.supervisor.places
        self.metrics.workers.set(1 if places is None else sum(place.ready.is_set() for place in places))
        await self.gather()
        return self.metrics.render() if self.supervisor is None else self.supervisor.render()

    async def gather(self) -> None:
        """Have everything in our metrics that was counted until now, here or by the workers."""
        if self.supervisor is None:
            self.answering.refresh_gauges()
        else:
            await self.supervisor.drain()


def read_files(files: LocalFiles, zones: Iterable[str]) -> Pair:
    """The pair of local files, signed when keys were named; raise BundleRefused or OSError."""
    return open_pair(files.names, files.policy, trust(files.trusted_keys) if files.trusted_keys else None, zones)

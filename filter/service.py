"""One running filter: sockets, the pair of files, cache and the conversation with the controller, as one."""

import asyncio
import json
import logging
import sqlite3
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from filter import namecounts
from filter.bundle import BundleRefused
from filter.config import Endpoint, FilterConfig, LocalFiles
from filter.metrics import Metrics
from filter.namecounts import NameCounts
from filter.serving.asking import Desk
from filter.serving.blockpage import BlockPage
from filter.serving.cache import Cache
from filter.serving.handler import Handler
from filter.serving.lookup import Lookup
from filter.serving.server import DnsServer
from filter.serving.upstream import Server, Upstreams
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


def utc_now() -> datetime:
    return datetime.now(UTC)


class FilterService:
    """Everything that `preau-filter serve` runs."""

    def __init__(self, config: FilterConfig) -> None:
        self.config = config
        self.metrics = Metrics()
        self.cache = Cache(config.cache_bytes)
        self.servers = tuple(Server(*upstream) for upstream in config.upstreams)
        upstreams = Upstreams(self.servers, self.metrics.observe_upstream)
        lookup = Lookup(upstreams.forward, self.cache, self.metrics.count_cache)
        self.handler = Handler(lookup, self.metrics, utc_now, config.block_addresses)
        self.started_at = utc_now()
        self.pair: Pair | None = None
        self.refusals: dict[str, Refusal] = {}
        self.desk: Desk | None = None

    def install(self, pair: Pair) -> None:
        """Judge from now on by this pair: one assignment between two queries."""
        self.handler.policy = pair.policy
        self.pair = pair
        self.metrics.ready.set(1)
        self.metrics.bundle_serial.set(pair.names.serial)
        self.metrics.bundle_names.set(pair.names.names)
        self.metrics.policy_serial.set(pair.settings.serial)

    def open_files(self) -> None:
        """Use the files named on the command line; raise BundleRefused or OSError."""
        if (files := self.config.files) is not None:
            self.install(read_files(files))

    async def reload_files(self) -> None:
        """Use both files anew (SIGHUP); when either cannot be used, nothing changes."""
        if (files := self.config.files) is None:
            return
        try:
            self.install(await asyncio.to_thread(read_files, files))
        except (BundleRefused, OSError) as error:
            log.warning("bundle not reloaded, the open one stays", extra={"error": str(error)})
        else:
            log.info("bundle reloaded", extra=self.serials())

    def serials(self) -> dict[str, object]:
        """Which files are in use."""
        return {
            "serial": self.pair and self.pair.names.serial,
            "policy_serial": self.pair and self.pair.settings.serial,
        }

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``; raise PortTaken when an address cannot be bound."""
        async with AsyncExitStack() as stack:
            dns = DnsServer(self.handler.answer, self.metrics)
            stack.push_async_callback(dns.close)
            await self.start_counting(stack)
            conversation = await self.prepare_conversation(stack)
            for endpoint in self.config.listen:
                await dns.listen(endpoint)
            await self.start_web(stack)
            log.info("filter answers", extra={"listen": [str(e) for e in self.config.listen], **self.serials()})
            if conversation is not None:
                task = asyncio.create_task(conversation.go_on())
                stack.callback(task.cancel)
            await stop.wait()

    async def start_web(self, stack: AsyncExitStack) -> None:
        """The block page and the metrics, each on its own address, when they are wanted."""
        block_page = BlockPage(lambda: self.handler.policy, utc_now, self.desk, self.handler.lookup.recall)
        pages: tuple[tuple[Endpoint | None, Respond], ...] = (
            (self.config.block_page, block_page),
            (self.config.metrics, self.watch),
        )
        for endpoint, respond in pages:
            if endpoint is not None:
                web = WebServer(respond)
                stack.push_async_callback(web.close)
                await web.listen(endpoint)

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
            return
        self.handler.observe = counts.count
        task = asyncio.create_task(counts.keep())
        stack.push_async_callback(ended, task)

    async def prepare_conversation(self, stack: AsyncExitStack) -> Conversation | None:
        """Open the last good pair and prepare the talks with the controller; they begin once we listen."""
        if (controller := self.config.controller) is None:
            return None
        client = await stack.enter_async_context(make_client(controller))
        trusted = trust(controller.trusted_keys)
        updater = Updater(client, controller.data_dir, trusted, self.install, utc_now, controller.filter_id)
        await updater.start()
        self.refusals = updater.refusals
        reporter = Reporter(client, self.metrics, version("preau"), self.started_at, self.health)
        courier = Courier(client, Box(controller.data_dir / "requests"))
        courier.start()
        self.desk = Desk(courier.box, utc_now, courier.news.set)
        previewer = Previewer(
            client, updater.previews, controller, self.counts_path(), lambda: self.pair is not None, utc_now
        )
        previewer.start()
        return Conversation(updater, reporter, courier, previewer, self.metrics, lambda: self.pair, controller.interval)

    def counts_path(self) -> Path | None:
        """Where names are counted; None when they are not."""
        folder = self.config.data_dir
        return folder / namecounts.FILE if folder is not None and self.config.name_counts_days else None

    def health(self) -> dict[str, object]:
        """How this filter is, for the controller, `preau-filter status` and load balancers."""
        pair, now = self.pair, utc_now()
        return {
            "ready": pair is not None,
            "uptime_seconds": int((now - self.started_at).total_seconds()),
            "bundle_serial": pair and pair.names.serial,
            "bundle_compiled_at": pair and pair.names.compiled_at.isoformat(),
            "bundle_names": pair.names.names if pair else 0,
            "names_etag": pair and pair.names.etag,
            "policy_serial": pair and pair.settings.serial,
            "policy_compiled_at": pair and pair.settings.compiled_at.isoformat(),
            "policy_etag": pair and pair.settings.etag,
            "refused": {
                name: {"etag": refusal.etag, "reason": refusal.reason, "at": refusal.at.isoformat()}
                for name, refusal in self.refusals.items()
            },
            "cache_entries": len(self.cache),
            "cache_bytes": self.cache.bytes,
            "upstreams": [{"address": str(server), "failures": server.failures} for server in self.servers],
        }

    async def watch(self, request: Request) -> Response:
        """/metrics, /health/live, /health/ready."""
        match request.path:
            case "/health/live":
                return Response(200, b"live\n")
            case "/health/ready":
                body = json.dumps(self.health(), ensure_ascii=False).encode()
                return Response(200 if self.pair else 503, body, "application/json")
            case "/metrics":
                self.refresh_gauges()
                return Response(200, self.metrics.render(), "text/plain; version=0.0.4; charset=utf-8")
            case _:
                return Response(404, b"/metrics /health/live /health/ready\n")

    def refresh_gauges(self) -> None:
        self.metrics.cache_entries.set(len(self.cache))
        self.metrics.cache_bytes.set(self.cache.bytes)
        if (pair := self.pair) is not None:
            self.metrics.bundle_age.set((utc_now() - pair.names.compiled_at).total_seconds())
            self.metrics.policy_age.set((utc_now() - pair.settings.compiled_at).total_seconds())


def read_files(files: LocalFiles) -> Pair:
    """The pair of local files, signed when keys were named; raise BundleRefused or OSError."""
    return open_pair(files.names, files.policy, trust(files.trusted_keys) if files.trusted_keys else None)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has put its things away."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

"""One running filter: sockets, policy, cache and the conversation with the controller, started and stopped as one."""

import asyncio
import json
import logging
import random
import ssl
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib.metadata import version

import httpx2

from filter.blockpage import BlockPage
from filter.bundle import BundleRefused
from filter.cache import Cache
from filter.config import Controller, FilterConfig
from filter.handler import Handler
from filter.lookup import Lookup
from filter.metrics import Metrics
from filter.policy import Policy
from filter.reporter import Reporter
from filter.server import DnsServer
from filter.updater import UpdateFailed, Updater, open_policy
from filter.upstream import Server, Upstreams
from filter.webserver import Request, Response, WebServer

log = logging.getLogger("filter")

HTTP_TIMEOUT = httpx2.Timeout(10.0, connect=5.0)
LONGEST_PAUSE = 300.0


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
        self.digest: str | None = None

    def install(self, policy: Policy, digest: str) -> None:
        """Judge from now on by this policy."""
        self.handler.policy = policy
        self.digest = digest
        self.metrics.ready.set(1)
        self.metrics.bundle_serial.set(policy.bundle.serial)
        self.metrics.bundle_names.set(policy.bundle.names)

    def open_file(self) -> None:
        """Use the bundle named on the command line; raise BundleRefused or OSError."""
        if self.config.bundle is not None:
            self.install(*open_policy(self.config.bundle))

    async def reload_file(self) -> None:
        """Use the file anew (SIGHUP); a file that cannot be used changes nothing."""
        if self.config.bundle is None:
            return
        try:
            self.install(*await asyncio.to_thread(open_policy, self.config.bundle))
        except (BundleRefused, OSError) as error:
            log.warning("bundle not reloaded, the open one stays", extra={"error": str(error)})
        else:
            log.info("bundle reloaded", extra={"serial": self.bundle_serial})

    @property
    def bundle_serial(self) -> int | None:
        policy = self.handler.policy
        return None if policy is None else policy.bundle.serial

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``; raise PortTaken when an address cannot be bound."""
        async with AsyncExitStack() as stack:
            dns = DnsServer(self.handler.answer, self.metrics)
            stack.push_async_callback(dns.close)
            updating = await self.start_updating(stack)
            for endpoint in self.config.listen:
                await dns.listen(endpoint)
            await self.start_web(stack)
            log.info(
                "filter answers",
                extra={"listen": [str(e) for e in self.config.listen], "serial": self.bundle_serial},
            )
            if updating is not None:
                updating.set()
            await stop.wait()

    async def start_web(self, stack: AsyncExitStack) -> None:
        """The block page and the metrics, each on its own address, when they are wanted."""
        pages = (
            (self.config.block_page, BlockPage(lambda: self.handler.policy, utc_now)),
            (self.config.metrics, self.watch),
        )
        for endpoint, respond in pages:
            if endpoint is not None:
                web = WebServer(respond)
                stack.push_async_callback(web.close)
                await web.listen(endpoint)

    async def start_updating(self, stack: AsyncExitStack) -> asyncio.Event | None:
        """Open the last good bundle and prepare the conversation with the controller; it begins once we listen."""
        if (controller := self.config.controller) is None:
            return None
        client = await stack.enter_async_context(make_client(controller))
        updater = Updater(client, controller.data_dir, self.install)
        await updater.start()
        reporter = Reporter(client, self.metrics, version("preau"), self.started_at, self.health, utc_now)
        listening = asyncio.Event()
        task = asyncio.create_task(self.keep_conversing(listening, updater, reporter, controller.interval))
        stack.callback(task.cancel)
        return listening

    async def keep_conversing(
        self, listening: asyncio.Event, updater: Updater, reporter: Reporter, interval: float
    ) -> None:
        """Converse, and begin anew should a fault of ours end it: answers go on meanwhile."""
        await listening.wait()
        while True:
            task = asyncio.create_task(self.converse(updater, reporter, interval))
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
            log.error("the conversation with the controller broke off", exc_info=task.exception())
            await asyncio.sleep(interval)

    async def converse(self, updater: Updater, reporter: Reporter, interval: float) -> None:
        """Fetch and report for ever; further apart while the controller is away, and never all filters at once."""
        failures = 0
        while True:
            failures = failures + 1 if not await self.talk(updater, reporter) else 0
            pause = min(interval * 2 ** max(min(failures, 10) - 1, 0), max(interval, LONGEST_PAUSE))
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311  # spreads load, guards nothing

    async def talk(self, updater: Updater, reporter: Reporter) -> bool:
        """One poll and one report; whether the controller was there."""
        there = True
        for name, metric, send in (
            ("bundle", self.metrics.bundle_updates, updater.poll),
            ("report", self.metrics.reports, lambda: reporter.send(updater.serial or None, updater.digest)),
        ):
            try:
                outcome = await send() or "sent"
            except UpdateFailed as error:
                outcome, there = error.outcome, there and error.outcome != "unreachable"
                log.warning(f"{name} failed", extra={"outcome": outcome, "error": str(error)})  # noqa: G004  # two fixed words
            metric.labels(outcome).inc()
        return there

    def health(self) -> dict[str, object]:
        """How this filter is, for the controller, `preau-filter status` and load balancers."""
        policy = self.handler.policy
        now = utc_now()
        return {
            "ready": policy is not None,
            "uptime_seconds": int((now - self.started_at).total_seconds()),
            "bundle_serial": self.bundle_serial,
            "bundle_compiled_at": policy.bundle.compiled_at.isoformat() if policy else None,
            "bundle_names": policy.bundle.names if policy else 0,
            "cache_entries": len(self.cache),
            "cache_bytes": self.cache.bytes,
            "upstreams": [{"address": str(server), "failures": server.failures} for server in self.servers],
        }

    def watch(self, request: Request) -> Response:
        """/metrics, /health/live, /health/ready."""
        match request.path:
            case "/health/live":
                return Response(200, b"live\n")
            case "/health/ready":
                body = json.dumps(self.health(), ensure_ascii=False).encode()
                return Response(200 if self.handler.policy else 503, body, "application/json")
            case "/metrics":
                self.refresh_gauges()
                return Response(200, self.metrics.render(), "text/plain; version=0.0.4; charset=utf-8")
            case _:
                return Response(404, b"/metrics /health/live /health/ready\n")

    def refresh_gauges(self) -> None:
        self.metrics.cache_entries.set(len(self.cache))
        self.metrics.cache_bytes.set(self.cache.bytes)
        if (policy := self.handler.policy) is not None:
            self.metrics.bundle_age.set((utc_now() - policy.bundle.compiled_at).total_seconds())


def make_client(controller: Controller) -> httpx2.AsyncClient:
    """A client of the controller, its certificate verified by the CA given, or by the system's."""
    return httpx2.AsyncClient(
        base_url=controller.url,
        headers={"Authorization": f"Bearer {controller.credential}", "Accept-Encoding": "identity"},
        verify=ssl.create_default_context(cafile=controller.ca_file),
        timeout=HTTP_TIMEOUT,
        trust_env=False,
    )

"""Every Prometheus metric of the filter, and the hourly totals for the controller. Never a name or an address."""

from collections import Counter
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Metric

HOURS_KEPT = 48
ANSWER_BUCKETS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """One registry for each filter, so that two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.queries = Metric(
            "filter_queries", "Queries answered.", ["action", "rule", "category"], registry=self.registry
        )
        self.dropped = Metric("filter_dropped", "Packets left without a reply.", ["reason"], registry=self.registry)
        self.answer_seconds = Histogram(
            "filter_answer_seconds", "From query to reply.", buckets=ANSWER_BUCKETS, registry=self.registry
        )
        self.upstream_seconds = Histogram(
            "filter_upstream_seconds", "One try with one upstream.", ["outcome"], registry=self.registry
        )
        self.cache_lookups = Metric(
            "filter_cache_lookups", "Look-ups in the cache.", ["outcome"], registry=self.registry
        )
        self.cache_entries = Gauge("filter_cache_entries", "Answers kept.", registry=self.registry)
        self.cache_bytes = Gauge("filter_cache_bytes", "Bytes of answers kept.", registry=self.registry)
        self.tcp_connections = Gauge("filter_tcp_connections", "TCP connections open.", registry=self.registry)
        self.ready = Gauge("filter_ready", "1 when a bundle is open.", registry=self.registry)
        self.bundle_serial = Gauge("filter_bundle_serial", "Serial of the open bundle.", registry=self.registry)
        self.bundle_names = Gauge("filter_bundle_names", "Names in the open bundle.", registry=self.registry)
        self.bundle_age = Gauge(
            "filter_bundle_age_seconds", "Since the open bundle was compiled.", registry=self.registry
        )
        self.bundle_updates = Metric(
            "filter_bundle_updates", "Bundles offered by the controller.", ["outcome"], registry=self.registry
        )
        self.reports = Metric("filter_reports", "Reports to the controller.", ["outcome"], registry=self.registry)
        self.hourly: Counter[tuple[datetime, str, str]] = Counter()

    def count(self, now: datetime, action: str, rule: str, category: str | None) -> None:
        """One more query answered."""
        self.queries.labels(action, rule, category or "").inc()
        self.hourly[now.replace(minute=0, second=0, microsecond=0), action, category or ""] += 1

    def count_cache(self, outcome: str) -> None:
        self.cache_lookups.labels(outcome).inc()

    def observe_upstream(self, seconds: float, answered: bool) -> None:
        self.upstream_seconds.labels("answered" if answered else "failed").observe(seconds)

    def forget_old_hours(self, now: datetime) -> None:
        """Keep the hourly totals bounded when no controller takes them."""
        for key in [key for key in self.hourly if (now - key[0]).total_seconds() > HOURS_KEPT * 3600]:
            del self.hourly[key]

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)

"""Every Prometheus metric of the filter, and the hourly totals for the controller. Never a name or an address."""

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Metric

from filter.totals import Totals

ANSWER_BUCKETS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Durations(Histogram):
    """Seconds, some of which were counted elsewhere, in the same buckets."""

    def add(self, counts: Sequence[int], microseconds: int) -> None:
        """``counts`` of each bucket and of what is above them all."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            bucket.inc(count)
        self._sum.inc(microseconds / 1_000_000)


class Metrics:
    """One registry for each filter, so that two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.queries = Metric(
            "filter_queries", "Queries answered.", ["action", "rule", "category"], registry=self.registry
        )
        self.dropped = Metric("filter_dropped", "Packets left without a reply.", ["reason"], registry=self.registry)
        self.dropped.labels("overload")  # from zero on: what an alert reads is there before it happens
        self.answer_seconds = Durations(
            "filter_answer_seconds", "From query to reply.", buckets=ANSWER_BUCKETS, registry=self.registry
        )
        self.upstream_seconds = Durations(
            "filter_upstream_seconds", "One try with one upstream.", ["upstream", "outcome"], buckets=ANSWER_BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self.cache_lookups = Metric(
            "filter_cache_lookups", "Look-ups in the cache.", ["outcome"], registry=self.registry
        )
        self.cache_entries = Gauge("filter_cache_entries", "Answers kept.", registry=self.registry)
        self.cache_bytes = Gauge("filter_cache_bytes", "Bytes of answers kept.", registry=self.registry)
        self.connections = Gauge(
            "filter_connections", "Connections open, by what is spoken on them.", ["kind"], registry=self.registry
        )
        self.handshakes = Metric(
            "filter_handshakes", "TLS handshakes, by listener.", ["kind", "outcome"], registry=self.registry
        )
        self.handed_over = Metric(
            "filter_handed_over", "Queries that the compiled plane left to Python.", ["reason"], registry=self.registry
        )
        self.info = Gauge(
            "filter_info", "1, of this version, where this answers over UDP.", ["version", "plane"],
            registry=self.registry,
        )  # fmt: skip
        self.workers = Gauge("filter_workers", "Processes that answer now.", registry=self.registry)
        self.worker_restarts = Metric(
            "filter_worker_restarts", "Worker processes that died and were replaced.", registry=self.registry
        )
        self.ready = Gauge("filter_ready", "1 when names and policy are open.", registry=self.registry)
        self.bundle_serial = Gauge("filter_bundle_serial", "Serial of the names in use.", registry=self.registry)
        self.bundle_names = Gauge("filter_bundle_names", "How many names are in use.", registry=self.registry)
        self.bundle_age = Gauge(
            "filter_bundle_age_seconds", "Since the names in use were compiled.", registry=self.registry
        )
        self.policy_serial = Gauge("filter_policy_serial", "Serial of the policy in use.", registry=self.registry)
        self.policy_age = Gauge(
            "filter_policy_age_seconds", "Since the policy in use was compiled.", registry=self.registry
        )
        self.talks = Metric(
            "filter_talks", "Talks with the controller: policy, names, report, request.", ["talk", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self.name_counts_dropped = Metric(
            "filter_name_counts_dropped", "Queries left out of the store of name counts.", registry=self.registry
        )
        self.hourly = Totals()
        """By action and category, over all schools."""
        self.by_school = Totals()
        """By UAI, action and category: of profiles that belong to one school."""

    def count(self, now: datetime, action: str, rule: str, category: str | None, school: str = "") -> None:
        """One more query answered."""
        self.queries.labels(action, rule, category or "").inc()
        hour = now.replace(minute=0, second=0, microsecond=0)
        self.hourly.add(hour, (action, category or ""))
        if school:
            self.by_school.add(hour, (school, action, category or ""))

    def count_many(self, queries: int, hour: datetime, action: str, rule: str, category: str, school: str) -> None:
        """So many more of one kind, answered in the hour that began then."""
        self.queries.labels(action, rule, category).inc(queries)
        self.hourly.add(hour, (action, category), queries)
        if school:
            self.by_school.add(hour, (school, action, category), queries)

    def count_cache(self, outcome: str) -> None:
        self.cache_lookups.labels(outcome).inc()

    def observe_upstream(self, upstream: str, seconds: float, answered: bool) -> None:
        """``upstream``: as the settings write it; theirs is the only address that is a label."""
        self.upstream_seconds.labels(upstream, "answered" if answered else "failed").observe(seconds)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)

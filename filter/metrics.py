"""Every Prometheus metric of the filter, and the hourly totals for the controller. Never a name or an address."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Metric
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from filter.totals import Totals

ANSWER_BUCKETS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
FASTEST = (0,) * len(ANSWER_BUCKETS)
"""What stands behind the count of the first bucket, when all answers were that fast."""


class Durations(Histogram):
    """Seconds, some of which were counted elsewhere, in the same buckets."""

    def add(self, counts: Sequence[int], microseconds: int) -> None:
        """``counts`` of each bucket and of what is above them all."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            bucket.inc(count)
        self._sum.inc(microseconds / 1_000_000)


class Gathered:
    """Durations that nobody looked at yet."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0, *FASTEST]
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(ANSWER_BUCKETS, seconds)] += 1
        self.seconds += seconds

    def settle(self, durations: Durations) -> None:
        """Count them."""
        if any(self.counts):
            durations.add(self.counts, round(self.seconds * 1_000_000))
            self.counts, self.seconds = [0, *FASTEST], 0.0


class Settled(Collector):
    """Whoever collects, everything is counted first."""

    def __init__(self, settle: Callable[[], None]) -> None:
        self.settle = settle

    def collect(self) -> Iterable[Family]:
        self.settle()
        return ()


class Metrics:
    """One registry for each filter, so that two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(Settled(self.settle))
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
        self.counted: Counter[tuple[datetime, str, str, str, str]] = Counter()
        self.looked_up: Counter[str] = Counter()
        self.answers = Gathered()
        self.tries: dict[tuple[str, bool], Gathered] = {}
        self.hour = self.next_hour = datetime.min.replace(tzinfo=UTC)
        self._hourly, self._by_school = Totals(), Totals()

    @property
    def hourly(self) -> Totals:
        """By action and category, over all schools."""
        self.settle()
        return self._hourly

    @property
    def by_school(self) -> Totals:
        """By UAI, action and category: of profiles that belong to one school."""
        self.settle()
        return self._by_school

    def count(self, now: datetime, action: str, rule: str, category: str | None, school: str = "") -> None:
        """One more query answered."""
        if not self.hour <= now < self.next_hour:
            self.hour = now.replace(minute=0, second=0, microsecond=0)
            self.next_hour = self.hour + timedelta(hours=1)
        self.counted[self.hour, action, rule, category or "", school] += 1

    def count_many(self, queries: int, hour: datetime, action: str, rule: str, category: str, school: str) -> None:
        """So many more of one kind, answered in the hour that began then."""
        self.counted[hour, action, rule, category, school] += queries

    def count_cache(self, outcome: str) -> None:
        self.looked_up[outcome] += 1

    def observe_answer(self, seconds: float) -> None:
        """From query to reply."""
        self.answers.observe(seconds)

    def observe_upstream(self, upstream: str, seconds: float, answered: bool) -> None:
        """``upstream``: as the settings write it; theirs is the only address that is a label."""
        key = upstream, answered
        if (gathered := self.tries.get(key)) is None:
            gathered = self.tries[key] = Gathered()
        gathered.observe(seconds)

    def settle(self) -> None:
        """Have everything in the metrics that was counted until now: locks and labels for each would cost more than the
        rest of an answer."""
        counted, self.counted = self.counted, Counter()
        for (hour, action, rule, category, school), queries in counted.items():
            self.queries.labels(action, rule, category).inc(queries)
            self._hourly.add(hour, (action, category), queries)
            if school:
                self._by_school.add(hour, (school, action, category), queries)
        looked_up, self.looked_up = self.looked_up, Counter()
        for outcome, lookups in looked_up.items():
            self.cache_lookups.labels(outcome).inc(lookups)
        self.answers.settle(self.answer_seconds)
        for (upstream, answered), gathered in self.tries.items():
            gathered.settle(self.upstream_seconds.labels(upstream, "answered" if answered else "failed"))

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)

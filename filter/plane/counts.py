"""Brings what the plane counted to where Python counts: metrics, hourly totals, names."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from filter.metrics import Metrics
from filter.plane.teacher import Teacher
from filter.tally import Key

if TYPE_CHECKING:
    from filter.plane._plane import Counts, Plane

GROUPS = ("address", "service", "other")
HOUR = 3600


class Names(Protocol):
    """Where names are counted: filter.namecounts, or a worker's tally."""

    key: bytes
    """Of the day: it says which bit a device lights."""

    def add(self, key: Key, queries: int, bits: int) -> None: ...


class Drain:
    """Takes what was counted since the last time; nothing is counted twice or forgotten."""

    def __init__(self, plane: "Plane", teacher: Teacher, metrics: Metrics, upstream: str = "") -> None:
        """``upstream``: the resolver that the plane asks, "" when it asks several: it does not count them apart."""
        self.plane = plane
        self.teacher = teacher
        self.metrics = metrics
        self.upstream = upstream
        self.cache_entries = self.cache_bytes = 0
        self.names: Names | None = None
        self.key: bytes | None = None

    def take(self, names_too: bool = True) -> None:
        """``names_too``: they are many, and the store writes them twice a minute only (filter.namecounts)."""
        if names_too or (self.names is not None and self.names.key != self.key):
            self.take_names()
        counts = self.plane.take_counts()
        metrics = self.metrics
        for hour, number, queries in counts["classes"]:
            action, rule, category, school = self.teacher.classes.keys[number]
            began = datetime.fromtimestamp(hour * HOUR, UTC)
            metrics.count_many(queries, began, action, rule, category, school)
        self.take_durations(counts)
        for metric, label, queries in (
            (metrics.cache_lookups, "hit", counts["hits"]),
            (metrics.cache_lookups, "miss", counts["misses"]),
            (metrics.cache_lookups, "prefetch", counts["prefetches"]),
            (metrics.dropped, "no_query", counts["no_query"]),
            (metrics.dropped, "rate", counts["rate"]),
            (metrics.dropped, "slip", counts["slip"]),
            (metrics.dropped, "overload", counts["overload"]),
        ):
            if queries:  # what never happened has no series
                metric.labels(label).inc(queries)
        metrics.name_counts_dropped.inc(counts["names_dropped"])
        self.cache_entries, self.cache_bytes = counts["cache_entries"], counts["cache_bytes"]

    def take_durations(self, counts: "Counts") -> None:
        self.metrics.answer_seconds.add(*counts["answers"])
        for outcome, durations in (("answered", counts["upstream_answered"]), ("failed", counts["upstream_failed"])):
            if any(durations[0]):
                self.metrics.upstream_seconds.labels(self.upstream, outcome).add(*durations)

    def take_names(self) -> None:
        """Into the store's memory; a new day's key holds from here on."""
        if (names := self.names) is None:
            return
        for name, group, slug, queries, bits in self.plane.take_names():
            key = name, GROUPS[group], self.teacher.slugs[slug]
            names.add(key, queries, int.from_bytes(bits, "little"))
        if names.key != self.key:
            self.key = names.key
            self.plane.count_names(self.key)

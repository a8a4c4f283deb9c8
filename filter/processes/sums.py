"""Metrics of several processes as one: each worker's samples, added up, those of dead ones too."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

Labels = tuple[tuple[str, str], ...]


class Family(msgspec.Struct, array_like=True):
    """One metric and its samples: (name, labels, value)."""

    name: str
    help: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


def snapshot(registry: CollectorRegistry) -> list[Family]:
    """All that a registry holds now, as plain data."""
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            [(sample.name, dict(sample.labels), sample.value) for sample in metric.samples],
        )
        for metric in registry.collect()
    ]


@dataclass(slots=True)
class Sum:
    """One metric over all processes."""

    help: str
    kind: str
    values: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def add(self, family: Family) -> None:
        for name, labels, value in family.samples:
            key = name, tuple(labels.items())
            known = self.values.get(key)
            if known is None:
                self.values[key] = value
            else:
                self.values[key] = min(known, value) if name.endswith("_created") else known + value


def add_up(snapshots: Iterable[Iterable[Family]]) -> dict[str, Sum]:
    """Metric -> its sum; the moment a counter began is the earliest."""
    sums: dict[str, Sum] = {}
    for families in snapshots:
        for family in families:
            sums.setdefault(family.name, Sum(family.help, family.kind)).add(family)
    return sums


def lasting(families: Iterable[Family]) -> list[Family]:
    """What of a process counts when it is gone: never a gauge."""
    return [family for family in families if family.kind != "gauge"]


def as_families(sums: Mapping[str, Sum]) -> list[Family]:
    """A sum as one process's snapshot."""
    return [
        Family(name, each.help, each.kind, [(n, dict(labels), v) for (n, labels), v in each.values.items()])
        for name, each in sums.items()
    ]


class Sums(Collector):
    """What is shown: a sum, as a collector of prometheus_client."""

    def __init__(self, sums: Mapping[str, Sum]) -> None:
        self.sums = sums

    def collect(self) -> Iterator[Metric]:
        for name, each in self.sums.items():
            metric = Metric(name, each.help, each.kind)
            for (sample, labels), value in each.values.items():
                metric.add_sample(sample, dict(labels), value)
            yield metric


def render(snapshots: Iterable[Iterable[Family]]) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(Sums(add_up(snapshots)))
    return generate_latest(registry)

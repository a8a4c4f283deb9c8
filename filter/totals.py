"""Hourly totals, bounded, and which of them the controller has not heard of yet."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

HOURS_KEPT = 48
"""Hours of which totals are kept while no controller takes them; also from the present one on, should clocks jump."""


class Total(NamedTuple):
    """How many queries of one hour had one outcome, since this run began."""

    hour: datetime
    key: tuple[str, ...]
    queries: int


class Totals:
    """Totals by hour and key. ``add`` is called for every query; nothing here is ever sorted but the hours."""

    def __init__(self) -> None:
        self.hours: dict[datetime, Counter[tuple[str, ...]]] = {}
        self.untold: dict[datetime, set[tuple[str, ...]]] = {}
        """Hour -> keys whose total changed since it was told."""

    def add(self, hour: datetime, key: tuple[str, ...], queries: int = 1) -> None:
        """So many more."""
        if (counts := self.hours.get(hour)) is None:
            counts = self.begin(hour)
        counts[key] += queries
        self.untold[hour].add(key)

    def begin(self, hour: datetime) -> Counter[tuple[str, ...]]:
        """A new hour; those that are too far from it are forgotten."""
        for known in [each for each in self.hours if abs((hour - each).total_seconds()) > HOURS_KEPT * 3600]:
            del self.hours[known], self.untold[known]
        counts = self.hours[hour] = Counter()
        self.untold[hour] = set()
        return counts

    def take(self) -> list[Total]:
        """Everything since this was last called, for another's totals."""
        hours, self.hours, self.untold = self.hours, {}, {}
        return [Total(hour, key, queries) for hour, counts in hours.items() for key, queries in counts.items()]

    def news(self, most: int) -> list[Total]:
        """What is still to be told, of the newest hours first; ``most`` of it."""
        found: list[Total] = []
        for hour in sorted(self.untold, reverse=True):
            counts = self.hours[hour]
            for key in self.untold[hour]:
                if len(found) == most:
                    return found
                found.append(Total(hour, key, counts[key]))
        return found

    def told(self, totals: Iterable[Total]) -> None:
        """The controller has these; what grew meanwhile is told again."""
        for total in totals:
            if total.hour in self.hours and self.hours[total.hour][total.key] == total.queries:
                self.untold[total.hour].discard(total.key)

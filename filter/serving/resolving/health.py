"""How each resolver has been doing: how fast it answers, whether it does, and when to ask it again."""

from filter.resolvers import Resolver

LONGEST_PENALTY = 30.0
MANY_FAILURES = 2
"""In a row, and others are asked first: one packet is lost now and then."""
FIRST_PATIENCE, LEAST_PATIENCE, MOST_PATIENCE = 0.4, 0.2, 1.0
"""Seconds before the next resolver is asked besides: nothing measured yet; the bounds of what is measured."""


class Server:
    """One resolver and its measurements. Times are the caller's, in seconds that never go back."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self.label = str(resolver)
        self.failures = 0
        self.retry_at = 0.0
        """Until then, others are asked first."""
        self.leads_back = False
        """It asks this very filter: it is not asked at all."""
        self.mean: float | None = None
        """Seconds to an answer, smoothed as TCP does (RFC 6298); None: never answered."""
        self.spread = 0.0

    def __str__(self) -> str:
        return self.label

    @property
    def is_down(self) -> bool:
        return self.failures >= MANY_FAILURES or self.leads_back

    @property
    def patience(self) -> float:
        """Seconds after which an answer of this server is late."""
        if self.mean is None:
            return FIRST_PATIENCE
        return min(max(self.mean + 4 * self.spread, LEAST_PATIENCE), MOST_PATIENCE)

    def health(self) -> dict[str, object]:
        """How it has been doing, for people and their tools."""
        return {
            "address": str(self),
            "failures": self.failures,
            "milliseconds": None if self.mean is None else round(self.mean * 1000, 1),
            "leads_back": self.leads_back,
        }

    def answered(self, seconds: float) -> None:
        self.failures, self.retry_at = 0, 0.0
        if self.mean is None:
            self.mean, self.spread = seconds, seconds / 2
            return
        self.spread += (abs(seconds - self.mean) - self.spread) / 4
        self.mean += (seconds - self.mean) / 8

    def failed(self, now: float) -> None:
        self.failures += 1
        self.retry_at = now + min(2.0 ** min(self.failures - 1, 10), LONGEST_PENALTY)

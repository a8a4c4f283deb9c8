"""Token buckets, of which there are never more than a fixed number: those that were used least lately are forgotten."""

from collections import OrderedDict

MOST = 50_000
BURST_SECONDS = 2.0
"""How long a client may have been silent for and ask at once."""


class Buckets:
    """Who -> how many tokens, and since when."""

    def __init__(self, burst_seconds: float = BURST_SECONDS) -> None:
        self.burst_seconds = burst_seconds
        self.known: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def draw(self, name: str, rate: float, now: float) -> float:
        """Take a token, of which ``rate`` come back each second; the seconds until there is one when there is none."""
        most = rate * self.burst_seconds
        tokens, since = self.known.pop(name, (most, now))
        tokens = min(most, tokens + (now - since) * rate)
        if len(self.known) >= MOST:
            self.known.popitem(last=False)
        enough = tokens >= 1.0
        self.known[name] = (tokens - 1.0 if enough else tokens, now)
        return 0.0 if enough else (1.0 - tokens) / rate

"""RuleRefused: one line of a list says something that cannot be done here, or says it wrong."""


class RuleRefused(ValueError):
    """``reason`` is a key of filter.lists.source.REASONS. The line is left out, never widened to what it might mean."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

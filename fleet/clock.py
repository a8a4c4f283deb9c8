"""The present moment, as something that tests can set."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends


def utc_now() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(UTC)


Now = Annotated[datetime, Depends(utc_now)]
"""One moment a request; a test overrides ``utc_now`` to stop the clock."""

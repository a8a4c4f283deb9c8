"""Whether this controller can work: for load balancers and the supervisor."""

import logging

from fastapi import APIRouter, Response
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from fleet.db import transaction
from fleet.doors import Door

router = APIRouter(tags=["health"])
log = logging.getLogger(__name__)


@router.get("/health/live")
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/health/ready", responses={503: {"description": "The database is away or too busy"}})
def ready(response: Response) -> dict[str, str]:
    """The process answers and reaches its database; 503 with a reason when it does not."""
    try:
        with transaction(Door.GATE) as session:
            session.execute(text("SELECT 1"))
    except (OperationalError, PoolExhausted) as error:
        log.warning("not ready", extra={"error": str(error)})
        response.status_code = 503
        reason = "database_busy" if isinstance(error, PoolExhausted) else "database_unreachable"
        return {"status": "unavailable", "reason": reason}
    return {"status": "ok"}

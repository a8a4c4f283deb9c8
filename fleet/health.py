"""Whether this controller can work: for load balancers and the supervisor."""

from fastapi import APIRouter
from sqlalchemy import text

from fleet.db import DbSession

router = APIRouter(tags=["health"])


@router.get("/health/live")
def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/health/ready")
def ready(session: DbSession) -> dict[str, str]:
    """The process answers and reaches its database."""
    session.execute(text("SELECT 1"))
    return {"status": "ok"}

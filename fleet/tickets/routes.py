"""HTTP of tickets."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/tickets", tags=["tickets"])

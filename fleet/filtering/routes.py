"""HTTP of filtering."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/filtering", tags=["filtering"])

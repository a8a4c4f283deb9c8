"""HTTP of collectivities."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/collectivities", tags=["collectivities"])

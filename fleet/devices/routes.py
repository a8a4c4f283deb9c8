"""HTTP of devices."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/devices", tags=["devices"])

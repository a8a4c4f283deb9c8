"""HTTP of checkins."""

from fastapi import APIRouter

router = APIRouter(prefix="", tags=["checkins"])

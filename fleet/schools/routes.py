"""HTTP of schools."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/schools", tags=["schools"])

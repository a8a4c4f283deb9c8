"""HTTP of enrollment."""

from fastapi import APIRouter

router = APIRouter(prefix="", tags=["enrollment"])

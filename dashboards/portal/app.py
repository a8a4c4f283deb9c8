"""The portal: the controller's application plus the pages that people open."""

from fastapi import FastAPI

from fleet.app import create_app
from fleet.config import FleetConfig
from fleet.environment import read_environment


def create_portal(config: FleetConfig | None = None) -> FastAPI:
    """Everything one controller process serves; without ``config``, it is read from the environment."""
    return create_app(config or FleetConfig.from_environ(read_environment()))

"""Whoever runs `preau …` on the controller: the database they open, and the rights they have."""

from uuid import UUID

from fleet.config import FleetConfig
from fleet.db import connect
from fleet.environment import read_environment
from fleet.scope import Grant, Role, Viewer

OPERATOR = Viewer(UUID(int=0), "la ligne de commande", "", (Grant(Role.ADMIN),))
"""They hold the database's password: rights end here."""


def open_fleet() -> FleetConfig:
    """The settings, with the database bound. Called inside each command, so that its --help needs no setting."""
    config = FleetConfig.from_environ(read_environment())
    connect(config.database_url)
    return config

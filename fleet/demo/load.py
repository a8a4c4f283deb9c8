"""The demonstration, loaded: places, people, kit, tickets. Each step happens once and is one transaction."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from fleet.config import FleetConfig
from fleet.db import transaction
from fleet.demo.filtering import ensure_filtering
from fleet.demo.kit import ensure_kit
from fleet.demo.people import ensure_accounts
from fleet.demo.places import load_aisne
from fleet.demo.tickets import ensure_tickets
from fleet.doors import Door
from fleet.embedded.banner import Account


def load_demo(config: FleetConfig, accounts_file: Path, now: datetime, say: Callable[[str], None]) -> list[Account]:
    """Bring in what is missing and return the accounts. A second time changes nothing."""
    with transaction(Door.OPERATOR) as session:
        load_aisne(session)
    say("démonstration : communes et écoles de l’Aisne")
    with transaction(Door.OPERATOR) as session:
        accounts = ensure_accounts(session, accounts_file)
    with transaction(Door.OPERATOR) as session:
        kit = ensure_kit(session, config, now)
    with transaction(Door.OPERATOR) as session:
        tickets = ensure_tickets(session, now)
    with transaction(Door.OPERATOR) as session:
        ensure_filtering(session, now)
    if kit or tickets:
        say(f"démonstration : {kit} tablettes et malles, {tickets} tickets")
    return accounts

"""What a device says of itself, kept only when it changed."""

import hashlib
import re
from dataclasses import asdict

from agent.protocol import Facts, encode
from fleet.devices.models import Device

HASH = re.compile(r"[0-9a-f]{64}")


def hash_facts(facts: Facts) -> str:
    """SHA-256 of the canonical JSON, hex."""
    return hashlib.sha256(encode(facts)).hexdigest()


def record_facts(device: Device, facts: Facts, stated_hash: str) -> bool:
    """Keep the facts; True when something changed.

    The hash kept is the one that the device stated: a newer agent counts fields that this controller does not know.
    """
    mark = stated_hash or hash_facts(facts)
    if mark == device.facts_hash:
        return False
    device.facts = {name: value for name, value in asdict(facts).items() if value not in (None, ())}
    device.facts_hash = mark
    device.manufacturer = facts.manufacturer or device.manufacturer
    device.model = facts.model or device.model
    return True

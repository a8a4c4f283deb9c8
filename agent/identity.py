"""Who this device is to its controller: one file, readable by the agent's account only, replaced atomically."""

import hashlib
import hmac
import logging
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from agent import files
from agent.lock import STATE
from agent.protocol import ProtocolError, decode, encode

log = logging.getLogger(__name__)

PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Attempt:
    """One enrolment, under way or done: the same token towards the same controller is the same attempt."""

    id: str
    fingerprint: str
    """SHA-256 over id, controller and secret: recognises the token without keeping it."""

    def is_for(self, controller: str, secret: str) -> bool:
        return hmac.compare_digest(self.fingerprint, fingerprint(self.id, controller, secret))


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """What the file holds. ``device_id`` is empty until the first enrolment succeeded."""

    controller: str = ""
    ca_pem: str = field(default="", repr=False)
    """The only authority that may vouch for the controller; empty: the system's trust store."""
    device_id: str = ""
    credential: str = field(default="", repr=False)
    asset_tag: str = ""
    school: str = ""
    check_in_seconds: int = 60
    applied_revision: str = ""
    enrolled_by: Attempt | None = None
    pending: Attempt | None = None
    """Written before the request leaves, so that a retry after kill -9 is the same enrolment."""

    @property
    def bearer(self) -> str:
        return f"{self.device_id}.{self.credential}"


def path_of(root: Path) -> Path:
    return root / STATE / "identity.json"


def find_identity(root: Path) -> DeviceIdentity | None:
    """The identity kept under this root; None when there is none, or when the disk spoiled it (said in the log)."""
    content = files.find_content(path_of(root))
    if content is None:
        return None
    try:
        return decode(DeviceIdentity, content)
    except ProtocolError:  # its text might quote the file
        log.warning("identity file unreadable, enrol again", extra={"path": str(path_of(root))})
        return None


def save_identity(root: Path, identity: DeviceIdentity) -> None:
    files.write(path_of(root), encode(identity), PRIVATE)


def new_attempt(controller: str, secret: str) -> Attempt:
    identifier = secrets.token_hex(16)
    return Attempt(identifier, fingerprint(identifier, controller, secret))


def fingerprint(identifier: str, controller: str, secret: str) -> str:
    return hashlib.sha256(f"{identifier}\n{controller}\n{secret}".encode()).hexdigest()

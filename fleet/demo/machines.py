"""The demonstration's five machines: real agent processes, each under its own root with an identity of its own."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from fleet.config import FleetConfig
from fleet.demo.people import SCHWEITZER, TECHNICIAN, viewer_of
from fleet.devices.models import DeviceKind
from fleet.enrollment import service as enrollment
from fleet.files import write_private
from fleet.schools import service as schools

IDENTITY = Path("var/lib/preau/identity.json")
"""Under its root, what an agent keeps once it is enrolled."""
CONTACT = Path("var/lib/preau/contact")
"""Under its root, an empty file whose date is the last answered check-in."""
SETTINGS = Path("etc/preau/agent.toml")
"""Under its root, what an agent is told: where its controller is, and the token."""
FRESH = enrollment.DEFAULT_EXPIRY - timedelta(minutes=10)
FACTS = Path("etc/preau/facts.json")
"""Under its root, what an agent says of itself instead of what this machine is."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine that plays a device of a school."""

    name: str
    kind: DeviceKind
    uai: str
    hostname: str
    manufacturer: str
    model: str
    number: int

    def facts(self) -> dict[str, object]:
        """The file that the agent reads: an identity that no other machine has, and a few facts."""
        return {
            "identity": {
                "serial": f"PREAU-DEMO-{self.number:03d}",
                "smbios_uuid": f"6f0a2d7e-4a1b-4c55-9d10-0000000000{self.number:02x}",
                "macs": [f"02:00:5e:10:00:{self.number:02x}"],  # locally administered: no maker's
            },
            "facts": {"hostname": self.hostname, "manufacturer": self.manufacturer, "model": self.model},
        }


MACHINES = (
    Machine("agent-display-1", DeviceKind.DISPLAY, SCHWEITZER, "ecran-cp", "SpeechiTouch", "SUPER GLASS+ 75", 1),
    Machine("agent-display-2", DeviceKind.DISPLAY, "0021997K", "ecran-cm2", "Clevertouch", "IMPACT Plus 65", 2),
    Machine("agent-desktop-1", DeviceKind.DESKTOP, "0021089Y", "pc-salle-des-maitres", "Dell", "OptiPlex 3000", 3),
    Machine("agent-laptop-1", DeviceKind.LAPTOP, "0021955P", "portable-direction", "Lenovo", "ThinkPad E14", 4),
    Machine("agent-gateway-1", DeviceKind.GATEWAY, SCHWEITZER, "passerelle-guise", "Protectli", "VP2420", 5),
)


def prepare_root(session: Session, machine: Machine, agents: Path, config: FleetConfig, now: datetime) -> Path:
    """Make the machine's root: the file that says what it is, and a token unless its agent is enrolled already."""
    root = agents / machine.name
    (root / FACTS).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_private(root / FACTS, json.dumps(machine.facts(), indent=1))
    if is_enrolled(root, config.public_url):
        (root / SETTINGS).unlink(missing_ok=True)
    elif not has_fresh_token(root, now):  # a token half used is kept: with it, the retry is the same enrolment
        viewer = viewer_of(session, TECHNICIAN)
        school = schools.get_school_by_uai(session, viewer, machine.uai)
        issued = enrollment.issue_token(session, viewer, school=school, kind=machine.kind, now=now, config=config)
        write_private(root / SETTINGS, f'controller = "{config.public_url}"\ntoken = "{issued.text}"\n')
    return root


def is_enrolled(root: Path, controller: str) -> bool:
    """Whether the agent of this root has an identity; it follows us when our address has changed since."""
    try:
        identity = json.loads((root / IDENTITY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(identity, dict) or not identity.get("device_id"):
        return False
    if identity.get("controller") != controller:  # started with another --port or --host; the CA is the same
        write_private(root / IDENTITY, json.dumps(identity | {"controller": controller}))
    return True


def has_fresh_token(root: Path, now: datetime) -> bool:
    """Whether a token was put here that is still good for a while."""
    try:
        written = (root / SETTINGS).stat().st_mtime
    except OSError:
        return False
    return now.timestamp() - written < FRESH.total_seconds()


def answered_since(root: Path, moment: float) -> bool:
    """Whether the agent of this root has had an answer from its controller since then (seconds of the epoch)."""
    try:
        return (root / CONTACT).stat().st_mtime >= moment
    except OSError:
        return False

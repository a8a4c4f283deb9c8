"""What this machine is: an allow-list read from the system, nothing about people, or a file that says otherwise."""

import hashlib
import platform
import shutil
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from agent import network, packages
from agent.errors import UsageError
from agent.protocol import Facts, Identity, ProtocolError, decode, encode

LONGEST = 200
"""Characters kept of any text that firmware or a vendor wrote."""
DISK_STEP = 256 * 1024 * 1024
BATTERY_STEP = 5
"""Readings are rounded so that facts only change, and travel, when something did."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Who the machine is and what it looks like; also the shape of the JSON file that overrides it."""

    identity: Identity = field(default_factory=Identity)
    facts: Facts = field(default_factory=Facts)


def collect(root: Path, override: Path | None = None, host: Path = Path("/")) -> Machine:
    """Read the machine. ``override``'s identity replaces the machine's whole, its facts only those it gives.

    ``host`` is where /sys, /proc and /var are found. Raises UsageError when the override cannot be read.
    """
    machine = Machine(read_identity(host), read_facts(root, host))
    return machine if override is None else overridden(machine, override)


def overridden(machine: Machine, path: Path) -> Machine:
    try:
        given = decode(Machine, path.read_bytes())
    except (OSError, ProtocolError) as error:
        raise UsageError(f"{path} ne décrit pas un appareil ({error}).") from error
    told = {f.name: value for f in fields(Facts) if (value := getattr(given.facts, f.name)) not in {None, ()}}
    identity = given.identity if given.identity != Identity() else machine.identity
    return Machine(identity, replace(machine.facts, **told))


def facts_hash(facts: Facts) -> str:
    """What tells the controller whether it knows these facts already."""
    return hashlib.sha256(encode(facts)).hexdigest()


def read_identity(host: Path) -> Identity:
    dmi = host / "sys/class/dmi/id"
    tree = host / "proc/device-tree"  # boards without firmware tables: many displays' ARM modules
    return Identity(
        serial=text_of(dmi / "product_serial") or text_of(tree / "serial-number"),
        smbios_uuid=text_of(dmi / "product_uuid"),
        macs=network.physical_macs(host),
    )


def read_facts(root: Path, host: Path) -> Facts:
    dmi = host / "sys/class/dmi/id"
    release = read_os_release(root, host)
    disk = shutil.disk_usage(root if root.exists() else host)
    return Facts(
        hostname=text_of(root / "etc/hostname") or text_of(host / "proc/sys/kernel/hostname"),
        manufacturer=text_of(dmi / "sys_vendor"),
        model=text_of(dmi / "product_name") or text_of(host / "proc/device-tree/model"),
        os_name=release.get("NAME") or platform.system(),
        os_version=release.get("VERSION_ID") or platform.release(),
        architecture=platform.machine(),
        memory_bytes=memory_of(host),
        disk_bytes=disk.total,
        disk_free_bytes=disk.free // DISK_STEP * DISK_STEP,
        battery_percent=battery_of(host),
        addresses=network.addresses(host),
        boot_time=network.boot_time(host),
        browsers=packages.browsers(root if (root / packages.STATUS).exists() else host),
    )


def read_os_release(root: Path, host: Path) -> dict[str, str]:
    """NAME, VERSION_ID… of the system under the root, else of the host."""
    text = text_of(root / "etc/os-release", 65536) or text_of(host / "etc/os-release", 65536) or ""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: clean(value.strip("\"'")) for name, _, value in pairs}


def memory_of(host: Path) -> int | None:
    for line in (text_of(host / "proc/meminfo", 65536) or "").splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) * 1024
    return None


def battery_of(host: Path) -> int | None:
    for supply in sorted((host / "sys/class/power_supply").glob("*")):
        if text_of(supply / "type") == "Battery" and (capacity := text_of(supply / "capacity") or "").isdecimal():
            return min(100, int(capacity) // BATTERY_STEP * BATTERY_STEP)
    return None


def text_of(path: Path, longest: int = LONGEST) -> str | None:
    """A file's text without NUL and surrounding blanks; None when it is absent, closed to us or empty."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    text = raw.decode(errors="replace")
    return (clean(text) if longest == LONGEST else text)[:longest].strip() or None


def clean(text: str) -> str:
    """One line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST]

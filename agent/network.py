"""Addresses of this machine and when it started, read from /sys and /proc without running anything."""

import fcntl
import ipaddress
import socket
import struct
from datetime import UTC, datetime
from pathlib import Path

SIOCGIFADDR = 0x8915
HIDDEN_IPV6 = 0x01 | 0x20 | 0x40
"""IFA_F_TEMPORARY, DEPRECATED, TENTATIVE: these come and go."""
GLOBAL_SCOPE = "00"
MOST = 32
"""Addresses told of one machine; a host of containers has hundreds."""


def physical_macs(host: Path) -> tuple[str, ...]:
    """Burnt-in addresses of real interfaces: those with a device behind them, not made up by software."""
    found = set()
    for interface in (host / "sys/class/net").glob("*"):
        if (interface / "device").exists() and first_word(interface / "addr_assign_type") in {"0", ""}:
            mac = first_word(interface / "address").lower()
            if len(mac) == 17 and mac != "00:00:00:00:00:00":
                found.add(mac)
    return tuple(sorted(found))[:MOST]


def addresses(host: Path) -> tuple[str, ...]:
    """IPv4 and stable global IPv6 addresses, loopback left out."""
    found = {ipv4_of(interface.name) for interface in (host / "sys/class/net").glob("*")}
    found |= set(ipv6_addresses(host / "proc/net/if_inet6"))
    kept = (ipaddress.ip_address(a) for a in found if a)
    return tuple(str(a) for a in sorted(kept, key=lambda a: (a.version, int(a))) if not a.is_loopback)[:MOST]


def ipv4_of(interface: str) -> str | None:
    """The interface's first IPv4 address, None when it has none or does not exist here."""
    request = struct.pack("256s", interface.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            return socket.inet_ntoa(fcntl.ioctl(probe, SIOCGIFADDR, request)[20:24])
        except OSError:
            return None


def ipv6_addresses(path: Path) -> list[str]:
    """From lines ``address index prefix scope flags name``."""
    found = []
    for line in lines_of(path):
        words = line.split()
        if len(words) == 6 and words[3] == GLOBAL_SCOPE and not int(words[4], 16) & HIDDEN_IPV6:
            found.append(str(ipaddress.IPv6Address(bytes.fromhex(words[0]))))
    return found


def boot_time(host: Path) -> str | None:
    """ISO 8601, to the minute: the kernel's own value moves by a second when the clock is set."""
    for line in lines_of(host / "proc/stat"):
        if line.startswith("btime "):
            moment = datetime.fromtimestamp(round(int(line.split()[1]) / 60) * 60, UTC)
            return moment.isoformat(timespec="minutes")
    return None


def lines_of(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def first_word(path: Path) -> str:
    return next(iter(lines_of(path)), "").strip()

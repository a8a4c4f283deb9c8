"""The resolvers that the system asks: a systemd-resolved drop-in, or resolv.conf when nothing else writes it."""

import ipaddress
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from agent import files
from agent.protocol import DnsSettings
from agent.resource import Change, Place, ResourceFailed, Unsupported, Wanted, converge, digest_of, release
from agent.state import Displaced

RESOLVED = Path("etc/systemd/resolved.conf")
DROP_IN = "etc/systemd/resolved.conf.d/preau.conf"
RESOLV_CONF = "etc/resolv.conf"
MARK = "# preau-agent"
STUBS = ("nameserver 127.0.0.53", "nameserver 127.0.0.54")
WRITERS = {"NetworkManager": "NetworkManager", "resolvconf": "resolvconf", "dhclient": "dhclient", "dhcpcd": "dhcpcd"}
"""Word in resolv.conf's first lines or link -> program that would write it over at once."""
MOST_SERVERS = 3
"""glibc reads no more (MAXNS)."""
DOMAIN = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*")
RELOAD = ["systemctl", "try-reload-or-restart", "systemd-resolved.service"]


@dataclass(frozen=True, slots=True)
class Server:
    """``192.0.2.1``, ``2001:db8::1``, or either with a port (``192.0.2.1:5300``, ``[2001:db8::1]:5300``)."""

    address: str
    port: int | None = None

    def __str__(self) -> str:
        if self.port is None:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def apply_dns(settings: DnsSettings | None, place: Place) -> Change:
    """Point the system at these resolvers; without any, the network's own come back.

    Raises Unsupported when another program owns the question, ResourceFailed on a wrong address or a failed reload.
    """
    return apply_with(settings, place, reload_resolved)


def apply_with(settings: DnsSettings | None, place: Place, reload: Callable[[Path], None]) -> Change:
    """``apply_dns``, told how systemd-resolved is made to read its files again."""
    place = without_taken(place)
    if settings is None or not settings.servers:
        return release(place, given_back(place), reload)
    servers = tuple(read_server(text) for text in settings.servers)
    search = tuple(read_domain(text) for text in settings.search)
    if uses_resolved(place.root):
        wanted = Wanted(digest_of("resolved", settings.servers, search), drop_in(servers, search))
        return converge(place, wanted, reload)
    return converge(place, resolv_conf(place, servers, search))


def without_taken(place: Place) -> Place:
    """Forget resolv.conf when somebody else put theirs in its place: it is no longer ours to remove or give back."""
    path = place.root / RESOLV_CONF
    if path.is_symlink() or not (files.find_content(path) or MARK.encode()).startswith(MARK.encode()):
        kept = tuple(name for name in place.record.files if name != RESOLV_CONF)
        return replace(place, record=replace(place.record, files=kept, displaced=()))
    return place


def uses_resolved(root: Path) -> bool:
    """Whether names are resolved by systemd-resolved: its configuration alone does not say so (Debian 11)."""
    path = root / RESOLV_CONF
    if path.is_symlink() and "systemd/resolve" in str(path.readlink()):
        return True
    content = files.find_content(path)
    if content is not None:
        return any(stub in content.decode(errors="replace") for stub in STUBS)
    return (root / RESOLVED).exists() or (root / RESOLVED).with_suffix(".conf.d").exists()


def drop_in(servers: tuple[Server, ...], search: tuple[str, ...]) -> dict[str, bytes]:
    """``~.`` sends every name to these servers, before those that an interface learnt by DHCP."""
    lines = [MARK, "[Resolve]", f"DNS={' '.join(map(str, servers))}", "FallbackDNS="]
    lines.append(f"Domains={' '.join((*search, '~.'))}")
    return {DROP_IN: ("\n".join(lines) + "\n").encode()}


def resolv_conf(place: Place, servers: tuple[Server, ...], search: tuple[str, ...]) -> Wanted:
    """The whole file; what was there first comes back when we no longer manage it."""
    path = place.root / RESOLV_CONF
    content = (files.find_content(path) or b"").decode(errors="replace").replace("\0", "")
    is_ours = content.startswith(MARK)
    if not is_ours and (writer := find_writer(path, content)):
        raise Unsupported(f"{RESOLV_CONF} est tenu par {writer}, que l’agent ne sait pas régler")
    if any(server.port not in {None, 53} for server in servers):
        raise Unsupported(f"{RESOLV_CONF} ne connaît que le port 53")
    displaced = place.record.displaced or (() if is_ours or not content else (Displaced(RESOLV_CONF, content),))
    lines = [f"{MARK} : fichier tenu par Préau", *(f"nameserver {s.address}" for s in servers[:MOST_SERVERS])]
    if search:
        lines.append(f"search {' '.join(search)}")
    contents = {RESOLV_CONF: ("\n".join(lines) + "\n").encode()}
    return Wanted(digest_of("resolv.conf", lines), contents, displaced)


def find_writer(path: Path, content: str) -> str | None:
    """The program that keeps resolv.conf, when it is not a person."""
    if path.is_symlink():
        target = str(path.readlink())
        return next((writer for word, writer in WRITERS.items() if word in target), f"un lien vers {target}")
    head = "\n".join(line for line in content.splitlines()[:5] if line.startswith("#"))
    return next((writer for word, writer in WRITERS.items() if word in head), None)


def given_back(place: Place) -> dict[str, bytes]:
    return {displaced.name: displaced.content.encode() for displaced in place.record.displaced}


def read_server(text: str) -> Server:
    """Raises ResourceFailed unless it is an address, with or without a port."""
    host, port = text, None
    if match := re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})", text):
        host, port = match[1] or match[2], int(match[3])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ResourceFailed(f"serveur DNS : {text[:60]!r} n’est pas une adresse") from None
    if "%" in text or port == 0 or (port or 0) > 65535:
        raise ResourceFailed(f"serveur DNS : {text[:60]!r} n’est pas une adresse")
    return Server(str(address), port)


def read_domain(text: str) -> str:
    if not DOMAIN.fullmatch(text):
        raise ResourceFailed(f"domaine de recherche {text[:60]!r} mal formé")
    return text


def reload_resolved(root: Path) -> None:
    """Only on the running system: under another root there is nobody to tell."""
    if root.resolve() != Path("/") or not Path("/run/systemd/system").is_dir():
        return
    try:
        done = subprocess.run(RELOAD, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        raise ResourceFailed("systemd-resolved n’a pas pu relire ses réglages") from None
    if done.returncode != 0:
        raise ResourceFailed("systemd-resolved n’a pas pu relire ses réglages")

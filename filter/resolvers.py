"""The resolvers that allowed names are asked of, as people write them: --upstream and --forward."""

import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from filter.deciding.special import ALWAYS
from filter.endpoints import ConfigInvalid, Endpoint, is_address
from filter.names import name_and_parents

EXPECTED = (
    "attendu ADRESSE[:PORT], tls://NOM[:PORT][#ADRESSE] ou https://NOM[:PORT]/CHEMIN[#ADRESSE], "
    "par exemple tls://dns.quad9.net#9.9.9.9"
)
URL = re.compile(r"(?P<scheme>[a-z]+)://(?P<authority>[^/#]+)(?P<path>/[^#]*)?(?:#(?P<address>.+))?")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


class Transport(StrEnum):
    """How a resolver is spoken to."""

    UDP = "udp"
    """And TCP for what does not fit (RFC 7766)."""
    TLS = "tls"
    """RFC 7858."""
    HTTPS = "https"
    """RFC 8484."""


PORTS = {Transport.UDP: 53, Transport.TLS: 853, Transport.HTTPS: 443}


@dataclass(frozen=True, slots=True)
class Resolver:
    """One resolver. What is encrypted is verified: the certificate must be that of ``name``."""

    host: str
    """An address."""
    port: int
    transport: Transport = Transport.UDP
    name: str = ""
    path: str = ""

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.host, self.port)

    def __str__(self) -> str:
        if self.transport is Transport.UDP:
            return str(self.endpoint)
        place = Endpoint(self.name, self.port) if self.port != PORTS[self.transport] else self.name
        address = "" if self.name == self.host else f"#{self.host}"
        return f"{self.transport}://{place}{self.path}{address}"


def parse_resolver(text: str) -> Resolver:
    """One --upstream; a name is looked up through the system when no address stands beside it. Raise ConfigInvalid."""
    if "://" not in text:
        endpoint = resolve(text, PORTS[Transport.UDP])
        return Resolver(endpoint.host, endpoint.port)
    found = URL.fullmatch(text.strip())
    if found is None or found["scheme"] not in (Transport.TLS, Transport.HTTPS):
        raise ConfigInvalid(f"« {text} » : {EXPECTED}")
    transport = Transport(found["scheme"])
    if (transport is Transport.HTTPS) != bool(found["path"]):
        raise ConfigInvalid(f"« {text} » : {EXPECTED}")
    named = Endpoint.parse(found["authority"], PORTS[transport])
    if found["address"] is None:
        host = resolve(found["authority"], PORTS[transport]).host
    elif is_address(found["address"]):
        host = str(ip_address(found["address"]))
    else:
        raise ConfigInvalid(f"« {text} » : après # vient une adresse IP")
    return Resolver(host, named.port, transport, named.host.lower(), found["path"] or "")


def resolve(text: str, port: int) -> Endpoint:
    """A machine, by address or by a name that the system knows; raise ConfigInvalid."""
    endpoint = Endpoint.parse(text, port)
    if is_address(endpoint.host):
        return Endpoint(str(ip_address(endpoint.host)), endpoint.port)
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise ConfigInvalid(f"« {text} » : résolveur introuvable (nom inconnu, ou pas de DNS)") from error
    return Endpoint(str(found[0][4][0]), endpoint.port)


def parse_forwards(texts: Iterable[str], problems: list[str]) -> Mapping[str, tuple[Resolver, ...]]:
    """``ZONE=RESOLVER`` lines -> zone -> its resolvers, in their order; what is wrong is added to ``problems``."""
    zones: dict[str, tuple[Resolver, ...]] = {}
    for text in texts:
        zone, separator, rest = text.partition("=")
        zone = zone.strip().lower().strip(".")
        if (special := next((name for name in name_and_parents(zone) if name in ALWAYS), None)) is not None:
            problems.append(f"--forward {text} : les noms de « {special} » ne sont demandés à aucun résolveur")
            continue
        if not separator or not all(map(LABEL.fullmatch, zone.split("."))):
            problems.append(f"--forward {text} : attendu ZONE=RÉSOLVEUR, par exemple intranet.example=10.0.0.53")
            continue
        try:
            zones[zone] = (*zones.get(zone, ()), parse_resolver(rest))
        except ConfigInvalid as error:
            problems.append(f"--forward {error}")
    return zones

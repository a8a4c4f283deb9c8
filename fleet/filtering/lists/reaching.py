"""Where a download may go: http and https only, and inside only for a source that was said to live there."""

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from filter.addresses import is_private


class Unreachable(Exception):
    """The host has no address; the text is French."""


class Forbidden(Exception):
    """The address may not be asked; the text is French."""


def check_url(url: str) -> str:
    """The URL as it is asked; raise Forbidden for what is no http(s) URL of a host, or carries a password."""
    try:
        parts = urlsplit(url.strip())
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise Forbidden(f"« {url[:100]} » n’est pas une adresse web") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise Forbidden(f"« {url[:100]} » n’est pas une adresse web (http:// ou https://)")
    if parts.username or parts.password:
        raise Forbidden("une adresse ne porte ni nom d’utilisateur ni mot de passe")
    return url.strip()


def resolve_public(host: str, port: int) -> list[str]:
    """Addresses to connect to, in the system's order; raise Unreachable, or Forbidden when one leads inside.

    Connect to these and to no other: a second look-up might answer something else.
    """
    addresses = resolve(host, port)
    if inside := [address for address in addresses if is_inside(address)]:
        raise Forbidden(f"{host} mène à une adresse interne ({inside[0]})")
    return addresses


def resolve(host: str, port: int) -> list[str]:
    """Addresses of a host, wherever they lead; raise Unreachable."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(f"le nom {host} est introuvable") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_inside(address: str) -> bool:
    """Whether an address is private, loopback, link-local or otherwise not on the public Internet."""
    found = ip_address(address.partition("%")[0])
    return is_private(found.packed) or not found.is_global

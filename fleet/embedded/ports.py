"""Ports, looked at before anything starts: which one is taken, by whom, and which option changes it."""

import errno
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import psutil

from fleet.errors import ConfigurationError

Protocol = Literal["TCP", "UDP"]


class PortsTaken(ConfigurationError):
    """At least one port is not free; the message names all of them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A port that something of ours will listen on."""

    purpose: str
    option: str
    host: str
    port: int
    protocol: Protocol = "TCP"


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM, host: str = "127.0.0.1") -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def check(wanted: Iterable[Wanted]) -> None:
    """Raise PortsTaken, one sentence a port, unless every port can be listened on."""
    problems = [problem for each in wanted if (problem := trouble(each))]
    if problems:
        raise PortsTaken("\n".join(problems))


def trouble(wanted: Wanted) -> str | None:
    """Why this port cannot be ours, in French, or None."""
    what = f"Le port {wanted.port} ({wanted.protocol}, {wanted.purpose})"
    try:
        bind_once(wanted)
    except PermissionError:
        return f"{what} est réservé à l’administrateur : choisissez-en un au-dessus de 1023 avec {wanted.option}."
    except socket.gaierror:
        return f"L’adresse {wanted.host} n’existe pas : corrigez --host."
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return f"L’adresse {wanted.host} n’est pas celle de cette machine : corrigez --host."
        if error.errno != errno.EADDRINUSE:
            return f"{what} ne peut pas être ouvert : {error.strerror}. Choisissez-en un autre avec {wanted.option}."
        holder = find_holder(wanted.port, wanted.protocol) or "un programme d’un autre compte"
        return f"{what} est déjà pris par {holder} : arrêtez-le, ou choisissez un autre port avec {wanted.option}."
    return None


def bind_once(wanted: Wanted) -> None:
    """Listen for an instant, as the real program will; raise OSError when that cannot be."""
    kind = socket.SOCK_STREAM if wanted.protocol == "TCP" else socket.SOCK_DGRAM
    family, _, _, _, address = socket.getaddrinfo(wanted.host, wanted.port, type=kind, flags=socket.AI_PASSIVE)[0]
    with socket.socket(family, kind) as probe:
        if wanted.protocol == "TCP":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections do not count as taken
        probe.bind(address)
        if wanted.protocol == "TCP":
            probe.listen(1)


def find_holder(port: int, protocol: Protocol) -> str | None:
    """``nginx (processus 123)``: who holds a port, when this account may know."""
    kind = "tcp" if protocol == "TCP" else "udp"
    try:
        connections = psutil.net_connections(kind)
    except psutil.AccessDenied:
        return None
    for connection in connections:
        listening = connection.status == psutil.CONN_LISTEN or protocol == "UDP"
        if listening and connection.pid and connection.laddr and connection.laddr.port == port:
            try:
                return f"{psutil.Process(connection.pid).name()} (processus {connection.pid})"
            except psutil.NoSuchProcess:
                continue  # it ended between the two looks
    return None

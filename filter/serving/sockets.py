"""Sockets to answer on: bound by us, or handed over by systemd (sd_listen_fds(3)). No loop, no protocol here."""

import errno
import os
import socket
import time
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from enum import StrEnum

from filter.config import Endpoint

RECEIVE_BUFFER = 4 << 20
"""Bytes of queries that may wait while one is answered; the system may grant less."""
BACKLOG = 1_024
FIRST_PASSED = 3
"""The file descriptor of the first socket that systemd hands over."""
LEFT_SECONDS = 2.0
"""How long a port may still be held by workers whose supervisor was killed (filter.processes.forking ends them)."""
IP_PKTINFO, IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_PROBE = 8, 10, 23, 3
"""Linux's numbers (ip(7), ipv6(7)); Python has none."""


class PortTaken(Exception):
    """An address could not be bound; the text says which and why."""


class Kind(StrEnum):
    """What is spoken on a socket."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    HTTPS = "https"


NAMES = {"dot": Kind.TLS, "tls": Kind.TLS, "doh": Kind.HTTPS, "https": Kind.HTTPS, "dns": Kind.TCP}
"""systemd's FileDescriptorName= -> what is spoken there."""
PORTS = {853: Kind.TLS, 443: Kind.HTTPS}
"""The same for a socket whose name says nothing."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that is bound, and what is spoken on it."""

    kind: Kind
    sock: socket.socket

    @property
    def endpoint(self) -> Endpoint:
        host, port = self.sock.getsockname()[:2]
        return Endpoint(str(host), int(port))


def bind(kind: Kind, endpoint: Endpoint, *, is_shared: bool = False) -> Listening:
    """Bind one address; raise PortTaken. ``is_shared``: others of ours bind it too, and the kernel deals out."""
    deadline = time.monotonic() + LEFT_SECONDS
    while True:
        try:
            return Listening(kind, bind_udp(endpoint, is_shared) if kind is Kind.UDP else bind_tcp(endpoint))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise PortTaken(describe(endpoint, "UDP" if kind is Kind.UDP else "TCP", error)) from error
            time.sleep(0.05)


def bind_udp(endpoint: Endpoint, is_shared: bool = False) -> socket.socket:
    """A bound UDP socket; raise OSError."""
    sock = new_socket(endpoint, socket.SOCK_DGRAM)
    try:
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(endpoint)
        prepare_udp(sock)
    except OSError:
        sock.close()
        raise
    return sock


def prepare_udp(sock: socket.socket) -> None:
    """Room for bursts; no fragments, which can be forged (RFC 9715 3.1): replies are small enough for any network, and
    what a forged ICMP says of its size is not heeded. For a wildcard address, word of which address each query came to
    (RFC 3542, ip(7))."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.setblocking(False)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
    if is_wildcard(sock):
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


def is_wildcard(sock: socket.socket) -> bool:
    """Whether the socket takes what comes to any address of this machine."""
    return sock.getsockname()[0] in {"0.0.0.0", "::"}  # noqa: S104  # compared, not bound


def bind_tcp(endpoint: Endpoint) -> socket.socket:
    """A listening TCP socket; raise OSError."""
    sock = new_socket(endpoint, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(endpoint)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def new_socket(endpoint: Endpoint, kind: socket.SocketKind) -> socket.socket:
    """A socket for the address's family; one for ``::`` leaves IPv4 to another."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.setblocking(False)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return sock


def has_passed(environ: MutableMapping[str, str]) -> bool:
    """Whether systemd hands sockets over to this very process."""
    return environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS", "0").isdecimal()


def take_passed(environ: MutableMapping[str, str]) -> list[Listening]:
    """The sockets that systemd hands over; once: the variables are gone then, and no child is told of them."""
    passed = list(read_passed(environ)) if has_passed(environ) else []
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    return passed


def read_passed(environ: MutableMapping[str, str]) -> Iterator[Listening]:
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    for number in range(int(environ["LISTEN_FDS"])):
        sock = socket.socket(fileno=FIRST_PASSED + number)
        sock.setblocking(False)
        os.set_inheritable(sock.fileno(), False)
        name = names[number] if number < len(names) else ""
        if sock.type == socket.SOCK_DGRAM:
            prepare_udp(sock)
            yield Listening(Kind.UDP, sock)
        else:
            yield Listening(NAMES.get(name) or PORTS.get(sock.getsockname()[1], Kind.TCP), sock)


def describe(endpoint: Endpoint, protocol: str, error: OSError) -> str:
    """Why an address cannot be bound, for a person."""
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{endpoint} est déjà pris en {protocol} par un autre programme : choisissez un autre port (--listen)"
            )
        case errno.EACCES:
            return f"{endpoint} : ce port ({protocol}) demande des droits d’administrateur (ou CAP_NET_BIND_SERVICE)"
        case errno.EADDRNOTAVAIL:
            return f"{endpoint} : cette adresse n’est pas celle de cette machine"
        case _:
            return f"{endpoint} ({protocol}) : {error.strerror or error}"

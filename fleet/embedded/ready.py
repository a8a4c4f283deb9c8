"""Is it ready? Asked of the thing itself, over its own protocol; every question answers True or False."""

import http.client
import socket
import ssl
import struct
from pathlib import Path
from urllib.parse import urlsplit

ASKED_NAME = b"\x09localhost\x00"
"""The name asked of a filter to see whether it answers; the safety rules answer it without an upstream."""


def https_answers(url: str, ca_file: Path | None, timeout: float = 2.0) -> bool:
    """Whether GET of this address gives 200, its certificate verified."""
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=ca_file)
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout, context=context)
    return _gives_200(connection, parts.path)


def http_answers(host: str, port: int, path: str, timeout: float = 2.0) -> bool:
    """Whether GET of a plain page gives 200."""
    return _gives_200(http.client.HTTPConnection(host, port, timeout=timeout), path)


def _gives_200(connection: http.client.HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def dns_answers(host: str, port: int, timeout: float = 0.5) -> bool:
    """Whether a DNS server replies, whatever the reply, to a query over UDP."""
    query = struct.pack("!6H", 0x7072, 0x0100, 1, 0, 0, 0) + ASKED_NAME + struct.pack("!2H", 1, 1)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        try:
            client.connect((host, port))
            client.send(query)
            return client.recv(4096)[:2] == query[:2]
        except OSError:
            return False

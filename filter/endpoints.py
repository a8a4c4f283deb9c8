"""Addresses and ports as people write them: ours to listen on, others' to speak to."""

from ipaddress import ip_address
from typing import NamedTuple, Self


class ConfigInvalid(ValueError):
    """The settings cannot work; the text says, in French, all that is wrong."""


class Endpoint(NamedTuple):
    """An address and a port of this machine or another."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str, default_port: int | None = None) -> Self:
        """``192.0.2.1:53``, ``[2001:db8::1]:53``, or without a port when there is a default; raise ConfigInvalid."""
        host, separator, port = text.strip().rpartition(":")
        if not separator or (":" in host and not host.startswith("[")):
            host, port = text.strip(), "" if default_port is None else str(default_port)
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise ConfigInvalid(f"« {text} » : attendu ADRESSE:PORT, par exemple 127.0.0.1:5300 ou [::1]:5300")
        return cls(host, int(port))


def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True

"""What `preau up` was asked, and the PREAU_* settings that every process of the installation then reads."""

import base64
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.embedded.certificates import Certificates
from fleet.embedded.layout import MARK, Layout
from fleet.errors import ConfigurationError
from fleet.files import write_private
from fleet.platforms.android import TEST_DPC
from fleet.stored_secrets import KEY_BYTES

ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not chosen
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
RESOLV_CONF = Path("/etc/resolv.conf")
NOT_SETTINGS = frozenset({MARK, "PREAU_ENV_FILE"})


@dataclass(frozen=True, slots=True)
class UpOptions:
    """The options of `preau up`."""

    var: Path
    host: str = "127.0.0.1"
    port: int = 8443
    dns_port: int = 5300
    page_port: int = 8053
    metrics_port: int = 9153
    upstreams: tuple[str, ...] = ()
    demo: bool = False

    @property
    def address(self) -> str:
        """How this machine itself reaches what listens on ``host``."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104


def public_host(host: str) -> str:
    """The name that people and devices type: a name where there is one, for a certificate and a cookie to hold to."""
    if host in ANY_ADDRESS:
        return socket.gethostname()
    return "localhost" if host in LOOPBACK else host


def find_upstreams(chosen: tuple[str, ...], resolv_conf: Path = RESOLV_CONF) -> tuple[str, ...]:
    """The resolvers asked for, else this machine's own, as ``HOST:PORT`` (``[V6]:PORT``)."""
    found = chosen or tuple(read_resolvers(resolv_conf))
    if not found:
        raise ConfigurationError(f"Aucun résolveur dans {resolv_conf} : donnez-en un avec --upstream ADRESSE:PORT.")
    for each in found:
        if "://" in each and not any(c in ", " for c in each):
            continue  # an encrypted one: the filter reads it
        host, _, port = with_port(each).rpartition(":")
        if not host or any(c in ", " for c in each) or not (port.isdecimal() and 0 < int(port) < 65536):
            raise ConfigurationError(f"--upstream « {each} » : attendu une ADRESSE ou ADRESSE:PORT.")
    return tuple(with_port(each) for each in found)


def read_resolvers(resolv_conf: Path) -> list[str]:
    """The ``nameserver`` lines; a missing file has none."""
    try:
        lines = resolv_conf.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [each[1].partition("%")[0] for each in words if len(each) > 1 and each[0] == "nameserver"]


def with_port(address: str) -> str:
    """``192.0.2.1`` → ``192.0.2.1:53``, ``2001:db8::1`` → ``[2001:db8::1]:53``; a port that is there stays."""
    if "://" in address:
        return address
    if address.count(":") > 1 and not address.startswith("["):
        return f"[{address}]:53"
    has_port = address.rpartition("]")[2].startswith(":") if address.startswith("[") else ":" in address
    return address if has_port else f"{address}:53"


def make_settings(
    options: UpOptions, certificates: Certificates, database_url: str, broker_url: str, environ: Mapping[str, str]
) -> dict[str, str]:
    """Every PREAU_* setting. What the caller's environment says wins: a mail server, an own certificate, lists."""
    settings = {
        "PREAU_DATABASE_URL": database_url,
        "PREAU_BROKER_URL": broker_url,
        "PREAU_PUBLIC_URL": f"https://{bracketed(public_host(options.host))}:{options.port}",
        "PREAU_PROFILE_CERT_FILE": str(certificates.profile_cert),
        "PREAU_PROFILE_KEY_FILE": str(certificates.profile_key),
        "PREAU_LOG_FORMAT": "console",
    }
    if can_be_asked_by_devices(options):
        settings["PREAU_DNS_ADDRESSES"] = options.address
    if options.demo:
        settings["PREAU_SECOND_FACTOR"] = "optional"  # whoever tries it has no telephone set up; the portal says so
        settings["PREAU_CHECK_IN_SECONDS"] = "15"  # a repair is seen while one watches
        if not any(name in environ for name in TEST_DPC):
            settings |= TEST_DPC
    if "PREAU_TLS_CERT_FILE" not in environ:  # with a certificate of one's own, tokens carry no pin of our CA
        settings |= {
            "PREAU_CA_FILE": str(certificates.ca_file),
            "PREAU_TLS_CERT_FILE": str(certificates.server_cert),
            "PREAU_TLS_KEY_FILE": str(certificates.server_key),
        }
    return settings | own_settings(environ)


def can_be_asked_by_devices(options: UpOptions) -> bool:
    """Whether the filter is where a device's system looks: port 53 of an address that others reach.

    A device that is told anything else loses every name, its controller's first.
    """
    return options.dns_port == 53 and options.host not in ANY_ADDRESS | LOOPBACK


def own_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The controller's settings in the caller's environment."""
    parts = ("PREAU_AGENT_", "PREAU_FILTER_")
    return {
        name: value
        for name, value in environ.items()
        if name.startswith("PREAU_") and not name.startswith(parts) and name not in NOT_SETTINGS and value
    }


def bracketed(host: str) -> str:
    """A host as URLs write it."""
    return f"[{host}]" if ":" in host else host


def ensure_secret_key(path: Path) -> str:
    """The key that seals secrets in the database, made once and kept beside it (mode 600), never in it."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        write_private(path, f"{key}\n")
        return key


def write_environment(path: Path, settings: Mapping[str, str]) -> None:
    """Leave the settings for the other `preau` commands, readable by this account only."""
    for name, value in settings.items():
        if "\n" in value:
            raise ConfigurationError(f"{name} tient sur une seule ligne.")
    write_private(path, "".join(f"{name}={value}\n" for name, value in sorted(settings.items())))


def child_environment(layout: Layout, environ: Mapping[str, str], **more: str) -> dict[str, str]:
    """The environment of every child: the caller's without its PREAU_*, which hold secrets and are in the file."""
    plain = {name: value for name, value in environ.items() if not name.startswith("PREAU_")}
    return plain | {"PYTHONUNBUFFERED": "1", MARK: str(layout.var)} | more

"""What `preau-filter serve` was told of its sockets: where it speaks TLS, with which certificate, as whom it runs."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filter.serving.limits import DEFAULT_RATE
from filter.serving.streams.tls import CertificateFiles

TLS_PORT = 853
HTTPS_PORT = 443
MOST_CONNECTIONS = 10_000
MOST_PER_CLIENT = 100
MOST_WORKERS = 64
PUBLIC_NAME = re.compile(r"(?=.{1,190}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


@dataclass(frozen=True, slots=True)
class ListeningGiven:
    """These options as text, before they are checked."""

    listen_tls: Sequence[str] = ()
    listen_https: Sequence[str] = ()
    certificate: Path | None = None
    certificate_key: Path | None = None
    public_name: str | None = None
    user: str | None = None
    max_connections: str = str(MOST_CONNECTIONS)
    max_connections_per_client: str = str(MOST_PER_CLIENT)
    workers: str = "auto"
    rate_limit: str = str(DEFAULT_RATE)
    plane: str = "auto"


def check_certificate(given: ListeningGiven, problems: list[str]) -> CertificateFiles | None:
    """The files that TLS needs; what is in them is looked at when they are opened."""
    is_needed = bool(given.listen_tls or given.listen_https)
    if given.certificate is None:
        if is_needed:
            problems.append("--certificate manque : --listen-tls et --listen-https ont besoin d’un certificat (PEM)")
        if given.certificate_key is not None:
            problems.append("--certificate-key accompagne --certificate")
        return None
    for option, path in (("--certificate", given.certificate), ("--certificate-key", given.certificate_key)):
        if path is not None and not path.is_file():
            problems.append(f"{option} {path} n’existe pas")
    return CertificateFiles(given.certificate, given.certificate_key)


def check_public_name(given: ListeningGiven, problems: list[str]) -> str | None:
    """The name before which devices write their label."""
    if given.public_name is None:
        return None
    name = given.public_name.strip().lower().rstrip(".")
    if PUBLIC_NAME.fullmatch(name) is None:
        problems.append(f"--public-name {given.public_name} n’est pas un nom (attendu : dns.exemple.fr)")
    return name


def read_count(option: str, text: str, problems: list[str], most: int = 1_000_000) -> int:
    """A whole number above zero."""
    if text.isdecimal() and 0 < int(text) <= most:
        return int(text)
    problems.append(f"{option} {text} : attendu un nombre entier, de 1 à {most}")
    return 1


def read_workers(text: str, problems: list[str]) -> int:
    """How many processes answer: a number, or ``auto`` for one on each core that we may use, if there are several."""
    if text == "auto":
        cores = len(os.sched_getaffinity(0))
        return min(cores, MOST_WORKERS) if cores > 1 else 0
    if text.isdecimal() and int(text) <= MOST_WORKERS:
        return int(text)
    problems.append(
        f"--workers {text} : attendu auto (un par cœur), ou un nombre de 0 (un seul processus) à {MOST_WORKERS}"
    )
    return 0


def read_rate(text: str, problems: list[str]) -> int:
    """Queries a second, 0 for no limit."""
    if text.isdecimal() and int(text) <= 1_000_000:
        return int(text)
    problems.append(f"--rate-limit {text} : attendu un nombre de questions par seconde (0 : aucune limite)")
    return 0

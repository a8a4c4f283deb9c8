"""GET /metrics: what this process counted, and the state of the fleet read from the database at that moment.

Who may read it: with ``PREAU_METRICS_TOKEN``, whoever sends it as a bearer token; without, this machine only.
"""

import hmac
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from threading import Lock

from cryptography import x509
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from fleet.clock import Now
from fleet.config import FleetConfig
from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import Unauthenticated
from fleet.gauges import read_gauges

router = APIRouter(tags=["metrics"])
log = logging.getLogger(__name__)

KEPT_SECONDS = 5.0
"""How long one reading of the database serves every scrape: several Prometheus cost what one does."""
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")


def is_local(request: Request) -> bool:
    """True when the request comes from this machine itself, and not through a reverse proxy that runs on it."""
    if request.client is None or any(name in request.headers for name in PROXY_HEADERS):
        return False
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def may_scrape(request: Request, token: str | None) -> bool:
    """Whether this request may read the metrics."""
    if token is None:
        return is_local(request)
    sent = request.headers.get("authorization", "")
    return hmac.compare_digest(sent.encode(), f"Bearer {token}".encode())


def certificates(config: FleetConfig) -> GaugeMetricFamily:
    """When each certificate of this controller ends, as a Unix time; one that cannot be read is missing and logged."""
    family = GaugeMetricFamily(
        "fleet_certificate_expiry_timestamp_seconds", "End of a certificate's validity", labels=["use"]
    )
    files = {"server": config.tls_cert_file, "ca": config.ca_file, "profiles": config.profile_cert_file}
    for use, path in files.items():
        if path is not None and (end := read_expiry(path)) is not None:
            family.add_metric([use], end.timestamp())
    return family


def read_expiry(path: Path) -> datetime | None:
    """``notAfter`` of the first certificate in a PEM file."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        log.warning("certificate unreadable", extra={"file": str(path), "error": str(error)})
        return None


def read_fleet(now: datetime) -> list[Metric]:
    """The gauges of the fleet; with the database away only ``fleet_database_up 0``, since old figures would lie."""
    up = GaugeMetricFamily("fleet_database_up", "1 when the database answered this scrape")
    try:
        with transaction(Door.JOBS) as session:
            gauges = read_gauges(session, now)
    except (OperationalError, PoolExhausted) as error:
        log.warning("metrics without the database", extra={"error": str(error)})
        up.add_metric([], 0)
        return [up]
    up.add_metric([], 1)
    return [up, *gauges]


@dataclass(slots=True)
class KeptReading:
    """The last reading, for KEPT_SECONDS; one scrape at a time reads anew."""

    read: Callable[[datetime], list[Metric]] = read_fleet
    clock: Callable[[], float] = time.monotonic
    _reading: list[Metric] = field(default_factory=list)
    _until: float = float("-inf")
    _lock: Lock = field(default_factory=Lock)

    def at(self, now: datetime) -> list[Metric]:
        with self._lock:
            if self.clock() >= self._until:
                self._reading = self.read(now)
                self._until = self.clock() + KEPT_SECONDS
            return self._reading


@dataclass(frozen=True, slots=True, eq=False)  # the registry keeps collectors by identity
class Fixed(Collector):
    """A collector of metrics that are already made."""

    metrics: list[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.metrics


@router.get("/metrics")
def expose(request: Request, now: Now) -> Response:
    """The metrics in Prometheus' text format."""
    config: FleetConfig = request.app.state.config
    if not may_scrape(request, config.metrics_token):
        raise Unauthenticated("metrics.refused", "Les mesures se lisent depuis cette machine ou avec leur jeton.")
    kept: KeptReading = request.app.state.fleet_gauges
    fleet = CollectorRegistry()
    fleet.register(Fixed([*kept.at(now), certificates(config)]))
    return Response(generate_latest() + generate_latest(fleet), media_type=CONTENT_TYPE_LATEST)

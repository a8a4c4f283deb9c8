"""Every Prometheus metric of the controller. No address, serial or name of a person is ever a label."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

router = APIRouter(tags=["metrics"])

enrollments = Counter("fleet_enrollments_total", "Enrolments by outcome", ["outcome"])
checkins = Counter("fleet_checkins_total", "Check-ins answered, by outcome", ["outcome"])
checkin_seconds = Histogram(
    "fleet_checkin_seconds", "Time to answer a check-in", buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
)
tickets_opened = Counter("fleet_tickets_opened_total", "Tickets opened", ["kind"])
tickets_closed = Counter("fleet_tickets_closed_total", "Tickets closed", ["kind"])
devices = Gauge("fleet_devices", "Devices in the fleet, by kind and status", ["kind", "status"])
devices_silent = Gauge("fleet_devices_silent", "Active devices that stopped reporting")
tickets_by_status = Gauge("fleet_tickets", "Tickets by status", ["status"])
mails_waiting = Gauge("fleet_mails_waiting", "Mails owed and not yet sent")
publication_serial = Gauge("fleet_publication_serial", "Serial of the newest published filter bundle")
publication_age = Gauge("fleet_publication_age_seconds", "Age of the newest published filter bundle")
filters_behind = Gauge("fleet_filters_behind", "Filters whose bundle is not the newest")


@router.get("/metrics")
def expose() -> Response:
    """The metrics of this process in the text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

"""What a filter with workers says of them to a load balancer."""

import http.client
import json
from dataclasses import dataclass

from tests.filter.running import RunningFilter


@dataclass(frozen=True, slots=True)
class Told:
    """One answer of /health/ready."""

    status: int
    is_ready: bool
    workers: tuple[int, ...]
    """The process ids of those that answer queries."""
    restarts: int


def health_of(running: RunningFilter) -> Told:
    connection = http.client.HTTPConnection("127.0.0.1", running.metrics, timeout=10)
    connection.request("GET", "/health/ready")
    response = connection.getresponse()
    told = json.loads(response.read())
    workers = tuple(each["pid"] for each in told["workers"] if each["ready"])
    return Told(response.status, told["ready"], workers, sum(each["restarts"] for each in told["workers"]))


def workers_of(running: RunningFilter) -> tuple[int, ...]:
    """The process ids of the workers that answer queries."""
    return health_of(running).workers

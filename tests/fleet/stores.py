"""A broker of a test's own, for tests that cross processes."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.embedded.ports import free_port
from fleet.embedded.valkey import Valkey
from tests.embedded.waiting import until


class Broker:
    """A Valkey that tests start, stop and empty."""

    def __init__(self, directory: Path) -> None:
        self.server = Valkey(directory, free_port())
        self.server.create()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        self.process = subprocess.Popen(self.server.command(), stdout=subprocess.DEVNULL)
        until(self.server.is_ready, "Valkey answers PING")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def own_broker(directory: Path) -> Iterator[Broker]:
    broker = Broker(directory)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()

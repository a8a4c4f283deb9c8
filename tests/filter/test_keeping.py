"""Whatever goes wrong while a worker is listened to, its place is kept."""

import asyncio

from filter.config import FilterConfig
from filter.metrics import Metrics
from filter.processes.pipe import Message
from filter.processes.place import Place
from filter.processes.supervisor import Supervisor


class Distracted(Supervisor):
    """Fails once, at the first thing that a worker says."""

    fails = True

    def hear(self, place: Place, message: Message) -> None:
        if self.fails:
            self.fails = False
            raise ValueError("unheard of")
        super().hear(place, message)


def test_a_place_is_kept_when_listening_fails() -> None:
    async def employ() -> tuple[bool, int]:
        supervisor = Distracted(FilterConfig(listen=(), upstreams=()), [[]], Metrics())
        try:
            await supervisor.start()
            return supervisor.is_ready, supervisor.places[0].restarts
        finally:
            await supervisor.close()

    assert asyncio.run(employ()) == (True, 1)

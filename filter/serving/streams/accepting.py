"""Connections taken from a listening socket, as many at a time as leave others their turn."""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable

from filter.serving.sockets import BACKLOG

log = logging.getLogger("filter")

MOST_AT_ONCE = 64
"""Connections that are taken and not yet with who speaks on them, and who counts them."""
PAUSE_SECONDS = 1.0
"""Before we look again when no descriptor is left. What waits in the socket's queue waits on."""
TELL_SECONDS = 60.0
"""Between two words of it in the log: descriptors may come and go by the dozen."""
SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Acceptor:
    """One listening socket. asyncio's own servers try ``backlog`` times in a row when no descriptor is left, log each
    time, and set as many timers to try again: that is where a process without descriptors spends its time."""

    def __init__(
        self, sock: socket.socket, make: Callable[[], asyncio.Protocol], went_short: Callable[[], None] = lambda: None
    ) -> None:
        """``make``: what speaks on each new connection. ``went_short`` is told each time that none can be taken."""
        self.sock = sock
        self.make = make
        self.went_short = went_short
        self.told_at = -TELL_SECONDS
        self.pausing: asyncio.TimerHandle | None = None
        self.beginning: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Take connections from now on."""
        self.loop = asyncio.get_running_loop()
        self.sock.listen(BACKLOG)
        self.go_on()

    def close(self) -> None:
        """Take no more; the socket stays whoever's it is."""
        if self.pausing is not None:
            self.pausing.cancel()
        self.loop.remove_reader(self.sock.fileno())

    def go_on(self) -> None:
        self.pausing = None
        self.loop.add_reader(self.sock.fileno(), self.read)

    def read(self) -> None:
        """Take what waits."""
        for _ in range(MOST_AT_ONCE - len(self.beginning)):
            try:
                connection, _ = self.sock.accept()
            except OSError as error:
                if error.errno in SHORTAGES:
                    self.pause(error)
                return  # nobody waits any more, or whoever did has gone
            connection.setblocking(False)
            task = self.loop.create_task(self.begin(connection))
            self.beginning.add(task)
            task.add_done_callback(self.beginning.discard)

    async def begin(self, connection: socket.socket) -> None:
        try:
            await self.loop.connect_accepted_socket(self.make, connection)
        except OSError:  # it went again
            connection.close()

    def pause(self, error: OSError) -> None:
        """Say that it is so, and leave the processor to others for a while."""
        if (now := time.monotonic()) - self.told_at >= TELL_SECONDS:
            log.warning("no connection can be taken for now", extra={"error": error.strerror})
            self.told_at = now
        self.went_short()
        self.loop.remove_reader(self.sock.fileno())
        self.pausing = self.loop.call_later(PAUSE_SECONDS, self.go_on)

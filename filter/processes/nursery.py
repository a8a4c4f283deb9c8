"""The supervisor's side of filter.processes.forking: workers are asked for here, watched and ended."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from filter.processes.forking import BORN, GONE, TOLD, Forked

log = logging.getLogger("filter")

FORK_SECONDS = 30.0
"""How long the nursery may take to load everything and to fork."""
STATUS_SECONDS = 1.0
STOP_SECONDS = 5.0


class NurseryFailed(Exception):
    """No worker could be made."""


class Born:
    """A worker's process. It is held by a descriptor, so that its number is never taken for another's."""

    def __init__(self, pid: int) -> None:
        """Raise NurseryFailed when it is gone already."""
        self.pid = pid
        self.status: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        try:
            self.handle = os.pidfd_open(pid)
        except OSError as error:
            raise NurseryFailed(f"process {pid}: {error.strerror}") from error

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    async def end(self) -> int | None:
        """Wait until it is gone, killed when it takes long; its exit status when somebody could tell."""
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        loop.add_reader(self.handle, gone.set)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), STOP_SECONDS)
            self.kill()
            await gone.wait()
        finally:
            loop.remove_reader(self.handle)
            os.close(self.handle)
        with suppress(TimeoutError):
            return await asyncio.wait_for(self.status, STATUS_SECONDS)
        return None


class Nursery:
    """Starts the process that forks, again when it died: the workers that it made go on without it."""

    def __init__(self, descriptors: Sequence[int], first: Forked | None = None) -> None:
        """``descriptors``: open files that workers need; they have the same numbers there. ``first``: the process that
        there is already."""
        self.descriptors = descriptors
        self.process: subprocess.Popen[bytes] | Forked | None = first
        self.control: socket.socket | None = None
        self.turn = asyncio.Lock()
        self.answer: asyncio.Future[Born] | None = None
        self.born: dict[int, Born] = {}

    async def fork(self, *ends: socket.socket) -> Born:
        """A new worker that has these ends, its pipe's first; raise NurseryFailed."""
        async with self.turn:
            control = self.control or self.open()
            self.answer = asyncio.get_running_loop().create_future()
            try:
                socket.send_fds(control, [b"fork"], [each.fileno() for each in ends])
                return await asyncio.wait_for(self.answer, FORK_SECONDS)
            except (OSError, TimeoutError) as error:
                self.drop()
                raise NurseryFailed(str(error) or "the nursery does not answer") from error
            finally:
                self.answer = None

    def open(self) -> socket.socket:
        """Begin to hear the first process, or start another; raise OSError."""
        if isinstance(self.process, Forked) and self.process.control.fileno() >= 0:
            return self.attend(self.process.control)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "filter.processes.forking", str(theirs.fileno())],
                pass_fds=(theirs.fileno(), *self.descriptors),
            )
        return self.attend(ours)

    def attend(self, control: socket.socket) -> socket.socket:
        """Hear what it says."""
        control.setblocking(False)
        asyncio.get_running_loop().add_reader(control.fileno(), self.hear)
        self.control = control
        return control

    def hear(self) -> None:
        """What the nursery says of its children."""
        if self.control is None:
            return
        try:
            told = self.control.recv(TOLD.size)
        except BlockingIOError:
            return
        except OSError:
            told = b""
        if not told:
            log.error("the process that starts workers is gone, another will be made")
            self.drop()
            return
        what, pid, status = TOLD.unpack(told)
        if what == BORN:
            self.deliver(pid)
        elif what == GONE:
            if (born := self.born.pop(pid, None)) is not None and not born.status.done():
                born.status.set_result(status)
        else:
            self.fail(os.strerror(status))

    def deliver(self, pid: int) -> None:
        try:
            born = Born(pid)
        except NurseryFailed as error:
            self.fail(str(error))
            return
        self.born[pid] = born
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(born)

    def fail(self, why: str) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(NurseryFailed(why))

    def drop(self) -> None:
        """Have this process no more, and leave its workers at work: killed, it cannot end them."""
        if (process := self.process) is not None:
            process.kill()
            process.wait()
        self.hang_up()
        self.fail("the process that starts workers is gone")

    async def close(self) -> None:
        """Let the process end, and with it whoever still works then."""
        self.hang_up()
        if (process := self.process) is not None:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, STOP_SECONDS)
            process.kill()
            process.wait()

    def hang_up(self) -> None:
        if (control := self.control) is not None:
            asyncio.get_running_loop().remove_reader(control.fileno())
            control.close()
            self.control = None
        for born in self.born.values():
            if not born.status.done():
                born.status.set_result(None)
        self.born.clear()

"""Where workers come from: a process without threads that has loaded everything once, and forks.

It is forked itself by a supervisor that has no thread yet, or where that one died started by filter.processes.nursery
as ``python -m filter.processes.forking DESCRIPTOR``. What it has before it forks its workers share: code in memory, and
the keys of TLS sessions, so that a device goes on with any of them. Each message carries a worker's ends of its pipe
and of the socket that brings files. It ends when the other side is gone, and whoever still works then ends with it.
"""

import errno
import gc
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from filter.processes import worker
from filter.serving.streams.tls import make_fronts

TOLD = struct.Struct("!cIi")
"""What is said of a child, its process id, its exit status."""
BORN, GONE, FAILED = b"b", b"g", b"f"
"""A child began; it ended; none could be made (the status is the error's number)."""
ENDS = 2
"""Descriptors that a worker is given."""
GRACE_SECONDS = 1.0
"""How long workers have to end by themselves when the supervisor is gone."""
SWITCH_SECONDS = 0.0005
"""How long a thread that opens files may keep queries waiting: Python's own 5 ms would show in every swap."""


class Forking:
    """The parent of all workers."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.children: set[int] = set()
        self.woken, self.wake = os.pipe()
        os.set_blocking(self.wake, False)
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def run(self) -> Sequence[int] | None:
        """Fork when told to. In a child: the descriptors that came for it; None once the supervisor is gone."""
        while True:
            readable, _, _ = select.select([self.control.fileno(), self.woken], [], [])
            if self.woken in readable:
                self.reap()
            if self.control.fileno() in readable:
                told, ends, _, _ = socket.recv_fds(self.control, 16, ENDS)
                if not told:
                    self.end()
                    return None
                if self.fork(ends):
                    return ends

    def fork(self, ends: Sequence[int]) -> bool:
        """Whether this is the child, whose own the ends are now."""
        try:
            if len(ends) != ENDS:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            child = os.fork()
        except OSError as error:
            self.tell(FAILED, 0, error.errno or 0)
        else:
            if child == 0:
                self.forget()
                return True
            self.children.add(child)
            self.tell(BORN, child, 0)
        for each in ends:
            os.close(each)
        return False

    def forget(self) -> None:
        """A child is nobody's parent."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (self.woken, self.wake):
            os.close(each)
        self.control.close()

    def reap(self) -> None:
        """Tell of every child that ended."""
        os.read(self.woken, 4096)
        for child in list(self.children):
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                self.children.discard(child)
                self.tell(GONE, child, os.waitstatus_to_exitcode(status))

    def tell(self, what: bytes, child: int, status: int) -> None:
        with suppress(OSError):  # nobody hears: the end of the socket says so, too
            self.control.send(TOLD.pack(what, child, status))

    def end(self) -> None:
        """Wait a moment for the workers, who have lost their supervisor too; then end them."""
        deadline = time.monotonic() + GRACE_SECONDS
        while self.children and (left := deadline - time.monotonic()) > 0:
            if select.select([self.woken], [], [], left)[0]:
                self.reap()
        for child in self.children:
            os.kill(child, signal.SIGKILL)


def run(control: socket.socket) -> int:
    """Be the parent of workers, or become one; the exit status. The supervisor hears signals, all others end with what
    connects them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_SECONDS)
    fronts = make_fronts()
    gc.collect()
    gc.freeze()  # what is there already stays in pages that are shared
    ends = Forking(control).run()
    return 0 if ends is None else worker.main(ends, fronts)


class Forked:
    """The process that forks, made of this one: only where there is no thread yet."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self.control.close()
            os._exit(run(theirs))
        theirs.close()
        self.handle = os.pidfd_open(self.pid)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Until it is gone; raise subprocess.TimeoutExpired."""
        if not select.select([self.handle], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("filter.processes.forking", timeout or 0.0)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        return 0


if __name__ == "__main__":
    sys.exit(run(socket.socket(fileno=int(sys.argv[1]))))

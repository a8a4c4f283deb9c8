"""One log of everything that runs: time, name, line; coloured for a terminal, plain in rotated files."""

import logging
import os
import re
import threading
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

OURS = "preau"
"""Name that the supervisor's own lines carry."""
PALETTE = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
"""ANSI colours, given to names as they first appear; red is left for what goes wrong."""
RED, DIM, BOLD = 91, 2, 1
TAIL = 200
PARIS = ZoneInfo("Europe/Paris")
"""The wall clock of the portal, whatever this machine's own is."""
EXPECTED: Mapping[str, tuple[str, ...]] = {
    "valkey": ("Memory overcommit must be enabled",),
    "postgres": (
        "FATAL:  terminating connection due to administrator command",  # each stop
        "FATAL:  the database system is starting up",  # our own question whether it is ready
    ),
    "controller": ("Press CTRL+C to quit",),  # ours is another Ctrl-C
    "worker": ("Hitting Ctrl+C again",),
    "filter": ("no bundle yet",),  # the first one is on its way; the ready block says when it takes longer
}
"""What embedded programs say at each start or stop and nobody need act on: kept in the files, not shown."""
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a child could use to rewrite the terminal; none of it is text."""


def wants_colour(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Colour only on a terminal, and never against NO_COLOR (no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


class Console:
    """Where every line goes. Threads may write at once; a terminal that went away stops nothing."""

    def __init__(self, stream: TextIO, log_directory: Path, *, colour: bool, width: int = 15) -> None:
        self.stream = stream
        self.log_directory = log_directory
        self.colour = colour
        self.width = width
        self._lock = threading.Lock()
        self._files: dict[str, RotatingFileHandler] = {}
        self._tails: dict[str, deque[str]] = {}
        self._stream_is_gone = False

    def line(self, name: str, text: str, *, alarm: bool = False) -> None:
        """Write one line that a program said."""
        text = CONTROL.sub("", text.rstrip())
        if not text:
            return
        now = datetime.now(PARIS)
        with self._lock:
            self._keep(name, f"{now.isoformat(timespec='milliseconds')} {text}")
            if not any(expected in text for expected in EXPECTED.get(name, ())):
                self._show(f"{self._dress(f'{now:%H:%M:%S}', DIM)} {self._label(name)} {self._shade(text, alarm)}\n")

    def event(self, text: str, *, alarm: bool = False) -> None:
        """Write a line of the supervisor's own."""
        self.line(OURS, text, alarm=alarm)

    def block(self, text: str) -> None:
        """Write text as it is, on the stream only: the ready block holds passwords, which no log file may."""
        with self._lock:
            self._show(text)

    def tail(self, name: str, count: int = 30) -> str:
        """The last lines of one program."""
        with self._lock:
            return "\n".join(list(self._tails.get(name, ()))[-count:])

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for file in self._files.values():
                file.close()

    def _keep(self, name: str, text: str) -> None:
        if name not in self._files:
            path = self.log_directory / f"{name}.log"
            path.touch(mode=0o600)
            self._files[name] = RotatingFileHandler(path, maxBytes=5_000_000, backupCount=3, encoding="utf-8")
            self._tails[name] = deque(maxlen=TAIL)
        self._tails[name].append(text)
        self._files[name].emit(logging.LogRecord(name, logging.INFO, "", 0, text, None, None))

    def _show(self, text: str) -> None:
        if self._stream_is_gone:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # the terminal was closed, or the pipe's reader left; the files go on
            self._stream_is_gone = True

    def _label(self, name: str) -> str:
        colour = BOLD if name == OURS else PALETTE[list(self._files).index(name) % len(PALETTE)]
        return self._dress(f"{name:<{self.width}}", colour) + " │"

    def _shade(self, text: str, alarm: bool) -> str:
        is_bad = alarm or text.startswith(("ERROR", "CRITICAL", "FATAL", "PANIC", "Traceback"))
        return self._dress(text, RED) if is_bad else text

    def _dress(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text

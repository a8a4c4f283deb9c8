"""Logs: JSON lines for machines or short lines for a person. Never a name that was asked for, nor who asked."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def extras(record: logging.LogRecord) -> dict[str, object]:
    """What the caller added with ``extra=``."""
    return {key: value for key, value in vars(record).items() if key not in STANDARD}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, extras, error."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= extras(record)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class ConsoleFormatter(logging.Formatter):
    """``message key=value …``; the level in front when it is not INFO. Time and colour are the supervisor's."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname} "
        tail = "".join(f" {key}={value}" for key, value in extras(record).items())
        error = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{level}{record.getMessage()}{tail}{error}"


class Unheard:
    """Errors that no caller can be told, in callbacks of libraries: what they are, once each, and never what they are
    about, which may be a device's name."""

    def __init__(self) -> None:
        self.said: set[str] = set()

    def __call__(self, unraisable: "UnraisableHookArgs") -> None:
        kind = unraisable.exc_type.__name__
        if kind not in self.said:
            self.said.add(kind)
            logging.getLogger("filter").error("an error that nobody hears of", extra={"error": kind})


def place_of(error: Exception) -> dict[str, object]:
    """What went wrong and where, without the message: a queried name may be in it."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "at": [f"{frame.name}:{frame.lineno}" for frame in frames]}


def set_up(log_format: str, level: int = logging.INFO) -> None:
    """Send every log of this process to standard error in one format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else ConsoleFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    sys.unraisablehook = Unheard()
    for name in ("httpx2", "httpcore2", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)

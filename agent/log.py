"""The agent's log: short lines on standard error, where systemd's journal or a person reads them."""

import logging
import sys

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """``LEVEL message key=value …``; the level only when it is not INFO. The journal adds the time."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname} "
        tail = "".join(f" {key}={value}" for key, value in vars(record).items() if key not in STANDARD)
        error = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{level}{record.getMessage()}{tail}{error}"


def set_up() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)

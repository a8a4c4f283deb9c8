"""``python -m tests.conformance.clocked serve …``: the filter, its cache by a clock that its input puts forward.

A line of input is a number of seconds; the reply is ``ok``.
"""

import sys
import threading
import time
from importlib import import_module

OFFSET = [0.0]
monotonic = time.monotonic


def later() -> float:
    """The time, and all that was let pass."""
    return monotonic() + OFFSET[0]


def heed() -> None:
    for line in sys.stdin:
        OFFSET[0] += float(line)
        print("ok", flush=True)


def main() -> int:
    """Run the filter. What asks for the time by a clock of its own is given ours; the event loop keeps the real one."""
    time.monotonic = later
    import_module("filter.serving.resolving.lookup")
    time.monotonic = monotonic
    threading.Thread(target=heed, daemon=True).start()
    status: int = import_module("filter.cli").run(sys.argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())

"""What a filter that is kept up to date answers and keeps."""

from pathlib import Path

import dns.rcode

from filter.bundle import NamesFile
from filter.layout.delta import make_delta
from tests.filter.controller import Served, SmallController
from tests.filter.running import RunningFilter

JOURNAL = ["journal.example. 60 IN CNAME hier.example.", "hier.example. 60 IN A 93.184.216.34"]
MANY = [f"n{number}.example" for number in range(20_000)]


def is_blocked(running: RunningFilter, name: str) -> bool:
    return running.ask(name).rcode() == dns.rcode.NXDOMAIN


def offer_delta(controller: SmallController, old: Path, new: Path, content: bytes | None = None) -> None:
    """What leads from one file to the other, or something else that claims to."""
    before, after = NamesFile.open(old).etag, NamesFile.open(new).etag
    controller.deltas[before] = Served(make_delta(old, new) if content is None else content, after)


def kept(folder: Path) -> list[str]:
    """The filter's files, but for its counts."""
    return sorted(path.name for path in (folder / "data").iterdir() if not path.name.startswith("name-counts"))

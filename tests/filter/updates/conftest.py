"""A filter, the controller that it follows, and an upstream."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.filter.controller import SmallController
from tests.filter.publishing import Publisher, filter_options
from tests.filter.scripted import ScriptedUpstream
from tests.filter.updates.served import JOURNAL


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as scripted:
        scripted.records["journal.example", "A"] = JOURNAL
        scripted.add("neuf.example. 60 IN A 93.184.216.34")
        yield scripted


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[SmallController]:
    with SmallController(tmp_path) as small:
        yield small


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


@pytest.fixture
def options(tmp_path: Path, controller: SmallController, upstream: ScriptedUpstream) -> list[str]:
    return filter_options(tmp_path, controller, upstream.address)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The filter's folder, before it starts."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder

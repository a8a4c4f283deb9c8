"""The wall clock of a gateway is set anew while it serves, by hours or by months, in both directions.

Moments of lessons, overrides and schedules go by the wall clock, and follow at once; what is kept goes by the steady
clock, and neither lives longer nor is thrown away. The jumps are libfaketime's (Debian: ``faketime``).
"""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.rcode
import pytest

from filter.serving.resolving.cache import STALE_TTL
from filter.settings import LessonSettings, NetworkSettings, OverrideSettings, Verdict
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.lying import PLANES, silence
from tests.filter.running import RunningFilter, errors_of, records_of
from tests.filter.scripted import ScriptedUpstream
from tests.requirements import needs

LIBRARY = next(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"), None)
pytestmark = needs("faketime")
HOUR = timedelta(hours=1)
JUMPS = ("+7d", "-30d", "+0", "+400d", "-0.5d")
PATIENCE = 15.0


class Jumping(RunningFilter):
    """``jump("+7d")``: so far is its wall clock from everybody's from now on; and its steady clock when that is wanted,
    as if so much time had passed."""

    def __init__(self, offset_file: Path, *options: str, is_passing: bool = False) -> None:
        self.offset_file = offset_file
        self.jump("+0")
        environ = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(offset_file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "0" if is_passing else "1",
        }
        super().__init__(*options, environ=environ)

    def jump(self, offset: str) -> None:
        beside = self.offset_file.with_suffix(".new")
        beside.write_text(f"{offset}\n")
        os.replace(beside, self.offset_file)


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        for name, ttl in (("long.example", 3_600), ("court.example", 1), ("carte.example", 60)):
            running.add(f"{name}. {ttl} IN A 93.184.216.34")
        yield running


@pytest.fixture(params=PLANES)
def served(request: pytest.FixtureRequest, upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Jumping]:
    now = datetime.now(UTC)
    lesson = LessonSettings("l", "101", now - HOUR, now + HOUR, ("carte.example",), "Géographie", "Mme Petit")
    profile = replace(
        SCHOOL.profiles[0],
        overrides=(OverrideSettings("o", Verdict.ALLOW, now + 4 * HOUR, now + 6 * HOUR, ("jeu.example",)),),
    )
    settings = replace(
        SCHOOL,
        profiles=(profile, *SCHOOL.profiles[1:]),
        networks=(*SCHOOL.networks, NetworkSettings("127.0.0.2/32", "ecole", "101")),
        lessons=(lesson,),
    )
    bundle = compile_pair(LISTS, settings, tmp_path / "b", serial=1)
    options = ("--bundle", str(bundle), "--upstream", upstream.address, "--plane", request.param)
    with Jumping(tmp_path / "offset", *options) as running:
        yield running


def test_what_is_kept_does_not_go_by_the_wall_clock(served: Jumping, upstream: ScriptedUpstream) -> None:
    served.ask("long.example")
    for offset in JUMPS:
        served.jump(offset)
        for _ in range(3):
            reply = served.ask("long.example")
            assert records_of(reply) == ["A 93.184.216.34"]
            assert 0 < reply.answer[0].ttl <= 600
    assert len(upstream.asked_for("long.example")) <= 2  # once by the plane, once by Python when a moment is over


@pytest.mark.parametrize("offset", JUMPS)
def test_what_is_too_old_is_asked_for_anew(served: Jumping, upstream: ScriptedUpstream, offset: str) -> None:
    """Wherever the wall clock is set: a second is over after a second."""
    served.ask("court.example")
    served.jump(offset)
    deadline = time.monotonic() + PATIENCE
    while len(upstream.asked_for("court.example")) < 2:
        assert time.monotonic() < deadline, "an answer of one second is still served"
        assert records_of(served.ask("court.example")) == ["A 93.184.216.34"]


def test_a_lesson_lasts_from_its_start_to_its_end(served: Jumping) -> None:
    """By the wall clock, at once, whichever way it jumps; and nothing of before is remembered."""
    for offset, runs in (
        ("+0", True), ("+2h", False), ("+0.5h", True), ("-2h", False), ("-0.5h", True), ("+60d", False),
        ("-60d", False), ("+0", True),
    ):  # fmt: skip
        served.jump(offset)
        for _ in range(3):
            other = served.ask("long.example", source="127.0.0.2")
            assert (other.rcode() == dns.rcode.NXDOMAIN) is runs, offset
            assert records_of(served.ask("carte.example", source="127.0.0.2")) == ["A 93.184.216.34"]
            assert records_of(served.ask("long.example")) == ["A 93.184.216.34"]  # somebody else's room


def test_an_override_lasts_from_its_start_to_its_end(served: Jumping, upstream: ScriptedUpstream) -> None:
    upstream.add("jeu.example. 60 IN A 93.184.216.34")
    for offset, allows in (("+0", False), ("+5h", True), ("+3h", False), ("+5h", True), ("+9d", False), ("-9d", False)):
        served.jump(offset)
        for _ in range(3):
            assert (served.ask("jeu.example").rcode() == dns.rcode.NOERROR) is allows, offset


@pytest.mark.parametrize("plane", PLANES)
def test_a_stale_answer_bridges_an_outage_and_is_too_old_one_day(
    upstream: ScriptedUpstream, bundle_file: Path, tmp_path: Path, plane: str
) -> None:
    """RFC 8767: with a TTL of 30 s, said to be stale (RFC 8914), while nobody answers; a day later it is gone."""
    options = ("--bundle", str(bundle_file), "--upstream", upstream.address, "--plane", plane)
    with Jumping(tmp_path / "offset", *options, is_passing=True) as served:
        assert records_of(served.ask("carte.example")) == ["A 93.184.216.34"]
        upstream.scripts["carte.example"] = silence
        served.jump("+50")
        assert errors_of(served.ask("carte.example")) == []  # ten seconds are left
        served.jump("+90")
        for _ in range(2):
            reply = served.ask("carte.example")
            assert (reply.rcode(), reply.answer[0].ttl) == (dns.rcode.NOERROR, STALE_TTL)
            assert [code for code, _ in errors_of(reply)] == [3]
        served.jump("+2d")
        assert served.ask("carte.example").rcode() == dns.rcode.SERVFAIL
        del upstream.scripts["carte.example"]
        deadline = time.monotonic() + PATIENCE  # a failure is remembered for some seconds (RFC 9520)
        while records_of(reply := served.ask("carte.example")) != ["A 93.184.216.34"]:
            assert time.monotonic() < deadline, errors_of(reply)
            assert reply.rcode() == dns.rcode.SERVFAIL
        assert errors_of(reply) == []

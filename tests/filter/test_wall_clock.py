"""The wall clock of a gateway jumps while it serves: weekly schedules follow it, TLS and reports come through it.

The jumps are libfaketime's, as in test_clock_jumps.
"""

import signal
import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dns.rcode
import pytest

from filter.settings import CategoryRule, ScheduleSettings, Verdict, WeeklyRange
from tests.certificates import Authority
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.controller import SmallController
from tests.filter.crowd import pack
from tests.filter.encrypted import NAME, EncryptedFilter, receive_exactly
from tests.filter.lying import PLANES
from tests.filter.prompt import PromptUpstream
from tests.filter.publishing import Publisher, filter_options, installed
from tests.filter.standing import wait_until
from tests.filter.test_clock_jumps import Jumping
from tests.requirements import needs

pytestmark = needs("faketime")
PARIS = ZoneInfo("Europe/Paris")
MORNING = ScheduleSettings("matin", "Matin", weekly=(WeeklyRange(tuple(range(7)), time(10), time(12)),))
"""Every day, so that the day on which this runs says nothing."""


@pytest.fixture
def upstream() -> Iterator[PromptUpstream]:
    with PromptUpstream() as prompt:
        yield prompt


def to(hour: int, days: int = 0) -> str:
    """The offset that leads to this full hour and a half, so many days from today, by the school's clock."""
    now = datetime.now(PARIS)
    wanted = (now + timedelta(days=days)).replace(hour=hour, minute=30, second=0, microsecond=0)
    return f"{(wanted.astimezone(UTC) - now.astimezone(UTC)).total_seconds():+.0f}"


@pytest.mark.parametrize("plane", PLANES)
def test_a_category_is_closed_by_the_hour_of_the_wall_clock(
    upstream: PromptUpstream, tmp_path: Path, plane: str
) -> None:
    rule = CategoryRule("presse", Verdict.BLOCK, "matin", Verdict.NEUTRAL)
    profile = replace(SCHOOL.profiles[0], categories=(*SCHOOL.profiles[0].categories, rule))
    settings = replace(SCHOOL, profiles=(profile, *SCHOOL.profiles[1:]), schedules=(MORNING,))
    bundle = compile_pair(LISTS, settings, tmp_path / "b", serial=1)
    options = ("--bundle", str(bundle), "--upstream", upstream.address, "--plane", plane)
    asked = unfiltered = 0
    with Jumping(tmp_path / "offset", *options) as running:
        for hour, days in ((9, 0), (11, 0), (12, 0), (10, 40), (13, 40), (11, -200), (9, -200), (11, 3_000), (12, 0)):
            running.jump(to(hour, days))
            for _ in range(3):
                asked += 1
                blocked = running.ask("journal.example").rcode() == dns.rcode.NXDOMAIN
                assert blocked is (hour in {10, 11}), (hour, days)
                unfiltered += running.ask("www.jeu.example").rcode() != dns.rcode.NXDOMAIN
    assert (asked, unfiltered) == (27, 0)


class JumpingEncrypted(EncryptedFilter):
    """With a wall clock that jumps."""

    def follow(self, clock: Jumping) -> None:
        self.environ |= {name: clock.environ[name] for name in clock.environ if name.startswith(("FAKE", "LD_PRE"))}


def test_connections_live_through_jumps_and_new_ones_are_made(upstream: PromptUpstream, tmp_path: Path) -> None:
    """Idle time and handshakes go by the steady clock; a certificate is changed under a clock that is wrong, too."""
    bundle = compile_pair(LISTS, SCHOOL, tmp_path / "b", serial=1)
    clock = Jumping(tmp_path / "offset")
    running = JumpingEncrypted(Authority.make(tmp_path), "--bundle", str(bundle), "--upstream", upstream.address)
    running.follow(clock)
    query = pack(7, "www.jeu.example")
    with running, running.secure(running.tls, "dot") as before:
        for number, offset in enumerate(("+400d", "-30d", "+3650d", "+0"), 1):
            clock.jump(offset)
            before.sendall(struct.pack("!H", len(query)) + query)
            replies = [receive_exactly(before), *running.ask_tls([query] * 3)]
            assert [reply[3] & 15 for reply in replies] == [dns.rcode.NXDOMAIN] * 4
            running.authority.issue(NAME, f"*.{NAME}", "127.0.0.1")
            running.process.send_signal(signal.SIGHUP)
            running.wait_for("certificate reloaded", times=number)


def test_reports_go_by_the_hour_that_is_told_and_go_on(upstream: PromptUpstream, tmp_path: Path) -> None:
    """A clock far off may make the controller's certificate a bad one: the pair stays, and all goes on afterwards."""
    publisher = Publisher(tmp_path)
    with SmallController(tmp_path) as controller:
        controller.publish(publisher.pair(1, jeux=["jeu.example"]))
        options = filter_options(tmp_path, controller, upstream.address)
        with Jumping(tmp_path / "offset", *options) as running:
            installed(running, 1)
            for hours in (0, 3, -5, 0):
                running.jump(f"{hours:+d}h")
                running.ask("www.jeu.example")
                wait_until(lambda hours=hours: is_told(controller, hours))  # type: ignore[misc]
                controller.reports.clear()
            running.jump("+400d")
            controller.publish(publisher.pair(2, jeux=["jeu.example", "nouveau.example"]))
            assert running.ask("www.jeu.example").rcode() == dns.rcode.NXDOMAIN
            running.jump("+0")
            installed(running, 2)
            assert running.ask("nouveau.example").rcode() == dns.rcode.NXDOMAIN


def is_told(controller: SmallController, hours: int) -> bool:
    """Whether a report told totals of the hour that the wall clock shows then."""
    shown = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H")
    told = [line for each in list(controller.reports) for line in each["counts"]]  # type: ignore[attr-defined]
    return any(str(line["hour"]).startswith(shown) for line in told)

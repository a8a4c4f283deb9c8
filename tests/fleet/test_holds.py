"""Holds: what makes a content wait, what a person decides, and what stays in use meanwhile."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from filter.settings import CategoryRule, OverrideSettings, PolicySettings, ProfileSettings, Verdict
from fleet.accounts import service as accounts
from fleet.errors import Conflict, NotAllowed
from fleet.filtering.lists import contents, fetching, sources
from fleet.filtering.lists.downloading import Limits
from fleet.filtering.lists.holds import Bounds, Doubt, ListCount, blocked_categories, find_doubts, sentence
from fleet.filtering.models import (
    ContentChunk,
    ContentState,
    FetchOutcome,
    FilterSource,
    Publication,
    SourceContent,
)
from fleet.filtering.policy.models import FilterEvent
from fleet.scope import Role, Viewer
from tests.conftest import Clock
from tests.factories import NOON, make_collectivity, make_user
from tests.fleet.list_server import ListServer, Page, list_server

USUAL = Bounds(shrink_percent=50, growth_percent=200, popular_limit=0)
BLOCKED = frozenset({"gambling", "adult"})


def count(names: int, slug: str = "jeux", category: str = "gambling", **facts: Any) -> ListCount:
    return ListCount(slug, category, names, **facts)


# --- what is doubtful --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ([count(1000)], [count(1000)], []),
        ([count(1000)], [count(500)], []),
        ([count(1000)], [count(499)], ["shrunk"]),
        ([count(1000)], [count(2000)], []),
        ([count(1000)], [count(2001)], ["grew"]),
        ([count(1000)], [], ["gone"]),
        ([count(1000)], [count(0)], ["shrunk"]),
        ([count(30)], [count(2)], []),  # a handful comes and goes
        ([count(30)], [count(900)], ["grew"]),
        ([count(1000)], [count(1000), count(90_000, "neuve")], []),  # a new list has nothing to be compared with
        (None, [count(90_000)], []),
        (None, [count(3, suffixes=40)], ["suffixes"]),
    ],
)
def test_how_much_a_list_may_change(before: list[ListCount] | None, after: list[ListCount], kinds: list[str]) -> None:
    assert [doubt.kind for doubt in find_doubts(before, after, BLOCKED, USUAL)] == kinds


@pytest.mark.parametrize(
    ("before", "after", "limit", "expected"),
    [
        (None, count(9, popular=("google.com",)), 0, [("popular", ("google.com",))]),
        (None, count(9, popular=("google.com",)), 1, []),
        (None, count(9, "reseaux", "social_networks", popular=("google.com",)), 0, []),  # nobody blocks that category
        (count(9, popular=("google.com",)), count(9, popular=("google.com",)), 0, []),  # it was so before
        (count(9, popular=("a.fr",)), count(9, popular=("a.fr", "b.fr")), 0, [("popular", ("b.fr",))]),
        (None, count(9, popular=("a.fr",), education=("a.fr",)), 50, [("education", ("a.fr",))]),
        (
            None, count(9, popular=("ac-amiens.fr", "b.fr"), education=("ac-amiens.fr",)), 0,
            [("education", ("ac-amiens.fr",)), ("popular", ("b.fr",))],
        ),
    ],
)  # fmt: skip
def test_which_names_nobody_may_close_unseen(
    before: ListCount | None, after: ListCount, limit: int, expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    found = find_doubts([before] if before else None, [after], BLOCKED, Bounds(50, 200, limit))
    assert [(doubt.kind, doubt.names) for doubt in found] == expected


def test_a_name_that_another_list_closed_before_is_no_news() -> None:
    before = [count(9, "a", popular=("x.fr",)), count(9, "b")]
    after = [count(9, "a"), count(9, "b", popular=("x.fr",))]
    assert find_doubts(before, after, BLOCKED, USUAL) == []


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 100), st.integers(100, 1000))
def test_bounds_are_what_they_say(was: int, now: int, shrink: int, growth: int) -> None:
    doubts = find_doubts([count(was)], [count(now)], BLOCKED, Bounds(shrink, growth, 0))
    expected = max(was, now) >= 200 and not was * shrink / 100 <= now <= was * growth / 100
    assert bool(doubts) == expected


def test_counts_come_back_from_the_database_as_they_were() -> None:
    counted = count(9, popular=("a.fr", "b.fr"), education=("b.fr",), suffixes=2)
    assert ListCount.from_json(asdict(counted)) == counted


@pytest.mark.parametrize(
    ("doubt", "told"),
    [
        (Doubt("shrunk", "jeux", 12000, 40), "« jeux » a rétréci : 12\u202f000 noms avant, 40 noms maintenant"),
        (Doubt("grew", "jeux", 1, 400), "a grandi : 1 nom avant"),
        (Doubt("gone", "jeux", 300), "a disparu"),
        (Doubt("suffixes", "jeux", 0, 7), "suffixes publics (7)"),
        (Doubt("popular", "jeux", 0, 2, ("a.fr", "b.fr")), "très fréquentés (2) : a.fr, b.fr."),
        (Doubt("education", "jeux", 0, 11, tuple(f"{n}.fr" for n in range(11))), "9.fr…"),
    ],
)
def test_a_doubt_is_a_sentence(doubt: Doubt, told: str) -> None:
    assert told in sentence(Doubt.from_json(doubt.to_json()))


def test_a_category_is_blocked_as_soon_as_somebody_blocks_it() -> None:
    lesson_hours = CategoryRule("games", Verdict.ALLOW, schedule="cours", otherwise=Verdict.BLOCK)
    override = OverrideSettings("1", Verdict.BLOCK, NOON, NOON + timedelta(days=1), categories=("chat",))
    profile = ProfileSettings(
        "ecole", "École", overrides=(override,),
        categories=(CategoryRule("adult", Verdict.BLOCK), CategoryRule("press", Verdict.ALLOW), lesson_hours),
    )  # fmt: skip
    settings = PolicySettings((profile,), "ecole", closed_categories=("doh",))
    assert blocked_categories(settings) == {"adult", "games", "chat", "doh"}


# --- what a person decides ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[ListServer]:
    with list_server() as served:
        yield served


def plain(number: int, *others: str) -> bytes:
    return "".join(f"{name}\n" for name in (*(f"n{n}.example" for n in range(number)), *others)).encode()


class Followed:
    """A source, and what it sends today."""

    def __init__(self, session: Session, server: ListServer, clock: Clock) -> None:
        self.session, self.server, self.clock = session, server, clock
        self.source = FilterSource(
            slug="jeux", title="Jeux", url=server.url("/jeux"), category="gambling", is_internal=True, added_at=NOON,
            popular_limit=0,
        )  # fmt: skip
        session.add(self.source)
        session.flush()

    def sends(self, body: bytes) -> FetchOutcome | None:
        """A day later it sends this."""
        self.server.pages["/jeux"] = Page(body)
        self.clock.advance(days=1)
        self.source.due_at = self.clock.now
        self.session.flush()
        fetching.fetch_source(self.source.id, self.session.get_bind().engine, Limits(), self.clock)
        self.session.refresh(self.source)
        return self.source.outcome

    def content(self, state: ContentState) -> SourceContent | None:
        return contents.find_content(self.session, self.source.id, state)

    def names(self) -> int:
        """Of what is compiled."""
        good = self.content(ContentState.GOOD)
        return good.names if good else 0

    def held(self) -> SourceContent:
        found = self.content(ContentState.HELD)
        assert found is not None
        return found


@pytest.fixture
def followed(session: Session, server: ListServer, clock: Clock) -> Followed:
    return Followed(session, server, clock)


def test_what_shrank_waits_and_the_last_good_one_stays(session: Session, followed: Followed) -> None:
    assert followed.sends(plain(1000)) is FetchOutcome.ACCEPTED
    assert followed.sends(plain(10)) is FetchOutcome.HELD
    assert followed.names() == 1000
    assert followed.held().doubts == [{"kind": "shrunk", "list": "jeux", "before": 1000, "after": 10}]
    [(source, content)] = sources.list_held(session)
    assert (source.id, content.id) == (followed.source.id, followed.held().id)
    assert session.scalars(select(Publication)).all() == []


def test_approved_it_is_used_and_published(session: Session, followed: Followed, staff: Viewer, clock: Clock) -> None:
    followed.sends(plain(1000))
    followed.sends(plain(10))
    content = sources.approve(session, staff, followed.held().id, clock.now)
    assert (content.state, content.decided_by) == (ContentState.GOOD, staff.name)
    assert followed.names() == 10
    [asked] = session.scalars(select(Publication)).all()
    assert asked.requested_by == staff.name
    event = session.scalars(select(FilterEvent).where(FilterEvent.verb == "source.approve")).one()
    assert (event.by, event.subject_id) == (staff.name, followed.source.id)
    with pytest.raises(Conflict):
        sources.reject(session, staff, content.id, clock.now)
    assert followed.sends(plain(12)) is FetchOutcome.ACCEPTED


def test_rejected_it_is_not_held_again_and_its_pieces_go(
    session: Session, followed: Followed, staff: Viewer, clock: Clock
) -> None:
    followed.sends(plain(1000))
    followed.sends(plain(10))
    rejected = sources.reject(session, staff, followed.held().id, clock.now)
    assert followed.sends(plain(10)) is FetchOutcome.REJECTED
    assert sources.list_held(session) == []
    assert followed.names() == 1000
    pieces = select(ContentChunk).where(ContentChunk.content_id == rejected.id)
    assert session.scalars(pieces).all() == []
    assert followed.sends(plain(900)) is FetchOutcome.ACCEPTED


def test_what_still_waits_keeps_waiting(followed: Followed) -> None:
    followed.sends(plain(1000))
    followed.sends(plain(10))
    first = followed.held().id
    assert followed.sends(plain(10)) is FetchOutcome.HELD
    assert followed.held().id == first
    assert followed.sends(plain(11)) is FetchOutcome.HELD
    assert followed.held().id != first


def test_a_source_that_comes_back_to_its_senses_ends_the_hold(session: Session, followed: Followed) -> None:
    followed.sends(plain(1000))
    followed.sends(plain(10))
    assert followed.sends(plain(1000)) is FetchOutcome.UNCHANGED
    assert sources.list_held(session) == []
    followed.sends(plain(10))
    assert followed.sends(plain(1001)) is FetchOutcome.ACCEPTED
    assert sources.list_held(session) == []


def test_what_everybody_uses_is_not_closed_unseen_even_at_first(session: Session, followed: Followed) -> None:
    assert followed.sends(plain(50, "wikipedia.org", "education.gouv.fr")) is FetchOutcome.HELD
    [popular] = [doubt for doubt in followed.held().doubts if doubt["kind"] == "popular"]
    assert any("wikipedia" in name for name in popular["names"])
    [lessons] = [doubt for doubt in followed.held().doubts if doubt["kind"] == "education"]
    assert "education.gouv.fr" in lessons["names"]
    assert followed.names() == 0
    followed.source.category = "jobsearch"  # nobody blocks it
    assert followed.sends(plain(51, "wikipedia.org")) is FetchOutcome.ACCEPTED, followed.held().doubts


MANY = [f"||n{n}.blogs.example^" for n in range(30)]


@pytest.mark.parametrize(
    ("known_format", "lines", "kind", "named"),
    [
        ("adblock", ["/^www[.]/"], "rules", "20minutes.fr"),
        ("adblock", ["|w*"], "rules", "20minutes.fr"),
        ("adblock", ["/education|scolaire|neo/"], "rules", "education.gouv.fr"),
        ("adblock", ["||education.gouv.fr^$dnstype=~TXT"], "rules", "education.gouv.fr"),
        ("adblock", ["/^cdn[.]/"], "rules", "google.com"),
        ("rpz", ["*.google.com CNAME rpz-drop."], "rules", "google.com"),
        ("addresses", ["142.250.0.0/15"], "wide", "142.250.0.0/15"),
        ("addresses", ["8.0.0.0/8"], "wide", "8.0.0.0/8"),
        ("addresses", ["2001:4860::/31"], "wide", "2001:4860::/31"),
        ("adblock", [*MANY, "@@/^[a-p]/$important"], "lifts", "@@/^[a-p]/$important"),
        ("adblock", [*MANY, "@@||blogs.example^"], "lifts", "@@||blogs.example^"),
    ],
)
def test_one_line_closes_or_opens_nothing_unseen(
    session: Session, followed: Followed, known_format: str, lines: list[str], kind: str, named: str
) -> None:
    """However many popular names the source may touch: such a line is no matter of numbers."""
    followed.source.format, followed.source.popular_limit = known_format, 1000
    head = ["$TTL 60", "@ SOA localhost. root.localhost. 1 2 3 4 5", " NS localhost."] if known_format == "rpz" else []
    sent = "".join(f"{line}\n" for line in (*head, *lines)).encode()
    assert followed.sends(sent) is FetchOutcome.HELD, (followed.source.outcome, followed.source.reason)
    [doubt] = followed.held().doubts
    assert doubt["kind"] == kind
    assert named in doubt["names"]
    assert sentence(Doubt.from_json(doubt)).endswith(("….", f"{named}."))


@pytest.mark.parametrize(
    ("known_format", "lines"),
    [
        ("adblock", ["/^ads[0-9]+[.]/", "||casino.example^$dnstype=~TXT", "||education.gouv.fr^$dnstype=TXT"]),
        ("adblock", [*MANY, "@@||n1.blogs.example^", "@@|n2.blogs.example^"]),
        ("addresses", ["198.51.0.0/16", "192.0.2.1", "2001:4860::/32"]),
    ],
)
def test_lines_that_reach_little_do_not_wait(
    session: Session, followed: Followed, known_format: str, lines: list[str]
) -> None:
    followed.source.format = known_format
    sent = "".join(f"{line}\n" for line in (*lines, *(["||a.example^"] if known_format == "adblock" else []))).encode()
    assert followed.sends(sent) is FetchOutcome.ACCEPTED, (followed.source.reason, followed.held().doubts)


def test_a_rule_that_a_person_saw_is_no_news(session: Session, followed: Followed, staff: Viewer, clock: Clock) -> None:
    followed.source.format = "adblock"
    followed.sends(b"||a.example^\n/^cdn[.]/\n@@/^b/\n")
    sources.approve(session, staff, followed.held().id, clock.now)
    assert followed.sends(b"||a.example^\n||b.example^\n/^cdn[.]/\n@@/^b/\n") is FetchOutcome.ACCEPTED


def test_only_staff_decides(session: Session, followed: Followed, clock: Clock) -> None:
    followed.sends(plain(1000))
    followed.sends(plain(10))
    officer = make_user(session, Role.OFFICER, collectivity=make_collectivity(session))
    for verb in (sources.approve, sources.reject):
        with pytest.raises(NotAllowed):
            verb(session, accounts.get_viewer(session, officer.id), followed.held().id, clock.now)

"""Sources of lists: added, changed, fetched when a person asks, compiled; by verbs and over HTTP."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from filter.lists.lines import ListRefused
from filter.lists.source import ListReport
from fleet.accounts import service as accounts
from fleet.clock import utc_now
from fleet.errors import Conflict, Invalid, NotAllowed
from fleet.filtering import tasks
from fleet.filtering.lists import contents, fetching, listing, sources
from fleet.filtering.lists.downloading import LIMITS
from fleet.filtering.lists.inspecting import UT1, Description, inspect, open_content, place_of
from fleet.filtering.lists.terms import UT1_TERMS, Terms
from fleet.filtering.models import ContentState, FetchOutcome, FilterSource, Publication
from fleet.filtering.policy.models import FilterEvent
from fleet.scope import Role, Viewer
from tests.conftest import Clock
from tests.factories import NOON, make_collectivity, make_user
from tests.fleet.list_server import ListServer, Page, list_server
from tests.sign_in import signed_in

LIST = Terms(title="Jeux", url="https://listes.example/jeux.txt", category="gambling")


@pytest.fixture(scope="module")
def server() -> Iterator[ListServer]:
    with list_server() as served:
        yield served


def tree(files: dict[str, str], root: str = "blacklists/") -> bytes:
    """A tarball of the UT1 lists."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{root}{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        link = tarfile.TarInfo(f"{root}porn")
        link.type, link.linkname = tarfile.SYMTYPE, "adult"
        archive.addfile(link)
    return out.getvalue()


SMALL_TREE = tree({
    "adult/domains": "nu.example\n", "adult/urls": "page.example/nu\n", "games/domains": "jeu.example\njeux.example\n",
    "liste_bu/domains": "bu.example\n", "liste_bu/usage": "white\n", "global_usage": "NAME: games\nNAME FR: jeux\n",
})  # fmt: skip


# --- by verbs ----------------------------------------------------------------------------------------------------


def test_a_source_is_added_and_due_at_once(session: Session, staff: Viewer) -> None:
    source = sources.add_source(session, staff, "jeux", replace(LIST, title="  Jeux  d’argent "), NOON)
    assert (source.title, source.due_at, source.is_wanted) == ("Jeux d’argent", NOON, True)
    event = session.scalars(select(FilterEvent).where(FilterEvent.verb == "source.add")).one()
    assert (event.by, event.subject_id) == (staff.name, source.id)
    with pytest.raises(Conflict):
        sources.add_source(session, staff, "jeux", LIST, NOON)


def test_polite_hours_put_it_off(session: Session, staff: Viewer) -> None:
    source = sources.add_source(session, staff, "ut1", UT1_TERMS, NOON)  # 11 h UTC
    assert source.due_at == NOON.replace(hour=19)


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": " "}, {"url": None}, {"url": "ftp://a.fr/x"}, {"url": "http://127.0.0.1/x"}, {"url": "http://[::1]/x"},
        {"url": "https://u:p@a.fr/x"}, {"category": ""}, {"category": "Jeux d’argent"}, {"format": "word"},
        {"quiet_from": 8}, {"quiet_from": 8, "quiet_until": 25}, {"every_hours": 0}, {"shrink_percent": 101},
        {"growth_percent": 99}, {"popular_limit": -1}, {"checksum_url": "file:///etc/passwd"},
        {"categories": {"adult": "a b"}},
    ],
)  # fmt: skip
def test_what_is_no_source_is_said(session: Session, staff: Viewer, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        sources.add_source(session, staff, "jeux", replace(LIST, **wrong), NOON)
    assert refused.value.detail.endswith(".")
    assert session.scalars(select(FilterSource)).all() == []


def test_a_change_leaves_what_was_before(session: Session, staff: Viewer) -> None:
    source = sources.add_source(session, staff, "jeux", LIST, NOON)
    sources.change_source(session, staff, source.id, {"is_enabled": False, "title": "Jeux"}, NOON)
    event = session.scalars(select(FilterEvent).where(FilterEvent.verb == "source.change")).one()
    assert (event.before, event.after) == ({"is_enabled": True}, {"is_enabled": False})
    [asked] = session.scalars(select(Publication)).all()  # its names leave the next file
    assert asked.requested_by == staff.name
    with pytest.raises(Conflict, match="désactivée"):
        sources.fetch_now(session, staff, source.id, NOON)
    with pytest.raises(Invalid):
        sources.change_source(session, staff, source.id, {"url": None}, NOON)


def test_only_staff_changes_sources(session: Session) -> None:
    officer = make_user(session, Role.OFFICER, collectivity=make_collectivity(session))
    with pytest.raises(NotAllowed):
        sources.add_source(session, accounts.get_viewer(session, officer.id), "jeux", LIST, NOON)


def test_the_controllers_own_folder_is_a_source(session: Session, staff: Viewer) -> None:
    for _ in range(2):
        listing.ensure_local_source(session, NOON)
    [local] = sources.list_sources(session).rows
    assert (local.slug, local.url, local.is_enabled) == ("local", None, True)
    with pytest.raises(Conflict):
        sources.fetch_now(session, staff, local.id, NOON)
    sources.change_source(session, staff, local.id, {"is_enabled": False}, NOON)
    assert listing.find_local(session) is None


def test_what_a_person_waits_for_is_published_once_it_came(
    session: Session, staff: Viewer, server: ListServer, clock: Clock
) -> None:
    server.pages["/jeux"] = Page(b"casino.example\n")
    terms = replace(LIST, url=server.url("/jeux"), is_internal=True)
    source = sources.add_source(session, staff, "jeux", terms, NOON)
    engine = session.get_bind().engine
    assert fetching.fetch_source(source.id, engine, clock=clock)
    [asked] = session.scalars(select(Publication)).all()
    assert "Jeux" in (asked.requested_by or "")
    session.delete(asked)
    clock.advance(days=1)
    server.pages["/jeux"] = Page(b"casino.example\nloto.example\n")
    assert not fetching.fetch_source(source.id, engine, clock=clock)  # by the hour: the night publishes it
    session.refresh(source)
    assert source.outcome is FetchOutcome.ACCEPTED
    assert session.scalars(select(Publication)).all() == []


def test_another_address_is_fetched_from_the_start(
    session: Session, staff: Viewer, server: ListServer, clock: Clock
) -> None:
    server.pages |= {"/a": Page(b"a.example\n", etag='"same"'), "/b": Page(b"b.example\n", etag='"same"')}
    source = sources.add_source(session, staff, "x", replace(LIST, url=server.url("/a"), is_internal=True), NOON)
    engine = session.get_bind().engine
    fetching.fetch_source(source.id, engine, clock=clock)
    sources.change_source(session, staff, source.id, {"url": server.url("/b")}, NOON)
    fetching.fetch_source(source.id, engine, clock=clock)
    assert "if-none-match" not in server.headers_of()
    session.refresh(source)
    assert source.outcome is FetchOutcome.ACCEPTED


def test_what_came_from_another_address_is_not_judged(
    session: Session, staff: Viewer, server: ListServer, clock: Clock
) -> None:
    server.pages |= {"/a": Page(b"a.example\n"), "/b": Page(b"b.example\nc.example\n")}
    source = sources.add_source(session, staff, "x", replace(LIST, url=server.url("/a"), is_internal=True), NOON)
    order = fetching.start(session, source.id, NOON)
    assert order is not None
    fetching.bring(order, LIMITS, NOON)  # and its worker dies
    sources.change_source(session, staff, source.id, {"url": server.url("/b")}, NOON)
    fetching.fetch_source(source.id, session.get_bind().engine, clock=clock)
    good = contents.find_content(session, source.id, ContentState.GOOD)
    assert good is not None
    assert good.names == 2


# --- trees -------------------------------------------------------------------------------------------------------


def test_a_tarball_is_many_lists_under_names_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(SMALL_TREE)
    described = Description(
        "ut1", "UT1", format=UT1, categories={"games": "jeux", "liste_bu": ""}, licence="CC", url="u"
    )
    found = open_content(path, described, tmp_path)
    assert [(each.slug, each.category, each.source) for each in found] == [
        ("ut1/adult", "adult", "u"), ("ut1/games", "jeux", "u"),
    ]  # fmt: skip
    assert sorted(str(entry) for entry in found[1].read(ListReport())) == ["jeu.example", "jeux.example"]


def test_a_tarball_tells_itself_apart(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(SMALL_TREE)
    inspection = inspect(path, Description("ut1", "UT1"), tmp_path)
    assert inspection.format == UT1
    assert {entry.slug: entry.names for entry in inspection.lists} == {
        "ut1/adult": 1, "ut1/games": 2, "ut1/liste_bu": 1,
    }  # fmt: skip
    with pytest.raises(ListRefused, match="archive"):
        inspect(path, Description("x", "X", format="hosts"), tmp_path)
    path.write_bytes(b"casino.example\n")
    with pytest.raises(ListRefused, match="archive"):
        inspect(path, Description("x", "X", format=UT1), tmp_path)


def test_a_damaged_tarball_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(SMALL_TREE[: len(SMALL_TREE) // 2])
    with pytest.raises(ListRefused):
        inspect(path, Description("ut1", "UT1", format=UT1), tmp_path)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("blacklists/adult/domains", "adult/domains"), ("./adult/domains", "adult/domains"),
        ("blacklists/global_usage", "global_usage"), ("global_usage", "global_usage"), ("../../etc/passwd", None),
        ("a/../../b/domains", None), ("/etc/cron.d/x/domains", None), ("/adult/domains", "adult/domains"), ("", None),
    ],
)  # fmt: skip
def test_nothing_in_an_archive_leads_out(name: str, place: str | None) -> None:
    assert place_of(name) == place


# --- over HTTP ---------------------------------------------------------------------------------------------------

BASE = "/api/v1/filtering"


def test_staff_follows_a_source_over_http(api: TestClient, session: Session, server: ListServer, clock: Clock) -> None:
    clock.now = utc_now()  # the worker's clock is nobody's to set
    signed_in(api, make_user(session))
    server.pages["/jeux"] = Page("".join(f"n{n}.example\n" for n in range(400)).encode(), etag='"v1"')
    body = {
        "slug": "jeux", "title": "Jeux", "url": server.url("/jeux"), "category": "gambling", "is_internal": True,
        "every_hours": 6,
    }  # fmt: skip
    added = api.post(f"{BASE}/sources", json=body)
    assert added.status_code == 201, added.text
    path = f"{BASE}/sources/{added.json()['id']}"
    tasks.fetch_source(added.json()["id"])
    shown = api.get(path).json()
    assert (shown["outcome"], shown["failures"]) == ("accepted", 0)
    server.pages["/jeux"] = Page(b"n1.example\n", etag='"v2"')
    assert api.post(f"{path}/fetch").status_code == 202
    tasks.fetch_source(added.json()["id"])
    [held] = api.get(f"{BASE}/sources/held").json()
    assert held["source"]["slug"] == "jeux"
    assert held["reasons"] == ["La liste « jeux » a rétréci : 400 noms avant, 1 nom maintenant."]
    rejected = api.post(f"{BASE}/contents/{held['content']['id']}/reject")
    assert (rejected.status_code, rejected.json()["state"]) == (200, "rejected")
    assert api.post(f"{BASE}/contents/{held['content']['id']}/approve").status_code == 409
    assert api.get(f"{path}/contents").json()["total"] == 2
    assert api.patch(path, json={"is_enabled": False, "quiet_from": None}).json()["is_enabled"] is False
    assert api.get(f"{BASE}/sources", params={"sort": "-slug"}).json()["rows"][0]["slug"] == "jeux"


@pytest.mark.parametrize(
    "wrong", [{"url": 7}, {"title": None}, {"slug": ""}, {"is_enabled": "oui"}, {"other": 1}, {"quiet_from": 25}]
)
def test_bodies_are_strict(api: TestClient, session: Session, wrong: dict[str, Any]) -> None:
    signed_in(api, make_user(session))
    body = {"slug": "jeux", "title": "Jeux", "url": "https://a.example/", "category": "gambling"} | wrong
    assert api.post(f"{BASE}/sources", json=body).status_code == 422


@pytest.mark.parametrize("role", [Role.OFFICER, Role.AUDITOR])
def test_others_read_or_not_and_never_change(api: TestClient, session: Session, role: Role) -> None:
    node = {} if role is Role.AUDITOR else {"collectivity": make_collectivity(session)}
    signed_in(api, make_user(session, role, **node))
    body = {"slug": "jeux", "title": "Jeux", "url": "https://a.example/", "category": "gambling"}
    assert api.post(f"{BASE}/sources", json=body).status_code == 403
    expected = 200 if role is Role.AUDITOR else 403
    for path in ("sources", "sources/held"):
        assert api.get(f"{BASE}/{path}").status_code == expected


def test_a_source_that_is_not_there(api: TestClient, session: Session) -> None:
    signed_in(api, make_user(session))
    nowhere = "00000000-0000-0000-0000-000000000001"
    for answer in (
        api.get(f"{BASE}/sources/{nowhere}"), api.patch(f"{BASE}/sources/{nowhere}", json={}),
        api.post(f"{BASE}/sources/{nowhere}/fetch"), api.post(f"{BASE}/contents/{nowhere}/approve"),
    ):  # fmt: skip
        assert answer.status_code == 404

"""Publications: what is in them, who signed them, when nothing is published, the way back, and deltas."""

import threading
import zlib
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, delete, select, update
from sqlalchemy.orm import Session

from filter.bundle import BundleRefused, NamesFile
from filter.domains import hash_name
from filter.layout.delta import apply_delta
from filter.signing import SigningKey, trust
from fleet.accounts import service as accounts
from fleet.config import FleetConfig
from fleet.errors import Conflict, NotAllowed, NotFound
from fleet.filtering import service, tasks
from fleet.filtering.lists import listing, sources
from fleet.filtering.models import (
    ContentChunk,
    ContentState,
    FilterSource,
    Publication,
    PublicationChunk,
    PublicationDelta,
    PublicationState,
    SourceContent,
)
from fleet.filtering.models import SigningKey as KeyRow
from fleet.filtering.policy import policies
from fleet.filtering.policy.models import FilterEvent
from fleet.filtering.publishing import deltas, publications, returning, signing
from fleet.filtering.publishing.publications import KEPT
from fleet.scope import Role, Viewer
from tests.factories import NOON, make_collectivity, make_user
from tests.fleet.publishing import content_of, in_catalogue, open_names, publish, store
from tests.sign_in import signed_in


def add_names(lists: Path, *names: str) -> None:
    """One more day of the list of games."""
    with (lists / "gambling" / "domains").open("a") as file:
        file.writelines(f"{name}\n" for name in names)


def knows(names: NamesFile, name: str) -> bool:
    return names.find_set(hash_name(name.encode(), names.header.key)) is not None


# --- signed ------------------------------------------------------------------------------------------------------


def test_a_file_is_signed_by_the_key_that_filters_are_told(
    session: Session, with_lists: FleetConfig, tmp_path: Path
) -> None:
    path = tmp_path / "names"
    publications.copy_names(publish(session).id, path)
    assert NamesFile.open(path, trust(signing.public_keys(session))).names == 3 + in_catalogue()
    with pytest.raises(BundleRefused) as refused:
        NamesFile.open(path, trust([SigningKey.generate().public_hex]))
    assert refused.value.reason == "foreign_signature"


def test_there_is_one_key_whoever_asks_first(own_database_url: str) -> None:
    engine = create_engine(own_database_url)
    barrier = threading.Barrier(4)
    found: list[str] = []

    def ask() -> None:
        with Session(engine) as session, session.begin():
            barrier.wait()
            found.append(signing.signing_key(session).public_hex)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Session(engine) as session:
        assert set(found) == set(session.scalars(select(KeyRow.public_hex)))
    assert len(found) == 4
    assert len(set(found)) == 1
    engine.dispose()


def test_the_first_names_bring_a_policy(session: Session, with_lists: FleetConfig) -> None:
    publication = publish(session)
    policy = policies.find_current(session)
    assert policy is not None
    assert policy.names_digest == publication.digest
    publish(session)
    again = policies.find_current(session)
    assert again is not None
    assert again.serial == policy.serial


# --- nothing new -------------------------------------------------------------------------------------------------


def test_the_same_lists_are_not_published_twice(session: Session, with_lists: FleetConfig, lists: Path) -> None:
    first, second = publish(session), publish(session)
    assert second.state is PublicationState.UNCHANGED
    assert second.digest == first.digest
    assert service.find_latest(session) is first
    assert not publications.has_content(session, second.id)
    add_names(lists, "loto.example")
    third = publish(session)
    assert third.state is PublicationState.PUBLISHED
    assert service.find_latest(session) is third
    assert third.digest != first.digest


def test_order_and_repetition_of_names_change_nothing(session: Session, with_lists: FleetConfig, lists: Path) -> None:
    first = publish(session)
    (lists / "gambling" / "domains").write_text("jeux.example\ncasino.example\n")
    assert publish(session).digest == first.digest


# --- where the names come from -----------------------------------------------------------------------------------


def fetched(session: Session, slug: str, body: bytes, state: ContentState = ContentState.GOOD) -> FilterSource:
    """A source that sent this."""
    source = FilterSource(slug=slug, title=slug, url="https://a.example/", category="gambling", added_at=NOON)
    session.add(source)
    session.flush()
    content = SourceContent(source_id=source.id, state=state, fetched_at=NOON, format="domains")
    session.add(content)
    session.flush()
    session.add(ContentChunk(content_id=content.id, position=0, content=zlib.compress(body)))
    session.flush()
    return source


def test_good_contents_of_enabled_sources_are_compiled(
    session: Session, with_lists: FleetConfig, staff: Viewer, tmp_path: Path
) -> None:
    source = fetched(session, "poker", b"poker.example\n")
    fetched(session, "held", b"held.example\n", ContentState.HELD)
    first = open_names(publish(session), tmp_path / "first")
    assert knows(first, "poker.example")
    assert knows(first, "casino.example")
    assert knows(first, "tiktok.com")
    assert not knows(first, "held.example")
    assert {info.slug for info in first.lists if info.category == "gambling"} == {"gambling", "poker/poker"}
    sources.change_source(session, staff, source.id, {"is_enabled": False}, NOON)
    assert not knows(open_names(publish(session), tmp_path / "second"), "poker.example")


def test_a_source_may_be_called_like_a_list_of_the_folder(
    session: Session, with_lists: FleetConfig, tmp_path: Path
) -> None:
    fetched(session, "gambling", b"poker.example\n")
    names = open_names(publish(session), tmp_path / "names")
    assert knows(names, "poker.example")
    assert knows(names, "casino.example")


def test_what_nobody_foresaw_fails_one_order_and_not_those_behind_it(
    session: Session, with_lists: FleetConfig, lists: Path
) -> None:
    source = fetched(session, "poker", b"poker.example\n")
    session.execute(update(SourceContent).where(SourceContent.source_id == source.id).values(format="unheard-of"))
    failed = publish(session)
    assert failed.state is PublicationState.FAILED
    assert "KeyError" in (failed.error or "")
    session.delete(source)
    session.flush()
    assert publish(session).state is PublicationState.PUBLISHED


def test_without_the_controllers_own_folder(
    session: Session, with_lists: FleetConfig, staff: Viewer, tmp_path: Path
) -> None:
    listing.ensure_local_source(session, NOON)
    [local] = sources.list_sources(session).rows
    sources.change_source(session, staff, local.id, {"is_enabled": False}, NOON)
    failed = publish(session)
    assert failed.state is PublicationState.FAILED
    assert "aucun nom" in (failed.error or "")  # the catalogue of services alone is no reason to publish
    fetched(session, "poker", b"poker.example\n")
    names = open_names(publish(session), tmp_path / "names")
    assert knows(names, "poker.example")
    assert not knows(names, "casino.example")


def at_night(session: Session, day: int) -> Publication:
    """What the nightly run does."""
    night = publications.add_nightly_request(session, NOON.date() + timedelta(days=day), NOON)
    tasks.compile_publication(str(night))
    return service.get_publication(session, night) if night else pytest.fail("no night")


def test_a_folder_that_was_emptied_is_in_no_school_by_morning(
    session: Session, with_lists: FleetConfig, lists: Path
) -> None:
    add_names(lists, *(f"n{n}.example" for n in range(1000)))
    first = at_night(session, 1)
    assert first.state is PublicationState.PUBLISHED  # nothing to compare with
    domains = lists / "gambling" / "domains"
    domains.write_text("".join(domains.read_text().splitlines(keepends=True)[:100]))
    held = at_night(session, 2)
    assert held.state is PublicationState.FAILED
    assert "« gambling » a rétréci : 1\u202f002 noms avant, 100 noms maintenant." in (held.error or "")
    assert "publiez" in (held.error or "")
    assert service.find_latest(session) is first
    asked = publish(session)  # a person has looked
    assert asked.state is PublicationState.PUBLISHED
    add_names(lists, "more.example")
    assert at_night(session, 3).state is PublicationState.PUBLISHED


def test_a_folder_closes_no_school_overnight(
    session: Session, with_lists: FleetConfig, lists: Path, staff: Viewer
) -> None:
    publish(session)
    add_names(lists, "education.gouv.fr")
    source = fetched(session, "poker", b"poker.example\n")
    sources.change_source(session, staff, source.id, {"category": "games"}, NOON)  # is no word about the folder
    [asked] = publications.list_waiting(session)
    tasks.compile_publication(str(asked))
    held = service.get_publication(session, asked)
    assert held.state is PublicationState.FAILED
    assert "sites de l’éducation" in (held.error or "")
    assert "education.gouv.fr" in (held.error or "")


def test_who_disables_the_folder_knows_that_its_lists_go(
    session: Session, with_lists: FleetConfig, lists: Path, staff: Viewer
) -> None:
    add_names(lists, *(f"n{n}.example" for n in range(1000)))
    publish(session)
    fetched(session, "poker", b"poker.example\n")
    folder = listing.find_folder(session)
    assert folder is not None
    for is_enabled in (False, True):
        sources.change_source(session, staff, folder.id, {"is_enabled": is_enabled}, NOON)
        [asked] = publications.list_waiting(session)
        tasks.compile_publication(str(asked))
        assert service.get_publication(session, asked).state is PublicationState.PUBLISHED


def test_the_folders_categories_may_have_other_names(
    session: Session, with_lists: FleetConfig, staff: Viewer, tmp_path: Path
) -> None:
    listing.ensure_local_source(session, NOON)
    [local] = sources.list_sources(session).rows
    sources.change_source(session, staff, local.id, {"categories": {"gambling": "jeux", "liste_bu": ""}}, NOON)
    names = open_names(publish(session), tmp_path / "names")
    assert {info.category for info in names.lists if not info.category.startswith("service:")} == {"jeux"}


# --- the way back ------------------------------------------------------------------------------------------------


def test_an_earlier_content_comes_back_under_a_new_serial(
    session: Session, with_lists: FleetConfig, lists: Path, staff: Viewer, tmp_path: Path
) -> None:
    first = publish(session)
    add_names(lists, "education.example")
    second = publish(session)
    asked = returning.return_to(session, staff, first.id, NOON)
    tasks.compile_publication(str(asked.id))
    back = service.get_publication(session, asked.id)
    assert (back.state, back.digest) == (PublicationState.PUBLISHED, first.digest), back.error
    assert back.serial > second.serial
    assert back.report["returns_to"] == first.serial
    publications.copy_names(back.id, tmp_path / "back")
    names = NamesFile.open(tmp_path / "back", trust(signing.public_keys(session)))
    assert (names.serial, names.etag) == (back.serial, back.etag)
    assert content_of(session, back)[192:] == content_of(session, first)[192:]
    event = session.scalars(select(FilterEvent).where(FilterEvent.verb == "publication.return")).one()
    assert (event.by, event.after) == (staff.name, {"returns_to": first.serial})


def test_the_nights_wait_for_a_person_after_a_return(
    session: Session, with_lists: FleetConfig, lists: Path, staff: Viewer
) -> None:
    first = publish(session)
    add_names(lists, "education.example")
    publish(session)
    tasks.compile_publication(str(returning.return_to(session, staff, first.id, NOON).id))
    night = publications.add_nightly_request(session, NOON.date(), NOON)
    assert night is not None
    tasks.compile_publication(str(night))
    slept = service.get_publication(session, night)
    assert (slept.state, slept.report) == (PublicationState.UNCHANGED, {"note": publications.PAUSED})
    resumed = publish(session)
    assert resumed.state is PublicationState.PUBLISHED
    tomorrow = publications.add_nightly_request(session, NOON.date() + timedelta(days=1), NOON)
    tasks.compile_publication(str(tomorrow))
    assert service.get_publication(session, resumed.id) is service.find_latest(session)


def test_a_return_is_not_swallowed_by_a_request_that_waits(
    session: Session, with_lists: FleetConfig, lists: Path, staff: Viewer
) -> None:
    first = publish(session)
    add_names(lists, "education.example")
    publish(session)
    asked = returning.return_to(session, staff, first.id, NOON)
    assert service.request_publication(session, "test", NOON).id != asked.id


def test_what_cannot_come_back_is_said(session: Session, with_lists: FleetConfig, lists: Path, staff: Viewer) -> None:
    first = publish(session)
    with pytest.raises(Conflict, match="déjà"):
        returning.return_to(session, staff, first.id, NOON)
    for number in range(KEPT):
        store(session, b"%d" % number)
    publications.prune(session)
    with pytest.raises(Conflict, match="plus gardé"):
        returning.return_to(session, staff, first.id, NOON)
    officer = make_user(session, Role.OFFICER, collectivity=make_collectivity(session))
    with pytest.raises(NotAllowed):
        returning.return_to(session, accounts.get_viewer(session, officer.id), first.id, NOON)


def test_what_somebody_returns_to_is_not_pruned_on_the_way(
    session: Session, with_lists: FleetConfig, lists: Path, staff: Viewer
) -> None:
    first = publish(session)
    add_names(lists, "education.example")
    publish(session)
    asked = returning.return_to(session, staff, first.id, NOON)
    for number in range(KEPT + 1):
        store(session, b"%d" % number)
    publications.prune(session)
    tasks.compile_publication(str(asked.id))
    assert service.get_publication(session, asked.id).state is PublicationState.PUBLISHED


def test_one_click_over_http(api: TestClient, session: Session, with_lists: FleetConfig, lists: Path) -> None:
    signed_in(api, make_user(session))
    first = publish(session)
    add_names(lists, "education.example")
    publish(session)
    answer = api.post(f"/api/v1/filtering/publications/{first.id}/return")
    assert (answer.status_code, answer.json()["returns_to"]) == (202, str(first.id))


# --- deltas ------------------------------------------------------------------------------------------------------


def test_deltas_lead_from_the_last_files_to_the_newest(
    session: Session, with_lists: FleetConfig, lists: Path, tmp_path: Path
) -> None:
    add_names(lists, *(f"n{n}.example" for n in range(20_000)))
    files = [publish(session)]
    for day in range(deltas.FROM_LAST + 1):
        add_names(lists, f"day{day}.example")
        files.append(publish(session))
    newest = files[-1]
    rows = session.scalars(select(PublicationDelta)).all()
    assert {row.publication_id for row in rows} == {newest.id}
    assert {row.from_etag for row in rows} == {file.etag for file in files[-1 - deltas.FROM_LAST : -1]}
    for old in files[-1 - deltas.FROM_LAST : -1]:
        delta = deltas.find_delta(session, newest, old.etag)
        assert delta is not None
        (tmp_path / "delta").write_bytes(b"".join(deltas.read_delta(delta.id)))
        assert (tmp_path / "delta").stat().st_size == delta.size
        publications.copy_names(old.id, tmp_path / "old")
        apply_delta(tmp_path / "old", tmp_path / "delta", tmp_path / "new")
        assert (tmp_path / "new").read_bytes() == content_of(session, newest)
        assert delta.size < (newest.size or 0) * 0.1
    assert deltas.find_delta(session, newest, files[0].etag) is None


def test_what_is_no_names_file_gets_no_delta(session: Session, with_lists: FleetConfig) -> None:
    store(session, b"of another time")
    assert publish(session).state is PublicationState.PUBLISHED
    assert session.scalars(select(PublicationDelta)).all() == []


def test_a_file_that_was_pruned_on_the_way_is_said(session: Session, with_lists: FleetConfig, tmp_path: Path) -> None:
    publication: Publication = publish(session)
    session.execute(delete(PublicationChunk))
    with pytest.raises(NotFound, match="plus là"):
        publications.copy_names(publication.id, tmp_path / "names")
    assert not (tmp_path / "names").exists()

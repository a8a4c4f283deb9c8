"""Previews of names: prepared by the worker."""

from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from filter.bundle import NamesFile
from filter.layout.delta import apply_delta
from filter.signing import trust
from fleet.clock import utc_now
from fleet.filtering import service as filtering
from fleet.filtering import tasks
from fleet.filtering.lists import contents, sources
from fleet.filtering.models import ContentState, Publication, PublicationState, SigningKey, SourceContent
from fleet.filtering.previews import preparing, service
from fleet.filtering.previews.models import FilterPreview, PreviewChunk, PreviewKind, PreviewState
from fleet.filtering.publishing import compiling, publications, signing
from tests.conftest import Clock
from tests.fleet.deciding import viewer_of
from tests.fleet.previews.gateway import BASE, FILTER, ask, register, result
from tests.fleet.publishing import publish
from tests.portal.list_data import add_held_source


def add_name(lists: Path, name: str) -> None:
    with (lists / "gambling" / "domains").open("a") as file:
        file.write(f"{name}\n")


def test_the_folder_as_it_is_now(
    staff: TestClient, session: Session, published: Path, clock: Clock, tmp_path: Path
) -> None:
    clock.now = utc_now()  # the worker's clock is nobody's to set
    gateway = register(staff, session, "passerelle", clock.now)
    base = publications.find_latest(session)
    assert base is not None
    add_name(published, "neuf.example")
    [folder] = staff.get("/api/v1/filtering/sources").json()["rows"]
    preview = ask(staff, {"kind": "content", "content_id": folder["id"]})
    assert preview["state"] == "preparing"
    tasks.prepare_preview(preview["id"])
    question = gateway.get(f"{FILTER}/{preview['id']}").json()
    assert (question["policy"], question["names"]["from"]) == (None, base.etag)
    came = gateway.get(f"{FILTER}/{preview['id']}/names")
    assert came.headers["ETag"] == f'"{question["names"]["to"]}"'
    (tmp_path / "delta").write_bytes(came.content)
    publications.copy_names(base.id, tmp_path / "base")
    apply_delta(tmp_path / "base", tmp_path / "delta", tmp_path / "new")
    candidate = NamesFile.open(tmp_path / "new", trust(signing.public_keys(session)))
    assert (candidate.serial, candidate.etag) == (0, question["names"]["to"])
    assert candidate.names == NamesFile.open(tmp_path / "base").names + 1
    assert publications.find_latest(session) == base, "nothing is published"
    tasks.prepare_preview(preview["id"])  # twice is once
    assert gateway.answer(preview["id"]).status_code == 204
    assert result(staff, preview)["state"] == "done"
    assert session.scalars(select(PreviewChunk)).all() == []


@pytest.mark.parametrize("is_same", [True, False])
def test_the_folder_is_published_from_its_preview_only_as_it_was_judged(
    staff: TestClient, session: Session, published: Path, clock: Clock, is_same: bool
) -> None:
    clock.now = utc_now()
    register(staff, session, "passerelle", clock.now)
    if not is_same:
        add_name(published, "neuf.example")
    [folder] = staff.get("/api/v1/filtering/sources").json()["rows"]
    preview = ask(staff, {"kind": "content", "content_id": folder["id"]})
    tasks.prepare_preview(preview["id"])
    add_name(published, "encore.example")
    assert staff.post(f"{BASE}/{preview['id']}/publish").status_code == 200
    [asked] = publications.list_waiting(session)
    plain = filtering.request_publication(session, "Une personne", clock.now)
    assert plain.id != asked, "whoever wants the lists as they are does not share its fate"
    tasks.compile_publication(str(asked))
    session.expire_all()
    failed = session.get_one(Publication, asked)
    assert (failed.state, failed.error) == (PublicationState.FAILED, compiling.OTHER)
    tasks.compile_publication(str(plain.id))
    session.refresh(plain)
    assert plain.state is PublicationState.PUBLISHED


def test_the_folder_that_was_judged_is_published(
    staff: TestClient, session: Session, published: Path, clock: Clock
) -> None:
    clock.now = utc_now()
    add_name(published, "neuf.example")
    [folder] = staff.get("/api/v1/filtering/sources").json()["rows"]
    preview = ask(staff, {"kind": "content", "content_id": folder["id"]})
    tasks.prepare_preview(preview["id"])
    assert staff.post(f"{BASE}/{preview['id']}/publish").status_code == 200
    [asked] = publications.list_waiting(session)
    tasks.compile_publication(str(asked))
    session.expire_all()
    assert session.get_one(Publication, asked).state is PublicationState.PUBLISHED


def test_lists_that_are_the_same_are_asked_of_nobody(
    staff: TestClient, session: Session, published: Path, clock: Clock
) -> None:
    clock.now = utc_now()
    register(staff, session, "passerelle", clock.now)
    latest = publications.find_latest(session)
    assert latest is not None
    preview = ask(staff, {"kind": "return", "publication_id": str(latest.id)})
    tasks.prepare_preview(preview["id"])
    told = result(staff, preview)
    assert told["state"] == "done"
    assert told["preview"]["reason"] == preparing.SAME
    assert (told["awaited"], told["silent"]) == ([], [])


def test_a_return_is_asked_about(staff: TestClient, session: Session, published: Path, clock: Clock) -> None:
    clock.now = utc_now()
    earlier = publications.find_latest(session)
    assert earlier is not None
    add_name(published, "neuf.example")
    publish(session)
    preview = ask(staff, {"kind": "return", "publication_id": str(earlier.id)})
    assert (preview["kind"], preview["subject"]) == ("return", f"Publication {earlier.serial}")
    assert preparing.list_waiting(session) == [UUID(preview["id"])], "what the broker loses is found"
    tasks.sweep_previews()
    tasks.prepare_preview(preview["id"])
    session.expire_all()
    assert session.get_one(FilterPreview, UUID(preview["id"])).names_tag == f"{earlier.digest}.0"


def test_what_kills_its_worker_is_given_up(session: Session, staff: TestClient, published: Path, clock: Clock) -> None:
    clock.now = utc_now()
    latest = publications.find_latest(session)
    assert latest is not None
    preview = ask(staff, {"kind": "return", "publication_id": str(latest.id)})
    for _ in range(preparing.MOST_ATTEMPTS):
        assert preparing.start(session, UUID(preview["id"])) is not None
    assert preparing.start(session, UUID(preview["id"])) is None
    assert result(staff, preview)["state"] == "failed"


def test_what_nobody_expected_is_told_at_once(
    session: Session, staff: TestClient, published: Path, clock: Clock
) -> None:
    clock.now = utc_now()
    latest = publications.find_latest(session)
    assert latest is not None
    preview = ask(staff, {"kind": "return", "publication_id": str(latest.id)})
    session.execute(update(SigningKey).values(private_pem=b"no key"))
    session.commit()
    tasks.prepare_preview(preview["id"])
    told = result(staff, preview)
    assert told["state"] == "failed"
    assert told["preview"]["reason"].startswith("Erreur imprévue (KeyInvalid)")


def test_an_abandoned_preparation_asks_nobody(
    session: Session, staff: TestClient, published: Path, clock: Clock
) -> None:
    clock.now = utc_now()
    latest = publications.find_latest(session)
    assert latest is not None
    preview = ask(staff, {"kind": "return", "publication_id": str(latest.id)})
    errand = preparing.start(session, UUID(preview["id"]))
    assert errand is not None
    assert staff.post(f"{BASE}/{preview['id']}/abandon").status_code == 204
    preparing.settle(errand, lambda found, row: preparing.ask(found, row, "x.0", b"delta"))
    assert result(staff, preview)["state"] == "abandoned"


def test_a_publication_without_a_file_fails_with_a_reason(
    session: Session, staff: TestClient, published: Path, clock: Clock
) -> None:
    clock.now = utc_now()
    preview = FilterPreview(
        kind=PreviewKind.RETURN, subject="Publication 1", asked_by="x", asked_at=clock.now, judged_at=clock.now,
        threshold=3, days=7,
    )  # fmt: skip
    session.add(preview)
    session.flush()
    tasks.prepare_preview(str(preview.id))
    session.refresh(preview)
    assert (preview.state, preview.reason) == (PreviewState.FAILED, "Le contenu de cette publication n’est plus là.")


@pytest.mark.parametrize("meanwhile", ["rejected", "gone"])
def test_a_content_that_waits_no_more_is_not_taken_for_the_folder(
    session: Session, staff: TestClient, published: Path, clock: Clock, meanwhile: str
) -> None:
    clock.now = utc_now()
    viewer = viewer_of(session)
    source, held = add_held_source(session, viewer, clock.now)
    session.execute(delete(SourceContent).where(SourceContent.state == ContentState.GOOD))
    add_name(published, "neuf.example")
    preview = service.ask_for_content(session, viewer, held.id, now=clock.now)
    if meanwhile == "rejected":
        sources.reject(session, viewer, held.id, clock.now)
    else:
        contents.drop(session, source.id, ContentState.HELD)
    tasks.prepare_preview(str(preview.id))
    session.refresh(preview)
    assert (preview.state, preview.reason) == (PreviewState.FAILED, preparing.DECIDED)

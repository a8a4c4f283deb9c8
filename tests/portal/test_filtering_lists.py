"""Pages of lists: sources added and changed, what is held, what could not be reached."""

from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.config import FleetConfig
from fleet.filtering.lists.terms import UT1_TERMS
from fleet.filtering.models import ContentState, FilterSource, Publication, PublicationState
from fleet.scope import Viewer
from tests.conftest import Clock
from tests.portal.filtering_pages import SOURCE, read, refuse
from tests.portal.list_data import add_held_source, add_unreachable_source
from tests.portal.test_forms import send
from tests.portal.test_uncovered import publish_small_set


def test_a_source_is_added_changed_disabled_and_fetched(api: TestClient, session: Session, staff: Viewer) -> None:
    assert "Aucune liste n’est encore téléchargée" in read(api, "/filtering/sources")
    path = send(api, "/filtering/sources/new", **SOURCE).partition("?")[0]
    source = session.scalars(select(FilterSource).where(FilterSource.slug == "jeux")).one()
    assert (source.every_hours, source.shrink_percent, source.category) == (12, 40, "games")
    page = read(api, f"{path}?done=source-added")
    assert "La source est ajoutée" in page
    assert "Rien n’est encore arrivé" in page
    send(api, f"{path}/edit", **{**SOURCE, "title": "Jeux en ligne", "quiet_from": 8, "quiet_until": 19})
    session.refresh(source)
    assert (source.title, source.quiet_from, source.quiet_until) == ("Jeux en ligne", 8, 19)
    assert "source-waiting" in send(api, f"{path}/fetch")  # noon in Paris is in the quiet hours
    send(api, f"{path}/enabled", enabled="no")
    assert "Désactivée" in read(api, "/filtering/sources")
    assert "Télécharger maintenant" not in read(api, path)
    send(api, f"{path}/enabled", enabled="yes")
    session.refresh(source)
    assert source.is_enabled


def test_a_wrong_source_comes_back_with_what_was_typed(api: TestClient, session: Session, staff: Viewer) -> None:
    typed = {**SOURCE, "slug": "Trop Long", "every_hours": "beaucoup", "category": "", "categories": "adult\n"}
    page = refuse(api, "/filtering/sources/new", 422, **typed)
    for told in (
        "Lettres minuscules", "Un nombre de 1 à 744.", "Dites de quelle catégorie", "écrivez « dossier = catégorie »",
        'value="Trop Long"', 'value="beaucoup"', 'value="https://listes.example/jeux.txt"', 'aria-invalid="true"',
    ):  # fmt: skip
        assert told in page, told
    page = refuse(api, "/filtering/sources/new", 422, **{**SOURCE, "url": "http://127.0.0.1/liste"})
    assert "adresse interne" in page
    assert session.scalars(select(FilterSource).where(FilterSource.slug == "jeux")).first() is None
    send(api, "/filtering/sources/new", **SOURCE)
    assert "Une source s’appelle déjà" in refuse(api, "/filtering/sources/new", 409, **SOURCE)


def test_the_ut1_lists_are_ready_to_add(api: TestClient, session: Session, staff: Viewer) -> None:
    page = read(api, "/filtering/sources/new?ready=ut1")
    assert UT1_TERMS.url is not None
    assert UT1_TERMS.url in page
    assert 'value="19"' in page


def test_the_folder_of_the_controller_keeps_its_place(api: TestClient, session: Session, staff: Viewer) -> None:
    read(api, "/filtering/sources")
    source = session.scalars(select(FilterSource).where(FilterSource.url.is_(None))).one()
    path = f"/filtering/sources/{source.id}"
    assert "Télécharger maintenant" not in read(api, path)
    assert 'name="url"' not in read(api, f"{path}/edit")
    send(api, f"{path}/edit", title="Dossier", categories="games = jeux\npress =", licence="")
    session.refresh(source)
    assert (source.title, source.categories) == ("Dossier", {"games": "jeux", "press": ""})


def test_a_held_list_shows_what_would_change_and_is_decided(
    api: TestClient, session: Session, staff: Viewer, clock: Clock
) -> None:
    source, held = add_held_source(session, staff, clock.now)
    path = f"/filtering/sources/{source.id}"
    assert "À vérifier par une personne" in read(api, "/filtering/sources?q=franco")
    assert "Aucune source ne correspond" in read(api, "/filtering/sources?q=zzz&page=9")
    page = read(api, path)
    for told in (
        "120 000",
        "3 100",
        "lumni.fr",
        "bloquerait des sites de l’éducation",
        "Confirmer : utiliser",
        "Retenu",
    ):
        assert told in page, told
    assert page.count("<code>doubleclick.net</code>") == 1  # it is blocked already: nothing new
    send(api, f"/filtering/sources/contents/{held.id}/reject")
    session.refresh(held)
    assert (held.state, held.decided_by) == (ContentState.REJECTED, staff.name)
    page = read(api, path)
    assert "Un contenu attend" not in page
    assert f"décidé par {staff.name}" in page
    refuse(api, f"/filtering/sources/contents/{held.id}/approve", 409)


def test_an_accepted_list_replaces_the_one_in_use_and_is_published(
    api: TestClient, session: Session, staff: Viewer, clock: Clock
) -> None:
    source, held = add_held_source(session, staff, clock.now)
    assert "content-approved" in send(api, f"/filtering/sources/contents/{held.id}/approve")
    session.refresh(held)
    assert held.state is ContentState.GOOD
    asked = session.scalars(select(Publication).where(Publication.state == PublicationState.REQUESTED)).one()
    assert asked.requested_by == staff.name
    assert "Remplacé" in read(api, f"/filtering/sources/{source.id}")


def test_a_list_that_cannot_be_reached_says_why_and_when_next(
    api: TestClient, session: Session, staff: Viewer, clock: Clock
) -> None:
    source = add_unreachable_source(session, staff, clock.now)
    page = read(api, f"/filtering/sources/{source.id}")
    assert "absent.example est introuvable" in page
    assert "7 échecs de suite" in page
    assert "prochain essai" in page


def test_a_source_tells_what_was_compiled_of_it(
    api: TestClient, session: Session, staff: Viewer, config: FleetConfig, clock: Clock, tmp_path: Path
) -> None:
    read(api, "/filtering/sources")
    publish_small_set(session, config, clock, tmp_path)
    source = session.scalars(select(FilterSource).where(FilterSource.url.is_(None))).one()
    page = read(api, f"/filtering/sources/{source.id}")
    assert "Jeux d’argent" in page
    assert "Lignes laissées de côté" in page
    assert "entrées de" in read(api, "/filtering/sources") or "entrées" in page
    assert "TikTok" not in page  # the catalogue of services is no source

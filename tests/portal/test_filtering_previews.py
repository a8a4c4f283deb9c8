"""Pages of previews: asked from three forms, followed while gateways answer, then published, or not."""

import csv
import io
import re
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from filter.settings import Verdict
from fleet.accounts import service as accounts
from fleet.config import FleetConfig
from fleet.filtering import service as filtering
from fleet.filtering.lists.listing import find_folder
from fleet.filtering.models import ContentState, FilterNode
from fleet.filtering.policy import editing
from fleet.filtering.policy.layers import LayerSettings, Mark, NameLine
from fleet.filtering.policy.models import FilterProfile
from fleet.filtering.policy.places import Found, find_place
from fleet.filtering.previews import service
from fleet.filtering.previews.models import FilterPreview, PreviewKind, PreviewOutcome
from fleet.filtering.publishing import publications
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from tests.conftest import Clock
from tests.factories import make_school, make_user
from tests.fleet.deciding import make_room
from tests.portal.filtering_pages import read, refuse
from tests.portal.list_data import add_held_source
from tests.portal.preview_data import SAYS, TOLD, answer, ask_layer
from tests.portal.test_forms import send
from tests.portal.test_uncovered import publish_small_set
from tests.sign_in import signed_in


@pytest.fixture
def staff(api: TestClient, session: Session, config: FleetConfig, clock: Clock, tmp_path: Path) -> Viewer:
    """A technician who is signed in; lists and a policy are in force."""
    publish_small_set(session, config, clock, tmp_path)
    user = make_user(session)
    signed_in(api, user)
    return accounts.get_viewer(session, user.id)


@pytest.fixture
def school(session: Session, staff: Viewer) -> School:
    school = make_school(session, name="École Jean Macé")
    make_room(session, staff, school)
    return school


@pytest.fixture
def profile(session: Session, staff: Viewer) -> FilterProfile:
    return filtering.ensure_default_profile(session)


@pytest.fixture
def nodes(session: Session, staff: Viewer, clock: Clock) -> list[FilterNode]:
    """Two gateways that were heard of a moment ago."""
    made = [filtering.register_filter(session, name, None, clock.now)[0] for name in ("Guise", "Vervins")]
    for node in made:
        node.last_seen_at = clock.now
    session.flush()
    return made


@pytest.fixture
def preview(
    session: Session, staff: Viewer, profile: FilterProfile, school: School, nodes: list[FilterNode], clock: Clock
) -> FilterPreview:
    return ask_layer(session, staff, profile, school, clock.now)


def page_of(preview: FilterPreview) -> str:
    return f"/filtering/previews/{preview.id}"


def layer_names(session: Session, found: Found, profile: FilterProfile) -> list[str]:
    layer = editing.find_layer(session, found, profile)
    return [line.name for line in layer.says.names] if layer else []


def test_an_edit_is_previewed_from_its_form_and_published_from_the_answer(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile, school: School, nodes: list[FilterNode],
    clock: Clock,
) -> None:  # fmt: skip
    path, found = (
        f"/filtering/profiles/{profile.id}?school={school.id}",
        find_place(session, staff, school_id=school.id),
    )
    assert "Prévisualiser" in read(api, path)
    form = {"denied_names": "club-echecs.example", "category:games": "block"}
    address = send(api, path, **form, do="preview").partition("?")[0]
    assert layer_names(session, found, profile) == []
    [asked] = service.list_previews(session, staff).rows
    assert address == page_of(asked)
    page = read(api, address)
    for told in (
        "0 passerelle a répondu sur 2",
        "Attendues : Guise, Vervins",
        'hx-trigger="every 3s"',
        "École Jean Macé",
    ):
        assert told in page, told
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page
    answer(session, nodes[0], asked, TOLD, clock.now, withheld=2)
    page = read(api, address)
    for told in (
        "1 passerelle a répondu sur 2", "Ont répondu : Guise", "Attendues : Vervins", ">320<",
        "À cause de <code>jeux-du-preau.example</code>", "3 noms seraient bloqués, 1 serait ouvert",
        "Jusqu’ici : Une catégorie",
        "2 noms changent aussi, sans être nommés : moins de 3 appareils",
    ):  # fmt: skip
        assert told in page, told
    where = send(api, f"{address}/publish")
    assert where == f"/filtering/profiles/{profile.id}?school={school.id}&done=profile-saved"
    assert layer_names(session, found, profile) == ["club-echecs.example"]
    assert f"Ce changement est publié, par {staff.name}" in read(api, address)
    assert "déjà publié" in refuse(api, f"{address}/publish", 409)


def test_the_page_stops_asking_when_everybody_answered(
    api: TestClient, session: Session, preview: FilterPreview, nodes: list[FilterNode], clock: Clock
) -> None:
    polled = f"{page_of(preview)}?poll=yes"
    assert "HX-Refresh" not in api.get(polled).headers
    for node in nodes:
        answer(session, node, preview, TOLD[:1], clock.now)
    assert api.get(polled).headers["HX-Refresh"] == "true"
    page = read(api, page_of(preview))
    assert "every 3s" not in page
    assert "http-equiv" not in page
    assert "2 passerelles ont répondu sur 2" in page
    assert "640" in page  # queries of both gateways
    assert "Abandonner" not in page


def test_who_stays_silent_is_named_when_the_time_is_over(
    api: TestClient, session: Session, preview: FilterPreview, nodes: list[FilterNode], clock: Clock
) -> None:
    answer(session, nodes[0], preview, (), clock.now, outcome=PreviewOutcome.NO_COUNTS)
    clock.now += timedelta(minutes=11)
    page = read(api, page_of(preview))
    for told in ("1 passerelle est restée muette", "Ne compte pas les noms demandés", "Sans réponse"):
        assert told in page, told
    assert "n’ont encore compté aucun nom" in page


def test_refreshing_can_be_suspended(api: TestClient, preview: FilterPreview) -> None:
    assert "Suspendre l’actualisation" in read(api, page_of(preview))
    page = read(api, f"{page_of(preview)}?live=off")
    assert "Reprendre l’actualisation" in page
    assert "every 3s" not in page
    assert "http-equiv" not in page


def test_a_layer_that_changed_since_is_refused_in_clear_words(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile, school: School, preview: FilterPreview
) -> None:
    warning = "Un autre réglage a été publié depuis : refaites l’essai."
    assert warning not in read(api, page_of(preview))
    send(api, f"/filtering/profiles/{profile.id}?school={school.id}", denied_names="entre-temps.example")
    assert warning in read(api, page_of(preview))
    page = refuse(api, f"{page_of(preview)}/publish", 409)
    assert "Quelqu’un a changé ce réglage depuis l’essai : rien n’est publié." in page
    found = find_place(session, staff, school_id=school.id)
    assert layer_names(session, found, profile) == ["entre-temps.example"]


def test_what_was_locked_above_since_is_refused_on_the_page_of_the_preview(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile, school: School, preview: FilterPreview,
    clock: Clock,
) -> None:  # fmt: skip
    locked = LayerSettings(names=(NameLine("club-echecs.example", Verdict.ALLOW, mark=Mark(locked=True)),))
    editing.set_layer(session, staff, editing.OPERATOR_FOUND, profile, locked, clock.now)
    session.commit()
    page = refuse(api, f"{page_of(preview)}/publish", 422)
    assert "Essai : " in page
    assert "Verrouillé plus haut, donc sans effet ici : club-echecs.example." in page
    assert layer_names(session, find_place(session, staff, school_id=school.id), profile) == []


def test_the_form_is_taken_up_again_as_it_was_asked_about(
    api: TestClient, profile: FilterProfile, school: School, preview: FilterPreview
) -> None:
    again = f"/filtering/profiles/{profile.id}?school={school.id}&amp;preview={preview.id}"
    assert f'href="{again}"' in read(api, page_of(preview))
    page = read(api, again.replace("&amp;", "&"))
    assert "club-echecs.example # essai" in page
    assert "Rien n’en est encore enregistré" in page


def test_a_form_taken_up_again_overwrites_nothing_of_meanwhile(
    api: TestClient, profile: FilterProfile, school: School, preview: FilterPreview
) -> None:
    path = f"/filtering/profiles/{profile.id}?school={school.id}"
    send(api, path, denied_names="entre-temps.example")
    page = read(api, f"{path}&preview={preview.id}")
    revision = re.search(r'name="revision" value="([^"]+)"', page)
    assert revision is not None
    page = refuse(api, path, 412, denied_names="club-echecs.example", revision=revision[1])
    assert "Ce qui diffère" in page


def test_abandoned_nobody_is_asked_any_more(api: TestClient, preview: FilterPreview) -> None:
    assert "preview-abandoned" in send(api, f"{page_of(preview)}/abandon")
    page = read(api, page_of(preview))
    assert "Cet essai est abandonné : rien n’est publié" in page
    assert "Publier ce changement" not in page
    assert "déjà terminé" in refuse(api, f"{page_of(preview)}/abandon", 409)
    assert "Essai abandonné" in read(api, "/filtering/history?verb=preview.")


def test_names_are_searched_sorted_and_exported(
    api: TestClient, session: Session, preview: FilterPreview, nodes: list[FilterNode], clock: Clock
) -> None:
    answer(session, nodes[0], preview, TOLD, clock.now)
    path = page_of(preview)

    def names(query: str) -> list[str]:
        return re.findall(r'<span class="main">([^<]+)</span>', read(api, f"{path}?{query}"))

    everything = [each.name for each in TOLD]
    assert names("") == everything
    assert names("sort=devices") == everything[::-1]
    assert names("sort=-name") == sorted(everything, reverse=True)
    assert names("change=opened") == ["www.loto-des-ecoles.example"]
    assert names("q=jeux+argent") == ["www.loto-des-ecoles.example"]
    assert names("q=zzz") == []
    assert "Aucun nom ne correspond" in read(api, f"{path}?q=zzz")
    assert "Tri inconnu" in read(api, f"{path}?sort=couleur", 422)
    rows = list(
        csv.DictReader(
            io.StringIO(api.get(f"{path}/names.csv?change=blocked").content.decode("utf-8-sig")), delimiter=";"
        )
    )
    assert [row["nom"] for row in rows] == [each.name for each in TOLD if each.blocked]
    assert (rows[0]["requetes"], rows[0]["appareils"], rows[0]["passerelles"]) == ("320", "41", "Guise")


def test_a_held_list_is_previewed_from_both_pages(
    api: TestClient, session: Session, staff: Viewer, clock: Clock
) -> None:
    source, held = add_held_source(session, staff, clock.now)
    for path in ("/filtering/sources", f"/filtering/sources/{source.id}"):
        page = read(api, path)
        assert 'action="/filtering/previews/content"' in page
        assert f'name="content" value="{held.id}"' in page
    address = send(api, "/filtering/previews/content", content=held.id).partition("?")[0]
    assert "Les listes de l’essai se préparent" in read(api, address)
    assert send(api, f"{address}/publish") == f"/filtering/sources/{source.id}?done=content-approved"
    session.refresh(held)
    assert held.state is ContentState.GOOD
    assert "n’attend plus de décision" in refuse(api, "/filtering/previews/content", 409, content=held.id)


def test_the_folder_of_the_controller_is_previewed_as_it_is(api: TestClient, session: Session, staff: Viewer) -> None:
    folder = find_folder(session)
    assert folder is not None
    assert f'name="content" value="{folder.id}"' in read(api, f"/filtering/sources/{folder.id}")
    address = send(api, "/filtering/previews/content", content=folder.id).partition("?")[0]
    where = send(api, f"{address}/publish")
    assert where == f"/filtering/sources/{folder.id}?done=publication-requested"
    assert "La publication de ce changement est demandée" in read(api, address)


def test_without_a_worker_the_page_says_where_to_look(
    api: TestClient, session: Session, staff: Viewer, clock: Clock
) -> None:
    folder = find_folder(session)
    assert folder is not None
    for _ in range(service.MOST_OPEN):
        preview = service.ask_for_content(session, staff, folder.id, now=clock.now)
    assert "se préparent" in read(api, page_of(preview))
    assert "déjà en cours" in refuse(api, "/filtering/previews/content", 409, content=folder.id)
    clock.now += timedelta(minutes=15)
    page = read(api, page_of(preview))
    assert "l’ouvrier ne tourne pas" in page
    assert "every 3s" not in page
    assert api.get(f"{page_of(preview)}?poll=yes").headers["HX-Refresh"] == "true"
    send(api, "/filtering/previews/content", content=folder.id)


def test_a_return_is_previewed(api: TestClient, session: Session, staff: Viewer) -> None:
    latest = publications.find_latest(session)
    assert latest is not None
    address = send(api, "/filtering/previews/return", publication=latest.id).partition("?")[0]
    [asked] = service.list_previews(session, staff).rows
    assert (asked.kind, address) == (PreviewKind.RETURN, page_of(asked))
    assert "est déjà celui que les filtres reçoivent" in refuse(api, f"{address}/publish", 409)


def test_the_name_of_a_profile_is_no_part_of_a_preview(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile
) -> None:
    path = f"/filtering/profiles/{profile.id}"
    page = refuse(api, path, 422, name="Autre nom", denied_names="exemple.fr", do="preview")
    assert "Un essai ne porte pas sur le nom" in page
    assert service.list_previews(session, staff).total == 0


def test_the_list_says_where_to_begin_then_what_was_asked(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile, school: School, clock: Clock
) -> None:
    assert "Aucun essai cette semaine" in read(api, "/filtering/previews")
    asked = ask_layer(session, staff, profile, school, clock.now, SAYS)
    page = read(api, "/filtering/previews")
    assert f'href="{page_of(asked)}"' in page
    assert "École Jean Macé" in page
    assert 'href="/filtering/previews"' in read(api, "/filtering/publications")
    assert 'href="/filtering/publications" aria-current="page"' in page


def test_nobody_else_reads_what_schools_ask_for(
    api: TestClient, session: Session, preview: FilterPreview, profile: FilterProfile, school: School
) -> None:
    pages = ("/filtering/previews", page_of(preview), f"{page_of(preview)}/names.csv")
    lead = make_user(session, Role.SCHOOL_LEAD, school=school)
    for user in (make_user(session, Role.AUDITOR), lead):
        signed_in(api, user)
        for path in pages:
            assert api.get(path).status_code == 403, path
        for verb in ("publish", "abandon"):
            refuse(api, f"{page_of(preview)}/{verb}", 403)
    signed_in(api, make_user(session, Role.AUDITOR))
    assert "Prévisualiser" not in read(api, f"/filtering/profiles/{profile.id}")

"""Pages of profiles: what each node says, line by line, with locks."""

import re

from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboards.portal.filtering_layer import draft_of, layer_of
from filter.settings import Verdict
from fleet.filtering.policy import editing
from fleet.filtering.policy.layers import SILENT, CategoryLine, LayerSettings, Mark, NameLine, RewriteLine
from fleet.filtering.policy.models import FilterEvent, FilterProfile
from fleet.filtering.policy.places import find_place
from fleet.filtering.policy.presets import PRESETS
from fleet.scope import Viewer
from tests.factories import NOON, make_school
from tests.portal.filtering_pages import read, refuse
from tests.portal.test_forms import send


def test_ready_made_profiles_come_back_from_their_form_unchanged() -> None:
    for preset in PRESETS:
        says = layer_of(draft_of(preset.says), SILENT)
        assert (set(says.categories), set(says.engines)) == (set(preset.says.categories), set(preset.says.engines))
        assert (says.youtube, says.block_mode, says.bypass) == (
            preset.says.youtube,
            preset.says.block_mode,
            preset.says.bypass,
        )


def test_own_names_with_locks_and_reasons_come_back_too() -> None:
    says = LayerSettings(
        names=(
            NameLine("ferme.example", Verdict.BLOCK, "rectorat # 12", Mark(locked=True)),
            NameLine("libre.example", Verdict.ALLOW),
        )
    )
    draft = draft_of(says)
    assert draft.denied == "ferme.example verrouillé # rectorat # 12"
    assert set(layer_of(draft, SILENT).names) == set(says.names)


def test_local_answers_stay_though_the_form_does_not_show_them() -> None:
    says = LayerSettings(rewrites=(RewriteLine("imprimante.example", ("10.0.0.9",)),))
    assert layer_of(draft_of(says), says).rewrites == says.rewrites


def test_a_profile_is_edited_line_by_line(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile
) -> None:
    path = f"/filtering/profiles/{profile.id}"
    fields = {
        "name": "Élémentaire", "category:games": "block@temps-scolaire", "category:adult": "block",
        "lock:category:adult": "yes", "category:press": "allow@temps-scolaire/block", "engine:google": "on",
        "youtube": "strict", "block_mode": "nxdomain", "bypass": "closed", "lock:bypass": "yes",
        "category:service:tiktok": "block", "denied_names": "mauvais.example # plainte", "allowed_names": "",
    }  # fmt: skip
    send(api, path, **fields)
    session.expire_all()
    says = editing.find_layer(session, editing.OPERATOR_FOUND, profile)
    assert says is not None
    lines = {line.category: line for line in says.says.categories}
    assert (lines["games"].schedule, lines["press"].otherwise) == ("temps-scolaire", Verdict.BLOCK)
    assert lines["adult"].mark.locked
    assert lines["press"].mark.by == staff.name
    page = read(api, f"{path}?done=profile-saved")
    assert "les filtres suivent en quelques secondes" in page
    assert '<option value="block@temps-scolaire" selected>Bloquer pendant « Temps scolaire »' in page
    assert '<option value="allow@temps-scolaire/block" selected>' in page
    assert "mauvais.example # plainte" in page
    assert f"Ici : par {staff.name}" in page
    event = session.scalars(select(FilterEvent).where(FilterEvent.verb == "layer.set")).one()
    assert event.by == staff.name


def test_a_school_sees_what_stands_above_and_may_not_touch_what_is_locked(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile
) -> None:
    school = make_school(session, name="École du Parc")
    path = f"/filtering/profiles/{profile.id}?school={school.id}"
    page = read(api, path)
    assert "École du Parc" in page
    assert "Rien n’est encore réglé ici" in page
    assert "Au-dessus : Bloquer (Aisne), " in page
    locked = re.search(r'<select id="category-adult" [^>]*disabled', page)
    assert locked is not None
    send(api, path, **{"category:games": "neutral", "denied_names": "", "allowed_names": ""})
    found = find_place(session, staff, school_id=school.id)
    layer = editing.find_layer(session, found, profile)
    assert layer is not None
    assert [(line.category, line.verdict) for line in layer.says.categories] == [("games", Verdict.NEUTRAL)]
    answer = refuse(api, path, 422, **{"category:adult": "allow", "denied_names": "garde.example", "allowed_names": ""})
    assert "Verrouillé plus haut, donc sans effet ici : adult." in answer
    assert "garde.example" in answer
    assert "École du Parc" in read(api, "/filtering/profiles")
    assert "autre lieu a ses réglages" in read(api, f"/filtering/profiles/{profile.id}")


def test_a_void_line_stays_behind_the_lock(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile
) -> None:
    school = make_school(session)
    path = f"/filtering/profiles/{profile.id}?school={school.id}"
    send(api, path, **{"category:games": "allow", "denied_names": "", "allowed_names": ""})
    says = LayerSettings(categories=(CategoryLine("games", Verdict.BLOCK, mark=Mark(locked=True)),))
    editing.set_layer(session, staff, editing.OPERATOR_FOUND, profile, says, NOON)
    page = read(api, path)
    assert "Sans effet ici tant que le verrou tient." in page
    assert '<input type="hidden" name="category:games" value="allow">' in page


def test_places_are_searched_and_a_forged_choice_is_a_sentence(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile
) -> None:
    make_school(session, name="École des Étangs")
    assert "École des Étangs" in read(api, f"/filtering/profiles/{profile.id}?q=etangs")
    page = refuse(api, f"/filtering/profiles/{profile.id}", 422, name="X", **{"category:games": "explode"})
    assert "Un choix de ce formulaire n’existe pas" in page
    page = refuse(api, f"/filtering/profiles/{profile.id}", 422, name="", denied_names="garde.example")
    assert "Donnez un nom au profil." in page
    assert "garde.example" in page
    page = refuse(api, f"/filtering/profiles/{profile.id}", 422, name="X", **{"category:games": "block@jamais"})
    assert "Plages horaires inconnues" in page


def test_a_profile_is_added(api: TestClient, session: Session, staff: Viewer, profile: FilterProfile) -> None:
    path = send(api, "/filtering/profiles", name="Médiathèque", slug="mediatheque").partition("?")[0]
    assert "Médiathèque" in read(api, path)
    page = refuse(api, "/filtering/profiles", 409, name="Autre", slug="mediatheque")
    assert "Un profil a déjà l’identifiant" in page
    assert 'value="Autre"' in page
    assert "Minuscules sans accent" in refuse(api, "/filtering/profiles", 422, name="Autre", slug="Médiathèque")

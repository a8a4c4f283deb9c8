"""Pages of profiles, lists, publications and history: what they show, change, refuse and give back."""

import ast
import re
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboards.portal.filtering_layer import draft_of, layer_of
from dashboards.portal.filtering_schedules import read_date
from dashboards.portal.filtering_words import EVENTS, KINDS, OUTCOME, REFUSALS, changes_of, refusals_of
from filter.settings import Verdict
from fleet.accounts import service as accounts
from fleet.config import FleetConfig
from fleet.filtering import service as filtering
from fleet.filtering.lists import sources
from fleet.filtering.lists.terms import UT1_TERMS, Terms
from fleet.filtering.models import ContentState, FetchOutcome, FilterSource, Publication, PublicationState
from fleet.filtering.policy import editing, policies, schedules
from fleet.filtering.policy.layers import SILENT, CategoryLine, LayerSettings, Mark, NameLine, RewriteLine
from fleet.filtering.policy.models import FilterEvent, FilterProfile, FilterSchedule
from fleet.filtering.policy.places import find_place
from fleet.filtering.policy.presets import PRESETS
from fleet.filtering.publishing import publications
from fleet.scope import Role, Viewer
from tests.conftest import Clock
from tests.factories import NOON, make_school, make_user
from tests.portal.list_data import add_held_source, add_unreachable_source
from tests.portal.test_forms import send
from tests.portal.test_queries import counting
from tests.portal.test_uncovered import publish_small_set
from tests.sign_in import signed_in

SOURCE = {
    "title": "Jeux", "slug": "jeux", "url": "https://listes.example/jeux.txt", "format": "", "category": "games",
    "categories": "", "licence": "CC0", "every_hours": 12, "quiet_from": "", "quiet_until": "", "shrink_percent": 40,
    "growth_percent": 300, "popular_limit": 2, "checksum_url": "",
}  # fmt: skip


@pytest.fixture
def staff(api: TestClient, session: Session) -> Viewer:
    """A technician who is signed in."""
    user = make_user(session)
    signed_in(api, user)
    return accounts.get_viewer(session, user.id)


@pytest.fixture
def auditor(api: TestClient, session: Session) -> Viewer:
    user = make_user(session, Role.AUDITOR)
    signed_in(api, user)
    return accounts.get_viewer(session, user.id)


@pytest.fixture
def profile(session: Session) -> FilterProfile:
    return filtering.ensure_default_profile(session)


def read(api: TestClient, path: str, status: int = 200) -> str:
    """A page as people read it, its no-break spaces as plain ones."""
    answer = api.get(path)
    assert answer.status_code == status, answer.text
    return answer.text.replace("\u00a0", " ").replace("\u202f", " ")


def refuse(api: TestClient, path: str, status: int, **fields: object) -> str:
    """Post a form that must come back."""
    form = {name: str(value) for name, value in fields.items()}
    answer = api.post(path, data={**form, "csrf": api.headers["X-CSRF-Token"]}, follow_redirects=False)
    assert answer.status_code == status, answer.text
    return answer.text.replace("\u00a0", " ")


# --- overview -----------------------------------------------------------------------------------------------------


def test_the_overview_says_what_is_in_force_and_what_waits(
    api: TestClient, session: Session, staff: Viewer, config: FleetConfig, clock: Clock, tmp_path: Path
) -> None:
    assert "Rien n’est encore publié" in read(api, "/filtering")
    publish_small_set(session, config, clock, tmp_path)
    add_held_source(session, staff, clock.now)
    node, _ = filtering.register_filter(session, "Passerelle de Guise", None, clock.now)
    latest, policy = filtering.find_latest(session), filtering.find_current_policy(session)
    assert latest is not None
    assert policy is not None
    node.last_seen_at, node.bundle_serial, node.policy_serial = clock.now, latest.serial, policy.serial
    node.health = {"refused": {"policy": {"etag": "x", "reason": "foreign_signature", "at": "…"}}}
    session.flush()
    page = read(api, "/filtering")
    assert f"Publication {latest.serial}" in page
    assert f"Politique {policy.serial}" in page
    assert "1 liste attend une décision" in page
    assert "lumni.fr" in page or "rétréci" in page
    assert "Il a refusé la politique : la signature n’est pas celle de ce contrôleur. Il garde le précédent." in page
    assert "À jour" in page
    node.policy_serial = policy.serial - 1
    session.flush()
    assert "En retard d’un réglage" in read(api, "/filtering")


def test_health_in_another_shape_breaks_no_page() -> None:
    assert refusals_of({}) == refusals_of({"refused": "x"}) == refusals_of({"refused": {"names": 3}}) == []
    assert refusals_of({"refused": {"names": {"reason": "odd"}}}) == ["Il a refusé les listes : odd."]
    assert {"truncated", "unsigned", "older_serial"} <= set(REFUSALS)


def test_the_old_address_of_why_leads_to_its_page(api: TestClient, staff: Viewer) -> None:
    answer = api.get("/filtering?name=exemple.fr&client=10.0.0.1", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/filtering/why?name=exemple.fr&qtype=A&client=10.0.0.1",
    )


def test_why_tells_list_layer_author_and_every_match(
    api: TestClient, session: Session, staff: Viewer, config: FleetConfig, clock: Clock, tmp_path: Path
) -> None:
    assert "Posez une question" in read(api, "/filtering/why")
    publish_small_set(session, config, clock, tmp_path)
    page = read(api, "/filtering/why?name=www.arenalasvegas.com")
    for told in ("bloqué", "arenalasvegas.com", "Jeux d’argent", "Réglé par", "Aisne", "bloqué par ce profil"):
        assert told in page, told
    profile = filtering.ensure_default_profile(session)
    says = LayerSettings(names=(NameLine("arenalasvegas.com", Verdict.ALLOW, "sortie scolaire"),))
    editing.set_layer(session, staff, editing.OPERATOR_FOUND, profile, says, clock.now)
    page = read(api, "/filtering/why?name=www.arenalasvegas.com")
    assert "autorisé" in page
    assert f"{staff.name} le" in page
    assert "sortie scolaire" in page
    assert f'href="/filtering/profiles/{profile.id}"' in page


# --- lists --------------------------------------------------------------------------------------------------------


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


def test_every_outcome_and_every_verb_of_the_history_has_a_word() -> None:
    assert set(OUTCOME) == {outcome.value for outcome in FetchOutcome}
    assert all(any(verb.startswith(kind) for kind in KINDS) for verb in EVENTS)
    assert noted_verbs() == set(EVENTS)


def noted_verbs() -> set[str]:
    """What the code writes into the history, read from its calls."""
    found = set()
    for path in sorted(Path(filtering.__file__).parent.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in {"note", "_note", "decide"}:
                words = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
                found |= {word for word in words if isinstance(word, str) and re.fullmatch(r"[a-z_]+[.][a-z]+", word)}
    return found


# --- profiles -----------------------------------------------------------------------------------------------------


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


# --- schedules ----------------------------------------------------------------------------------------------------


def test_a_schedule_is_added_changed_and_removed(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile
) -> None:
    fields = {
        "name": "Midi", "slug": "midi", "days-0": "0", "start-0": "11:30", "end-0": "13:30", "zone_b": "yes",
        "holidays": "01/06/2027 05/06/2027 Pont", "exceptions": "18/12/2026 08:00-12:00 Fête de l’école",
    }  # fmt: skip
    send(api, "/filtering/schedules/new", **fields)
    schedule = session.scalars(select(FilterSchedule).where(FilterSchedule.slug == "midi")).one()
    says = schedules.settings_of(schedule)
    assert [(w.weekdays, f"{w.start:%H:%M}", f"{w.end:%H:%M}") for w in says.weekly] == [((0,), "11:30", "13:30")]
    assert (says.holidays[0].name, says.exceptions[0].name) == ("Pont", "Fête de l’école")
    page = read(api, f"/filtering/schedules/{schedule.id}")
    for told in ('value="11:30"', "01/06/2027 05/06/2027 Pont", "18/12/2026 08:00-12:00 Fête de l’école"):
        assert told in page, told
    assert "Lundi : 11:30 – 13:30" in read(api, "/filtering/schedules")
    send(api, f"/filtering/schedules/{schedule.id}", **{**fields, "start-0": "12:00"})
    session.refresh(schedule)
    assert f"{schedules.settings_of(schedule).weekly[0].start:%H:%M}" == "12:00"
    send(api, f"/filtering/schedules/{schedule.id}/remove")
    used = session.scalars(select(FilterSchedule)).one()
    assert "sert encore dans un profil" in refuse(api, f"/filtering/schedules/{used.id}/remove", 409)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "", "Donnez un nom à la plage."),
        ("slug", "Été", "Minuscules sans accent"),
        ("end-0", "", "Donnez l’heure de début et l’heure de fin."),
        ("end-0", "08:00", "Donnez un début et une fin différents"),
        ("holidays", "demain", "écrivez deux dates"),
        ("exceptions", "31/02/2027", "commencez par une date"),
    ],
)
def test_a_wrong_schedule_comes_back(api: TestClient, staff: Viewer, field: str, value: str, told: str) -> None:
    fields = {"name": "Midi", "slug": "midi", "days-0": "0", "start-0": "08:00", "end-0": "09:00", field: value}
    page = refuse(api, "/filtering/schedules/new", 422, **fields)
    assert told in page
    assert 'value="08:00"' in page


# --- publications and history -------------------------------------------------------------------------------------


def test_one_returns_to_an_earlier_policy_and_an_earlier_publication(
    api: TestClient, session: Session, staff: Viewer, config: FleetConfig, clock: Clock, tmp_path: Path
) -> None:
    publish_small_set(session, config, clock, tmp_path)
    first, before = filtering.find_current_policy(session), filtering.ensure_default_profile(session)
    assert first is not None
    kept = before.blocked_categories
    filtering.update_profile(session, staff, before.id, blocked_categories=["games"], now=clock.now)
    page = read(api, "/filtering/publications")
    assert f"Confirmer le retour à la politique {first.serial}" in page
    assert "Réglage : Élémentaire, Aisne" in page
    send(api, f"/filtering/policies/{first.id}/return")
    session.expire_all()
    assert filtering.ensure_default_profile(session).blocked_categories == kept
    assert f"Retour à la politique {first.serial}" in read(api, "/filtering/publications?list=policies")
    latest = filtering.find_latest(session)
    assert latest is not None
    assert "Confirmer le retour à la publication" not in page  # what is in force is no way back
    refuse(api, f"/filtering/publications/{latest.id}/return", 409)
    assert policies.list_policies(session).total == 3


def test_history_tells_who_what_before_and_after(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile
) -> None:
    assert "Aucun changement ici" in read(api, "/filtering/history?verb=source.")
    send(api, "/filtering/sources/new", **SOURCE)
    source = session.scalars(select(FilterSource).where(FilterSource.slug == "jeux")).one()
    send(api, f"/filtering/sources/{source.id}/edit", **{**SOURCE, "title": "Jeux vidéo"})
    page = read(api, "/filtering/history")
    for told in ("Nouvelle source", "Source modifiée", staff.name, "Jeux vidéo"):
        assert told in page, told
    assert "Source modifiée" not in read(api, "/filtering/history?verb=lesson.").partition('id="results"')[2]
    assert "2 changements" in read(api, f"/filtering/history?subject={source.id}")
    assert "Aucun changement ici" in read(api, "/filtering/history?q=zzz")
    assert "1 changement" in read(api, "/filtering/history?q=vidéo")
    lines = api.get("/filtering/history.csv?verb=source.").content.decode("utf-8-sig").splitlines()
    assert len(lines) == 3
    assert api.get("/filtering/history?verb=nothing").status_code == 422


def test_a_change_of_lines_tells_only_what_left_and_came() -> None:
    line = {"category": "games", "verdict": "block", "schedule": None, "otherwise": "neutral", "mark": {"locked": True}}
    other = {"name": "exemple.fr", "verdict": "allow", "mark": {"locked": False}}
    before, after = {"categories": [line], "names": []}, {"categories": [line], "names": [other]}
    assert changes_of(before, after) == [("Noms", "rien", "exemple.fr : autoriser")]
    assert changes_of(None, {"categories": [line]}) == [("Catégories", "rien", "Jeux en ligne : bloquer, verrouillé")]
    assert changes_of({"youtube": {"level": "strict"}}, {"youtube": {"level": "off"}}) == [
        ("YouTube", "Strict", "Sans restriction")
    ]


# --- rights -------------------------------------------------------------------------------------------------------


def test_an_auditor_sees_everything_and_no_button(
    api: TestClient, session: Session, auditor: Viewer, profile: FilterProfile, clock: Clock
) -> None:
    technician = accounts.get_viewer(session, make_user(session).id)
    source, held = add_held_source(session, technician, clock.now)
    schedule = session.scalars(select(FilterSchedule)).one()
    for path in (
        "/filtering", "/filtering/why", "/filtering/sources", f"/filtering/sources/{source.id}", "/filtering/profiles",
        f"/filtering/profiles/{profile.id}", "/filtering/schedules", f"/filtering/schedules/{schedule.id}",
        "/filtering/publications", "/filtering/history",
    ):  # fmt: skip
        page = read(api, path)
        forms = re.findall(r'<form method="post" action="(/filtering[^"]*)"', page)
        assert "Confirmer" not in page, path
        assert "Enregistrer et publier" not in page, path
        assert [each for each in forms if "/profiles/" not in each and "/schedules/" not in each] == [], path
    for path, fields in (
        ("/filtering/sources/new", SOURCE),
        (f"/filtering/sources/{source.id}/edit", SOURCE),
        (f"/filtering/sources/{source.id}/fetch", {}),
        (f"/filtering/sources/{source.id}/enabled", {"enabled": "no"}),
        (f"/filtering/sources/contents/{held.id}/approve", {}),
        (f"/filtering/sources/contents/{held.id}/reject", {}),
        (f"/filtering/profiles/{profile.id}", {"name": "X"}),
        ("/filtering/profiles", {"name": "X", "slug": "x"}),
        ("/filtering/schedules/new", {"name": "X", "slug": "x", "days-0": "0", "start-0": "08:00", "end-0": "09:00"}),
        (f"/filtering/schedules/{schedule.id}/remove", {}),
        ("/filtering/publications", {}),
    ):
        refuse(api, path, 403, **fields)
    assert api.get("/filtering/sources/new").status_code == 403
    session.refresh(held)
    assert held.state is ContentState.HELD


def test_a_school_lead_has_only_the_history_of_the_school(api: TestClient, session: Session, staff: Viewer) -> None:
    school = make_school(session)
    profile = filtering.ensure_default_profile(session)
    send(api, f"/filtering/profiles/{profile.id}?school={school.id}", **{"category:games": "block"})
    send(api, "/filtering/sources/new", **SOURCE)
    signed_in(api, make_user(session, Role.SCHOOL_LEAD, school=school))
    for path in ("/filtering/sources", "/filtering/profiles", "/filtering/publications", "/filtering/schedules"):
        assert api.get(path).status_code == 403, path
    page = read(api, "/filtering/history")
    assert "Réglage d’un profil" in page
    assert "Nouvelle source" not in page


def test_more_rows_ask_no_more(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile, clock: Clock
) -> None:
    pages = (
        "/filtering", "/filtering/sources", "/filtering/profiles", f"/filtering/profiles/{profile.id}",
        "/filtering/publications", "/filtering/history",
    )  # fmt: skip
    counts: list[list[int]] = []
    for rows in (1, 12):
        for _ in range(rows):
            publications.add_return(session, publications.add_request(session, None, clock.now), "X", clock.now)
            found = find_place(session, staff, school_id=make_school(session).id)
            says = LayerSettings(names=(NameLine("exemple.fr", Verdict.ALLOW),))
            editing.set_layer(session, staff, found, profile, says, clock.now)
            terms = Terms(title="Jeux", url="https://listes.example/x", category="games")
            sources.add_source(session, staff, f"s{uuid4().hex[:12]}", terms, clock.now)
        counts.append([])
        for path in pages:
            with counting(session) as seen:
                read(api, path)
            counts[-1].append(len(seen))
    assert counts[0] == counts[1]


def test_dates_of_schedules_are_those_of_people() -> None:
    assert read_date("24/12/2026") == datetime(2026, 12, 24, tzinfo=UTC).date().isoformat()
    assert [read_date(text) for text in ("", "24", "24/13/2026", "a/b/c", "2026-12-24")] == [None] * 5

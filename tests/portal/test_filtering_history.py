"""Pages of publications and of the history: the ways back, and who changed what."""

import ast
import re
from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboards.portal.filtering_words import EVENTS, KINDS, OUTCOME, changes_of
from fleet.config import FleetConfig
from fleet.filtering import service as filtering
from fleet.filtering.models import FetchOutcome, FilterSource
from fleet.filtering.policy import policies
from fleet.filtering.policy.models import FilterProfile
from fleet.scope import Viewer
from tests.conftest import Clock
from tests.portal.filtering_pages import SOURCE, read, refuse
from tests.portal.test_forms import send
from tests.portal.test_uncovered import publish_small_set


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

"""Blocked categories without a list never look like protection."""

from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from dashboards.portal.categories import label
from dashboards.portal.uncovered import coverage
from fleet.accounts import service as accounts
from fleet.config import FleetConfig
from fleet.filtering import service as filtering
from fleet.filtering.publishing import publications
from fleet.filtering.publishing.compiling import compile_order, summary
from tests.conftest import Clock
from tests.factories import NOON, make_user
from tests.sign_in import signed_in


def publish_small_set(session: Session, config: FleetConfig, clock: Clock, workspace: Path) -> None:
    """What a controller without PREAU_UT1_DIR publishes."""
    filtering.ensure_default_profile(session)
    order = publications.start(session, publications.add_request(session, None, clock.now).id, clock.now)
    assert order is not None
    report = compile_order(order, config, workspace, workspace / "bundle")
    assert publications.publish(session, order, workspace / "bundle", report.digest, summary(report), clock.now)
    filtering.publish_policy(session, None, "essai", clock.now)


def block(session: Session, *categories: str) -> None:
    """Every profile blocks these and no other."""
    staff = accounts.get_viewer(session, make_user(session).id)
    for profile in filtering.list_profiles(session):
        filtering.update_profile(session, staff, profile.id, blocked_categories=categories, now=NOON)


def test_blocked_categories_without_a_list_are_said_wherever_filtering_is_shown(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock, tmp_path: Path
) -> None:
    signed_in(api, make_user(session))
    profile = filtering.ensure_default_profile(session)
    assert "pas de liste" not in api.get("/filtering").text  # nothing is published: that is said already
    publish_small_set(session, config, clock, tmp_path)
    everybody, latest = filtering.list_profiles(session), filtering.find_latest(session)
    for path, shown in (("/", everybody), ("/filtering", everybody), (f"/filtering/profiles/{profile.id}", [profile])):
        page = api.get(path).text.replace("\u00a0", " ")
        told = coverage(shown, latest)
        assert "adult" in told.missing
        assert not any(slug.startswith("service:") for slug in told.missing)
        assert f"{len(told.missing)} catégories bloquées n’ont pas de liste" in page, path
        assert "<code>adult</code>" in page
        assert f"{len(told.blocked) - len(told.missing)} sur {len(told.blocked)} catégories" in page
        assert "PREAU_UT1_DIR" in page
    allowed = api.get("/filtering?name=www.exemple.fr").text
    assert label("adult") in allowed.partition("Toutes les listes")[0]
    assert "n’ont pas de liste dans cette publication" in allowed
    blocked = api.get("/filtering?name=www.arenalasvegas.com").text
    assert "n’ont pas de liste dans cette publication" not in blocked


def test_one_missing_category_is_told_in_the_singular_and_none_is_no_warning(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock, tmp_path: Path
) -> None:
    signed_in(api, make_user(session))
    publish_small_set(session, config, clock, tmp_path)
    block(session, "adult", "gambling")
    page = api.get("/filtering?name=www.exemple.fr").text.replace("\u00a0", " ")
    assert "1 catégorie bloquée n’a pas de liste" in page
    assert f"la catégorie {label('adult')} n’a pas de liste dans cette publication" in page
    block(session, "gambling")
    page = api.get("/filtering?name=www.exemple.fr").text
    assert "pas de liste" not in page
    assert "1 catégorie bloquée" in api.get("/filtering/profiles").text

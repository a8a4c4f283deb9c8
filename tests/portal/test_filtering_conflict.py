"""Two people at one form of a profile: the second is told who was first, and sees what differs."""

import re

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, expect
from sqlalchemy.orm import Session

from dashboards.portal.filtering_conflict import names_that_differ
from dashboards.portal.filtering_layer import Draft
from fleet.filtering.policy import editing
from fleet.filtering.policy.models import FilterProfile
from fleet.scope import Viewer
from tests.conftest import Clock
from tests.factories import make_school, make_user
from tests.portal.filtering_pages import read, refuse
from tests.portal.site import Site
from tests.portal.test_forms import send
from tests.portal.visitor import PHONE, Visitor
from tests.requirements import needs
from tests.sign_in import signed_in


def hidden(page: str, name: str) -> str:
    """What a hidden field of a page holds."""
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)">', page)
    assert found is not None, page
    return found[1]


def denied(session: Session, profile: FilterProfile) -> list[str]:
    session.expire_all()
    layer = editing.find_layer(session, editing.OPERATOR_FOUND, profile)
    assert layer is not None
    return [line.name for line in layer.says.names]


def test_an_old_page_that_is_saved_late_overwrites_nothing(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile, clock: Clock
) -> None:
    path = f"/filtering/profiles/{profile.id}"
    old = read(api, path)
    seen = {"revision": hidden(old, "revision"), "shown_name": hidden(old, "shown_name")}
    first = {"name": profile.name, "denied_names": "un.example", "category:games": "block", **seen}
    send(api, path, **first)

    signed_in(api, make_user(session))
    clock.advance(minutes=1)
    typed = {"name": profile.name, "denied_names": "deux.example", "category:games": "allow", "youtube": "strict"}
    page = refuse(api, path, 412, **typed, **seen)
    assert f"modifié par {staff.name} le 24/11/2026 à 12:00:00, depuis que vous l’avez lu" in page
    assert denied(session, profile) == ["un.example"]
    told = re.search(r'<section class="card" id="conflict">.*?</section>', page, re.DOTALL)
    assert told is not None
    for each in (staff.name, "un.example", "deux.example", "Bloquer", "Autoriser", "YouTube", "non réglé"):
        assert each in told[0]
    assert "deux.example</textarea>" in page, "what was typed is still there"

    send(api, path, **typed, revision=hidden(page, "revision"), shown_name=profile.name)
    assert denied(session, profile) == ["deux.example"]


def test_the_first_line_on_a_silent_node_is_guarded_too(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile
) -> None:
    path = f"/filtering/profiles/{profile.id}?school={make_school(session).id}"
    seen = hidden(read(api, path), "revision")
    send(api, path, denied_names="un.example", revision=seen)
    refuse(api, path, 412, denied_names="deux.example", revision=seen)
    send(api, path, denied_names="", revision=hidden(read(api, path), "revision"))
    page = refuse(api, path, 412, denied_names="trois.example", revision="0" * 32)
    assert "Ce réglage n’existe plus, ou a été vidé" in page


def test_a_name_that_was_not_touched_undoes_no_renaming(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile
) -> None:
    path, old = f"/filtering/profiles/{profile.id}", profile.name
    seen = hidden(read(api, path), "revision")
    editing.rename_profile(session, staff, profile, "Cycle 3", profile.updated_at)
    send(api, path, name=old, shown_name=old, denied_names="un.example", revision=seen)
    session.refresh(profile)
    assert profile.name == "Cycle 3"
    page = refuse(api, path, 412, name=old, shown_name=old, denied_names="deux.example", revision=seen)
    assert 'value="Cycle 3"' in page
    page = refuse(api, path, 412, name="Autre", shown_name=old, denied_names="deux.example", revision=seen)
    assert 'value="Autre"' in page


def test_names_in_another_order_are_the_same() -> None:
    assert not list(names_that_differ(Draft(denied="a.fr\nb.fr"), Draft(denied=" b.fr \n\na.fr")))
    [said] = names_that_differ(Draft(allowed="a.fr\nb.fr"), Draft(allowed="b.fr"))
    assert (said.label, said.saved, said.typed) == ("Toujours autoriser", "a.fr", "rien de plus")


@needs("chromium")
@pytest.mark.browser
def test_two_people_at_one_profile_in_their_browsers(browser: Browser, site: Site) -> None:
    late, early = (Visitor.open(browser, site, PHONE).sign_in(site.technician) for _ in range(2))
    for visitor in (late, early):
        visitor.page.goto("/filtering/profiles")
        visitor.page.get_by_role("link", name="Collège", exact=True).first.click()
        visitor.page.get_by_label("Toujours bloquer").wait_for()
    early.page.get_by_label("Toujours autoriser").fill("en-premier.example")
    early.page.get_by_role("button", name="Enregistrer et publier").click()
    expect(early.page.get_by_role("status").first).to_contain_text("les filtres suivent")
    late.page.get_by_label("Toujours autoriser").fill("en-second.example")
    late.page.get_by_role("button", name="Enregistrer et publier").click()
    expect(late.page.get_by_role("alert")).to_contain_text("a été modifié par")
    expect(late.page.locator("#conflict")).to_contain_text("en-premier.example")
    expect(late.page.get_by_label("Toujours autoriser")).to_have_value("en-second.example")
    assert late.violations() == []
    late.page.get_by_role("button", name="Enregistrer et publier").click()
    expect(late.page.get_by_role("status").first).to_contain_text("les filtres suivent")
    expect(late.page.get_by_label("Toujours autoriser")).to_have_value("en-second.example")
    for visitor in (late, early):
        visitor.context.close()

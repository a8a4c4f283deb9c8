"""The pages of grants: given by their codes, refused field by field, taken back after a question."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.accounts.models import NodeGrant
from fleet.scope import Role
from tests.factories import make_collectivity, make_school, make_user
from tests.sign_in import signed_in


def send(api: TestClient, path: str, **form: str) -> str:
    """Post a form; where it leads, or the page that says why not."""
    answer = api.post(path, data={"csrf": api.headers["X-CSRF-Token"], **form}, follow_redirects=False)
    return answer.headers["location"] if answer.status_code == 303 else answer.text


def test_a_grant_from_the_form_to_its_end(api: TestClient, session: Session) -> None:
    town, school = make_collectivity(session, name="Guise"), make_school(session, name="École du Lac")
    signed_in(api, make_user(session, Role.ADMIN))
    assert "Accorder un accès" in api.get("/grants").text
    filled = {
        "to": str(town.insee_code),
        "node": school.uai,
        "ends": "2027-06-30T18:00",
        "reason": "Convention de 2026",
    }
    assert send(api, "/grants/new", **filled) == "/grants?done=grant-given"
    page = api.get("/grants?done=grant-given").text
    assert "L’accès est accordé" in page
    assert all(told in page for told in ("Guise", "École du Lac", "Convention de 2026", "2027-06-30T16:00", "En cours"))
    assert "École du Lac" in api.get("/grants.csv").text
    assert "a déjà cet accès" in send(api, "/grants/new", **filled)
    grant = session.scalars(select(NodeGrant)).one()
    assert send(api, f"/grants/{grant.id}/end") == "/grants?done=grant-ended"
    assert "École du Lac" not in api.get("/grants").text
    assert "Retiré" in api.get("/grants?state=over").text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"to": ""}, "Donnez un code."),
        ({"node": "0029999Z"}, "Rien n’a le code «"),
        ({"ends": ""}, "Indiquez le jour et l’heure de la fin."),
        ({"ends": "2020-01-01T00:00"}, "La fin doit être à venir, et après le début."),
        ({"reason": ""}, "Dites pourquoi"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    api: TestClient, session: Session, wrong: dict[str, str], told: str
) -> None:
    town, school = make_collectivity(session), make_school(session)
    signed_in(api, make_user(session, Role.ADMIN))
    filled = {
        "to": str(town.insee_code),
        "node": school.uai,
        "ends": "2027-06-30T18:00",
        "reason": "Convention",
    } | wrong
    page = send(api, "/grants/new", **filled)
    assert told in page
    assert all(f'value="{typed}"' in page for typed in filled.values() if typed)
    assert session.scalar(select(NodeGrant)) is None


def test_staff_reads_and_only_administrators_give(api: TestClient, session: Session) -> None:
    signed_in(api, make_user(session, Role.TECHNICIAN))
    assert "Accorder un accès" not in api.get("/grants").text
    assert api.get("/grants/new").status_code == 403
    signed_in(api, make_user(session, Role.OFFICER, collectivity=make_collectivity(session)))
    assert api.get("/grants").status_code == 403
    assert 'href="/grants"' not in api.get("/schools").text

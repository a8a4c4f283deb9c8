"""Lists whose address asks for what is not there: the last page, or a sentence with what could be asked."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from dashboards.portal.forms import host_of
from tests.factories import make_collectivity, make_device, make_school, make_ticket, make_user
from tests.sign_in import signed_in


@pytest.mark.parametrize(
    ("path", "nothing"),
    [
        ("/schools", "Aucune école ne correspond"),
        ("/devices", "Aucun appareil ne correspond"),
        ("/tickets", "Aucun ticket ici"),
        ("/collectivities", "Aucune collectivité ne correspond"),
    ],
)
def test_a_page_beyond_the_last_shows_the_last(api: TestClient, session: Session, path: str, nothing: str) -> None:
    school = make_school(session)
    for number in range(27):
        make_school(session)
        make_device(session, school=school)
        make_ticket(session, school=school)
        make_collectivity(session, name=f"Commune {number}")
    signed_in(api, make_user(session))
    page = api.get(f"{path}?page=999").text
    assert nothing not in page
    last = api.get(f"{path}?page=2").text if path not in ("/schools", "/collectivities") else page
    assert last.count('<tr role="row">') == page.count('<tr role="row">') > 1
    assert 'rel="prev"' in page
    assert 'rel="next"' not in page
    assert nothing in api.get(f"{path}?q=zzzz&page=999").text


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (
            "/devices?kind=toaster",
            "Type : « toaster » n’est pas une valeur connue. Valeurs possibles : display, tablet",
        ),
        ("/devices?status=dancing", "Statut : « dancing » n’est pas une valeur connue. Valeurs possibles : in_stock"),
        ("/devices?silent=perhaps", "Présence : « perhaps » n’est pas une valeur connue. Valeurs possibles : true, f"),
        ("/tickets?status=lost", "Statut : « lost » n’est pas une valeur connue. Valeurs possibles : new, assigned"),
        ("/schools?state=ajar", "État : « ajar » n’est pas une valeur connue. Valeurs possibles : open, closed, all."),
        ("/collectivities?kind=realm", "Type : « realm » n’est pas une valeur connue. Valeurs possibles : commune"),
        ("/schools?page=zero", "Page : « zero » n’est pas une valeur connue. Valeurs possibles : un nombre à partir"),
        ("/schools?sort=smell", "Tri inconnu : smell. Tris possibles :"),
        ("/devices?school=abc", "École : « abc » n’est pas une valeur connue."),
        (
            "/filtering/lessons?state=lost",
            "État : « lost » n’est pas une valeur connue. Valeurs possibles : running, over",
        ),
        ("/filtering/overrides?state=lost", "État : « lost » n’est pas une valeur connue. Valeurs possibles : current"),
        (
            "/filtering/requests?state=lost",
            "État : « lost » n’est pas une valeur connue. Valeurs possibles : asked, all",
        ),
        ("/filtering/requests?sort=smell", "Tri inconnu : smell. Tris possibles :"),
        ("/schools?q=" + "x" * 121, "Recherche : 120 caractères au plus."),
    ],
)
def test_an_unknown_filter_value_is_told_with_the_possible_ones(
    api: TestClient, session: Session, address: str, told: str
) -> None:
    signed_in(api, make_user(session))
    answer = api.get(address)
    assert answer.status_code == 422
    assert told in answer.text


@pytest.mark.parametrize(
    ("pasted", "host"),
    [
        ("exemple.fr", "exemple.fr"),
        ("https://www.Exemple.fr/page?a=b", "www.exemple.fr"),
        ("http://exemple.fr:8080", "exemple.fr"),
        ("exemple.fr/page", "exemple.fr"),
        ("pas un nom !", "pas un nom !"),
        ("http://[::1", "http://[::1"),
    ],
)
def test_the_host_of_what_is_pasted(pasted: str, host: str) -> None:
    assert host_of(pasted) == host

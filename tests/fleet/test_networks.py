"""Two schools with the same private network: which filter heeds which, and what is refused."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from filter.bundle import NamesFile, PolicyFile
from filter.policy import Policy
from fleet.config import FleetConfig
from fleet.errors import Conflict, Invalid
from fleet.filtering import service
from fleet.filtering.exceptions import rooms
from fleet.filtering.gateways import nodes
from fleet.filtering.policy import networks, policies
from fleet.filtering.policy.models import FilterNetwork
from fleet.filtering.policy.places import find_place
from fleet.filtering.publishing import publications
from fleet.schools.models import School
from fleet.scope import Viewer
from fleet.worker import make_celery
from tests.factories import NOON, make_school, make_user
from tests.fleet.deciding import current_settings, profile_named
from tests.fleet.publishing import publish, write_lists
from tests.sign_in import signed_in

HOME = "192.168.1.0/24"
CLIENT = "192.168.1.7"


def add(session: Session, staff: Viewer, school: School | None, profile: str, cidr: str = HOME) -> FilterNetwork:
    found = find_place(session, staff, school_id=school.id if school else None)
    return rooms.add_network(session, staff, cidr, profile_named(session, profile), found, NOON)


def register(session: Session, name: str, school: School | None) -> str:
    """The id of a new filter."""
    return str(nodes.register_filter(session, name, school, NOON)[0].id)


def told(session: Session) -> set[tuple[str, str, str]]:
    """Network, profile and filter, as the current policy has them."""
    return {(each.cidr, each.profile, each.filter) for each in current_settings(session).networks}


def test_each_filter_alone_heeds_its_schools_networks(session: Session, staff: Viewer) -> None:
    here, there, elsewhere = make_school(session), make_school(session), make_school(session)
    one, two = register(session, "un", here), register(session, "deux", there)
    second = register(session, "un bis", here)
    add(session, staff, here, "college")
    add(session, staff, there, "maternelle")
    add(session, staff, elsewhere, "personnels")
    assert told(session) == {
        (HOME, "college", one),
        (HOME, "college", second),
        (HOME, "maternelle", two),
        (HOME, "personnels", ""),
    }


def test_a_filter_that_is_registered_or_revoked_changes_the_policy(session: Session, staff: Viewer) -> None:
    school = make_school(session)
    add(session, staff, school, "college")
    before = policies.current_etag(session)
    assert told(session) == {(HOME, "college", "")}
    one = register(session, "un", school)
    assert told(session) == {(HOME, "college", one)}
    nodes.revoke_filter(session, "un", NOON)
    assert told(session) == {(HOME, "college", "")}
    assert policies.current_etag(session) != before, "serials only grow"


def test_registering_publishes_nothing_before_the_first_policy(session: Session) -> None:
    register(session, "un", make_school(session))
    assert policies.find_current(session) is None


def test_without_filters_of_their_own_two_schools_cannot_share(session: Session, staff: Viewer) -> None:
    here, there = make_school(session), make_school(session)
    add(session, staff, here, "college")
    with pytest.raises(Conflict, match="Enregistrez d’abord le filtre"):
        add(session, staff, there, "maternelle")
    with pytest.raises(Conflict, match="dans cette école"):
        add(session, staff, here, "maternelle")
    with pytest.raises(Conflict, match="a déjà un profil"):
        add(session, staff, None, "maternelle")
    register(session, "un", there)
    add(session, staff, there, "maternelle")
    with pytest.raises(Conflict, match="dans cette école"):
        add(session, staff, there, "maternelle")


def test_who_adds_a_network_that_another_school_has_is_warned(api: TestClient, session: Session, staff: Viewer) -> None:
    here, there = make_school(session), make_school(session)
    register(session, "un", here)
    signed_in(api, make_user(session))
    profile = profile_named(session, "college")

    def warning(school: School, cidr: str) -> str | None:
        body = {"cidr": cidr, "profile_id": str(profile.id), "school_id": str(school.id)}
        answer = api.post("/api/v1/filtering/networks", json=body)
        assert answer.status_code == 201, answer.text
        text: str | None = answer.json()["warning"]
        return text

    assert warning(here, HOME) is None
    assert HOME in (warning(there, HOME) or "")
    assert warning(there, "192.168.2.0/24") is None
    assert warning(here, "192.168.2.0/24") is None, "its own filter tells them apart"


def test_a_stolen_filter_can_be_revoked_whatever_networks_its_school_has(session: Session, staff: Viewer) -> None:
    """The school gives way to who never had a filter; two that lost theirs both do: nobody knows whose client it is."""
    here, there, elsewhere = make_school(session), make_school(session), make_school(session)
    register(session, "un", here)
    two = register(session, "deux", there)
    add(session, staff, here, "college")
    add(session, staff, there, "maternelle")
    third = add(session, staff, elsewhere, "personnels")
    nodes.revoke_filter(session, "un", NOON)
    assert told(session) == {(HOME, "maternelle", two), (HOME, "personnels", "")}
    rooms.remove_network(session, staff, third.id, NOON)
    assert told(session) == {(HOME, "maternelle", two), (HOME, "college", "")}
    nodes.revoke_filter(session, "deux", NOON)
    assert told(session) == set()
    assert networks.own_filters(session).of(here.id) == ()


def test_explain_asks_the_filter_of_the_school(
    api: TestClient, app: FastAPI, session: Session, staff: Viewer, config: FleetConfig, tmp_path: Path
) -> None:
    make_celery(replace(config, ut1_dir=write_lists(tmp_path)))
    publish(session)
    here, there = make_school(session), make_school(session)
    one = register(session, "un", here)
    register(session, "deux", there)
    add(session, staff, here, "college")
    add(session, staff, here, "personnels", "192.168.1.128/25")

    def profile(client: str | None, school: School | None = None) -> str:
        asked = service.explain(session, "a.example", "A", client, NOON, None, school.id if school else None)
        return asked.explanation.profile.slug

    assert profile(CLIENT) == "college", "one school alone has that address"
    assert profile(CLIENT, there) == profile(None) == "elementaire"
    add(session, staff, there, "maternelle")
    with pytest.raises(Invalid, match="dites laquelle"):
        profile(CLIENT)
    assert (profile(CLIENT, here), profile(CLIENT, there)) == ("college", "maternelle")
    assert profile("192.168.1.200") == "personnels", "the smallest network is one school's"
    signed_in(api, make_user(session))
    path, query = "/api/v1/filtering/explain", {"name": "a.example", "client": CLIENT}
    assert api.get(path, params=query).json()["code"] == "filtering.which_school"
    assert api.get(path, params=query | {"school_id": str(there.id)}).json()["profile"] == "maternelle"
    assert as_filter_has_it(session, one).profile_for(CLIENT).slug == "college"


def as_filter_has_it(session: Session, filter_id: str) -> Policy:
    """The current pair, opened as this filter opens it."""
    latest, current = service.find_latest(session), policies.current_policy(session)
    assert latest is not None
    assert current is not None
    with tempfile.TemporaryDirectory() as directory:
        names, policy = Path(directory) / "names", Path(directory) / "policy"
        publications.copy_names(latest.id, names)
        policy.write_bytes(current[0])
        return Policy(NamesFile.open(names), PolicyFile.open(policy), filter_id)

"""What a device should hold: layers, the typed resources, who had the last word, how it went."""

import base64
import contextlib
import re
import ssl
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from agent.protocol import Bookmark, DnsSettings, Shortcut
from fleet.accounts.sessions import as_viewer
from fleet.config import FleetConfig
from fleet.configuration import service
from fleet.configuration.layers import Layer, Value, build, entries_of, merge
from fleet.configuration.models import ResourceOutcome, Setting
from fleet.configuration.resources import parse
from fleet.configuration.states import state_of
from fleet.devices.models import Device, DeviceKind, DeviceStatus, Platform
from fleet.ent.models import EntLink, EntPortal, EntProduct, SchoolEnt
from fleet.errors import Invalid, NotAllowed, NotFound
from fleet.schools.models import School
from fleet.scope import Role
from tests.factories import NOON, make_collectivity, make_device, make_school, make_user
from tests.fleet.conftest import Signing
from tests.fleet.talking import TECHNICIAN
from tests.sign_in import signed_in

ONE = "https://ent.example.fr/"


def make_portal(session: Session, *schools: School) -> EntPortal:
    portal = EntPortal(slug="one-02", name="ENT ONE", product=EntProduct.ONE, url=ONE)
    portal.links = [
        EntLink(position=2, slug="cahier", title="Cahier de textes", url=f"{ONE}homeworks"),
        EntLink(position=1, slug="messagerie", title="Messagerie", url=f"{ONE}conversation"),
    ]
    session.add(portal)
    session.flush()
    session.add_all(SchoolEnt(school_id=school.id, portal_id=portal.id) for school in schools)
    session.flush()
    session.expire(portal)
    return portal


def display(session: Session, **values: Any) -> Device:
    """A display with its school loaded."""
    device = make_device(session, **values)
    session.flush()
    return device


def set_value(session: Session, resource: str, value: dict[str, Any], **layer: Any) -> Setting:
    return service.set_value(session, TECHNICIAN, resource, value, now=NOON, **layer)


# ---- layers


def test_a_display_gets_the_ent_of_its_school(session: Session, config: FleetConfig) -> None:
    device = display(session)
    assert device.school is not None
    make_portal(session, device.school)
    state = service.desired_state_for(session, device, config)
    assert state.shortcuts == (
        Shortcut("ent", "ENT ONE", ONE),
        Shortcut("ent-messagerie", "Messagerie", f"{ONE}conversation"),
        Shortcut("ent-cahier", "Cahier de textes", f"{ONE}homeworks"),
    )
    assert state.browser is not None
    assert (state.browser.home_page, state.browser.doh_template) == (ONE, "")
    assert state.browser.bookmarks[1] == Bookmark("Messagerie", f"{ONE}conversation")
    assert state.dns is None
    assert re.fullmatch("[0-9a-f]{16}", state.revision)


def test_the_most_specific_layer_wins_and_is_named(session: Session, config: FleetConfig) -> None:
    device = display(session)
    assert device.school is not None
    make_portal(session, device.school)
    set_value(session, "browser", {"home_page": "https://aisne.example.fr/", "bookmarks": []})
    set_value(session, "shortcuts", {"items": [{"key": "cantine", "title": "Cantine", "url": "https://c.example.fr/"}]})
    set_value(session, "shortcuts", {"hidden": ["ent-cahier"]}, school=device.school)
    set_value(
        session,
        "shortcuts",
        {"items": [{"key": "cantine", "title": "Menu", "url": "https://m.example.fr/"}]},
        device=device,
    )
    state = service.desired_state_for(session, device, config)
    assert [(s.key, s.title) for s in state.shortcuts] == [
        ("cantine", "Menu"), ("ent", "ENT ONE"), ("ent-messagerie", "Messagerie"),
    ]  # fmt: skip
    told = {e.path: e for e in service.explain(session, config, school_id=device.school_id, device=device)}
    assert (told["shortcuts.cantine"].layer, told["shortcuts.cantine"].overrides) == ("device", ("département",))
    assert (told["shortcuts.ent-cahier"].layer, told["shortcuts.ent-cahier"].value) == ("school", None)
    assert (told["shortcuts.ent"].layer, told["shortcuts.ent"].label) == ("ent", "ENT ONE")
    assert (told["browser.home_page"].layer, told["browser.home_page"].value) == ("ent", ONE)
    assert told["browser.managed"].layer == "default"


def test_other_schools_and_devices_are_not_touched(session: Session, config: FleetConfig) -> None:
    mine, other = display(session), display(session)
    before = service.desired_state_for(session, other, config)
    set_value(session, "browser", {"home_page": "https://x.example.fr/"}, school=mine.school)
    set_value(session, "browser", {"managed": False}, device=mine)
    assert service.desired_state_for(session, other, config) == before
    assert service.desired_state_for(session, mine, config).browser is None


def test_a_gateway_is_given_nothing_of_a_display(session: Session, config: FleetConfig) -> None:
    school = make_school(session)
    make_portal(session, school)
    gateway = display(session, kind=DeviceKind.GATEWAY, school=school)
    with_dns = replace(config, dns_addresses=("192.0.2.53",))
    state = service.desired_state_for(session, gateway, with_dns)
    assert (state.shortcuts, state.browser, state.dns) == ((), None, None)


def test_a_device_in_store_gets_what_the_departement_says(session: Session, config: FleetConfig) -> None:
    set_value(session, "browser", {"home_page": "https://aisne.example.fr/"})
    state = service.desired_state_for(session, display(session, school=None), config)
    assert state.browser is not None
    assert state.browser.home_page == "https://aisne.example.fr/"


# ---- DNS


def test_linux_asks_our_filter_unless_told_not_to(session: Session, config: FleetConfig) -> None:
    config = replace(config, dns_addresses=("192.0.2.53", "2001:db8::53"))
    linux, windows = display(session), display(session, platform=Platform.WINDOWS)
    assert service.desired_state_for(session, linux, config).dns == DnsSettings(("192.0.2.53", "2001:db8::53"))
    assert service.desired_state_for(session, windows, config).dns is None
    set_value(session, "dns", {"search": ["Ecole.Example.fr."]}, school=linux.school)
    assert service.desired_state_for(session, linux, config).dns == DnsSettings(
        ("192.0.2.53", "2001:db8::53"), ("ecole.example.fr",)
    )
    set_value(session, "dns", {"managed": False}, device=linux)
    assert service.desired_state_for(session, linux, config).dns is None


def test_each_device_has_its_own_doh_address_and_may_do_without(session: Session, config: FleetConfig) -> None:
    config = replace(config, doh_template="https://dns.example.fr/dns-query/{label}{?dns}")
    one, other = display(session), display(session)
    states = [service.desired_state_for(session, d, config) for d in (one, other)]
    templates = [s.browser.doh_template for s in states if s.browser]
    assert templates == [f"https://dns.example.fr/dns-query/{d.label}{{?dns}}" for d in (one, other)]
    assert states[0].revision != states[1].revision
    set_value(session, "browser", {"doh": False}, device=one)
    browser = service.desired_state_for(session, one, config).browser
    assert browser is not None
    assert browser.doh_template == ""


def test_our_ca_is_handed_out_only_where_it_is_needed(session: Session, config: FleetConfig, signing: Signing) -> None:
    device = display(session)
    own = replace(config, ca_file=signing.ca_file, doh_template="https://192.168.1.2:8453/dns-query/{label}{?dns}")
    browser = service.desired_state_for(session, device, own).browser
    assert browser is not None
    [certificate] = browser.ca_certificates
    assert base64.b64decode(certificate) == ssl.PEM_cert_to_DER_cert(signing.ca_file.read_text())
    public = replace(own, doh_template="https://dns.example.fr/dns-query/{label}{?dns}")
    browser = service.desired_state_for(session, device, public).browser
    assert browser is not None
    assert browser.ca_certificates == ()
    set_value(session, "browser", {"doh": False}, device=device)
    browser = service.desired_state_for(session, device, own).browser
    assert browser is not None
    assert browser.ca_certificates == ()


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://dns.example.fr/dns-query/{label}{?dns}", True),
        ("https://9.9.9.9/dns-query", True),
        ("http://dns.example.fr/dns-query", False),
        ("https://localhost:8453/dns-query", False),
        ("https://127.0.0.1/dns-query", False),
        ("https://10.1.2.3/dns-query", False),
        ("https://[fd00::1]/dns-query", False),
        ("https://passerelle.lan/dns-query", False),
        ("https://dns.ecole.test/", False),
        ("https://passerelle/dns-query", False),
        ("", False),
    ],
)
def test_what_a_stock_tablet_can_reach_and_trust(url: str, public: bool) -> None:
    assert service.is_public(url) is public


# ---- the same input, the same revision

entries = st.dictionaries(
    st.sampled_from(
        ["shortcuts.a", "shortcuts.b", "browser.home_page", "browser.managed", "dns.managed", "dns.servers"]
    ),
    st.integers(0, 3),
    max_size=6,
)


def value_of(path: str, number: int) -> Value:
    if path.startswith("shortcuts."):
        return Shortcut(path[10:], f"T{number}", f"https://{number}.example.fr/") if number else None
    if path == "dns.servers":
        return (f"192.0.2.{number}",)
    return f"https://{number}.example.fr/" if path == "browser.home_page" else number > 0


@given(st.lists(entries, min_size=1, max_size=4))
def test_merging_is_a_fold_in_which_the_last_word_counts(said: list[dict[str, int]]) -> None:
    layers = [
        Layer(str(n), f"couche {n}", tuple((path, value_of(path, number)) for path, number in each.items()))
        for n, each in enumerate(said)
    ]
    merged = merge(layers)
    naive: dict[str, Value] = {}
    for layer in layers:
        naive |= dict(layer.entries)
    assert {path: e.value for path, e in merged.paths.items()} == naive
    once, again = (build(merge(layers), doh_template="", ca_certificates=()) for _ in range(2))
    assert once == again
    for path, explained in merged.paths.items():
        spoke = [layer.label for layer in layers if path in dict(layer.entries)]
        assert [*explained.overrides, explained.label] == spoke


def test_the_revision_follows_what_is_said_and_nothing_else(session: Session, config: FleetConfig) -> None:
    device = display(session)
    first = service.desired_state_for(session, device, config)
    set_value(session, "browser", {"home_page": "https://x.example.fr/"}, device=device)
    second = service.desired_state_for(session, device, config)
    service.clear_value(session, TECHNICIAN, "browser", device=device, now=NOON)
    third = service.desired_state_for(session, device, config)
    assert first == third
    assert first.revision != second.revision
    device.name = "Autre nom"
    assert service.desired_state_for(session, device, config).revision == first.revision


# ---- typed resources

REFUSED: dict[str, tuple[str, Any, str]] = {
    "an unknown resource": ("wallpaper", {}, "Réglage inconnu"),
    "no object": ("dns", [], "valeur"),
    "an unknown field": ("browser", {"homepage": ONE}, "homepage : champ inconnu"),
    "a script": ("browser", {"home_page": "javascript:alert(1)"}, "home_page"),
    "a file": ("browser", {"home_page": "file:///etc/passwd"}, "home_page"),
    "no host": ("browser", {"home_page": "https://"}, "adresse web complète"),
    "a line break": ("browser", {"home_page": "https://x.example.fr/\nExec=sh"}, "ni espace"),
    "a password inside": ("browser", {"home_page": "https://a:b@x.example.fr/"}, "identifiant"),
    "a bad port": ("browser", {"home_page": "https://x.example.fr:99999/"}, "adresse web"),
    "a very long address": ("browser", {"home_page": ONE + "x" * 2000}, "trop long"),
    "a number for a switch": ("browser", {"managed": 1}, "vrai ou faux"),
    "no title": ("shortcuts", {"items": [{"key": "a", "url": ONE}]}, "items.0.title : champ manquant"),
    "an empty title": ("shortcuts", {"items": [{"key": "a", "title": " ", "url": ONE}]}, "titre lisible"),
    "a control character": ("shortcuts", {"items": [{"key": "a", "title": "a\x1b[2J", "url": ONE}]}, "titre lisible"),
    "a key that is a path": ("shortcuts", {"items": [{"key": "../a", "title": "A", "url": ONE}]}, "clé"),
    "a key in capitals": ("shortcuts", {"hidden": ["ENT"]}, "clé"),
    "too many": ("shortcuts", {"hidden": ["a"] * 41}, "trop d’éléments"),
    "a name for a server": ("dns", {"servers": ["dns.example.fr"]}, "n’est pas une adresse IP"),
    "nobody's address": ("dns", {"servers": ["0.0.0.0"]}, "aucun serveur"),
    "a short address": ("dns", {"servers": ["192.0.2"]}, "n’est pas une adresse IP"),
    "four servers": ("dns", {"servers": ["192.0.2.1"] * 4}, "trop d’éléments"),
    "a domain with a space": ("dns", {"search": ["école fr"]}, "nom de domaine"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_that_breaks_a_rule_is_refused_in_french(session: Session, case: str) -> None:
    resource, value, told = REFUSED[case]
    with pytest.raises(Invalid, match=re.escape(told)):
        set_value(session, resource, value)


@given(
    st.sampled_from(["shortcuts", "browser", "dns"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=30),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["items", "hidden", "home_page", "servers", "search", "key"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    ),
)
def test_any_value_is_taken_or_refused(resource: str, value: object) -> None:
    with contextlib.suppress(Invalid):
        list(entries_of(parse(resource, value)))


def test_a_setting_takes_the_place_of_what_was_said_before(session: Session) -> None:
    first = set_value(session, "dns", {"servers": ["192.0.2.1"], "managed": True})
    second = set_value(session, "dns", {"servers": ["2001:DB8::1"]})
    assert first.id == second.id
    assert second.value == {"servers": ["2001:db8::1"]}
    assert second.updated_by == TECHNICIAN.name


def test_clearing_what_is_not_set_says_so(session: Session) -> None:
    with pytest.raises(NotFound):
        service.clear_value(session, TECHNICIAN, "dns", now=NOON)


def test_a_stored_value_that_later_rules_refuse_is_ignored(
    session: Session, config: FleetConfig, caplog: pytest.LogCaptureFixture
) -> None:
    """Else one old setting would stop every check-in of the département."""
    device = display(session)
    session.add(Setting(resource="browser", value={"home_page": "gopher://old"}, updated_at=NOON))
    session.add(Setting(resource="wallpaper", value={}, updated_at=NOON))
    session.flush()
    browser = service.desired_state_for(session, device, config).browser
    assert browser is not None
    assert browser.home_page == ""
    assert caplog.messages == ["setting ignored"] * 2


# ---- over HTTP


def test_a_setting_is_made_explained_and_cleared_over_http(api: TestClient, session: Session) -> None:
    device = display(session)
    signed_in(api, make_user(session))
    here = {"device_id": str(device.id)}
    wanted = {"value": {"home_page": "https://x.example.fr/"}}
    assert api.put("/api/v1/configuration/browser", params=here, json=wanted).status_code == 200
    effective = api.get("/api/v1/configuration", params=here).json()
    assert effective["desired"]["browser"]["home_page"] == "https://x.example.fr/"
    [told] = [e for e in effective["explained"] if e["path"] == "browser.home_page"]
    assert (told["layer"], told["label"]) == ("device", "appareil")
    events = api.get(f"/api/v1/devices/{device.id}/events").json()
    assert [e["kind"] for e in events] == ["configured"]
    school = api.get("/api/v1/configuration", params={"school_id": str(device.school_id)}).json()
    assert school["desired"]["browser"]["home_page"] == ""
    assert api.delete("/api/v1/configuration/browser", params=here).status_code == 204
    assert api.delete("/api/v1/configuration/browser", params=here).status_code == 404
    assert api.get("/api/v1/configuration").json()["code"] == "configuration.which"
    assert api.delete("/api/v1/configuration/%00", params=here).status_code == 422
    both = here | {"school_id": str(device.school_id)}
    assert api.get("/api/v1/configuration", params=both).json()["code"] == "configuration.one_layer"


def test_an_officer_reads_his_schools_and_sets_nothing(api: TestClient, session: Session) -> None:
    mine = make_collectivity(session)
    ours = display(session, school=make_school(session, collectivity=mine))
    other = display(session)
    signed_in(api, make_user(session, Role.OFFICER, collectivity=mine))
    body = {"value": {"managed": False}}
    for name, own, foreign in (("device_id", ours.id, other.id), ("school_id", ours.school_id, other.school_id)):
        assert api.get("/api/v1/configuration", params={name: str(own)}).status_code == 200
        assert api.put("/api/v1/configuration/dns", params={name: str(own)}, json=body).status_code == 403
        assert api.get("/api/v1/configuration", params={name: str(foreign)}).status_code == 404
        assert api.put("/api/v1/configuration/dns", params={name: str(foreign)}, json=body).status_code == 404
    assert api.put("/api/v1/configuration/dns", json=body).status_code == 403


def test_only_the_operator_speaks_for_the_departement(session: Session) -> None:
    commune = make_collectivity(session)
    viewer = as_viewer(session, make_user(session, Role.TECHNICIAN, collectivity=commune), NOON)
    with pytest.raises(NotAllowed):
        service.set_value(session, viewer, "dns", {"managed": False}, now=NOON)


# ---- how it went

AGO = timedelta(minutes=12)
STATES: dict[str, tuple[dict[str, Any], list[str], str, str]] = {
    "a kit": ({"kind": DeviceKind.ROBOT_KIT, "platform": Platform.NONE}, [], "not_managed", "suivi, sans logiciel"),
    "retired": ({"status": DeviceStatus.RETIRED}, [], "not_managed", "hors service"),
    "an iPad with its profile": (
        {"kind": DeviceKind.TABLET, "platform": Platform.IPADOS, "profile_issued_at": NOON, "enrolled_at": None,
         "last_seen_at": None},
        [], "profile_issued", "profil émis",
    ),
    "an iPad without": (
        {"kind": DeviceKind.TABLET, "platform": Platform.IPADOS, "enrolled_at": None},
        [], "not_managed", "pas encore préparé",
    ),
    "enrolled, not seen": ({"last_seen_at": None}, [], "applying", "enrôlé, jamais vu"),
    "behind": ({"applied_revision": "old"}, ["applied"], "applying", "en cours d’application"),
    "conform": ({}, ["applied", "unchanged"], "conform", "conforme"),
    "repaired": ({}, ["repaired"], "drifted-repaired", "conforme, réparé : r0"),
    "failed": ({}, ["applied", "failed"], "failed", "en échec : r1"),
    "failed and behind": ({"applied_revision": "old"}, ["failed"], "failed", "en échec : r0"),
    "silent": ({"silent_since": NOON - AGO}, ["failed"], "silent", "silencieux depuis 12 min"),
    "a status of a later version": ({}, ["postponed"], "conform", "conforme"),
}  # fmt: skip


@pytest.mark.parametrize("case", STATES)
def test_the_state_of_a_device_is_told_honestly(case: str) -> None:
    values, statuses, code, label = STATES[case]
    base: dict[str, Any] = {
        "kind": DeviceKind.DISPLAY, "platform": Platform.LINUX, "status": DeviceStatus.ACTIVE, "enrolled_at": NOON,
        "last_seen_at": NOON, "desired_revision": "new", "applied_revision": "new",
    }  # fmt: skip
    outcomes = [
        ResourceOutcome(device_id=UUID(int=1), resource=f"r{n}", revision="new", status=status, detail="", at=NOON)
        for n, status in enumerate(statuses)
    ]
    assert state_of(Device(**base | values), outcomes, NOON) == (code, label)

"""Browser policies as files: what is written, what was there before, and who else writes in Firefox's only file."""

import base64
import json
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.actions.browser import CERTIFICATES, CHROMIUM, FIREFOX, apply_browser, chromium_policies
from agent.protocol import Bookmark, BrowserPolicy
from agent.resource import Place, ResourceFailed
from agent.state import Record
from tests.agent.conftest import DESIRED

assert DESIRED.browser is not None
POLICY = DESIRED.browser
HOME = "https://ent.example.test/"


class Machine:
    """A root and the record of what was put there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.record = Record("browser")

    def remember(self, record: Record) -> None:
        self.record = record

    def apply(self, policy: BrowserPolicy | None = POLICY) -> str:
        change = apply_browser(policy, Place(self.root, self.record, self.remember))
        self.record = change.record
        return change.status

    @property
    def firefox(self) -> dict[str, object]:
        policies: dict[str, object] = json.loads((self.root / FIREFOX).read_text())["policies"]
        return policies

    @firefox.setter
    def firefox(self, policies: dict[str, object]) -> None:
        (self.root / FIREFOX).parent.mkdir(parents=True, exist_ok=True)
        (self.root / FIREFOX).write_text(json.dumps({"policies": policies}))
        (self.root / FIREFOX).chmod(0o644)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_every_chromium_gets_the_same_policies(machine: Machine) -> None:
    machine.apply()
    for path in CHROMIUM:
        assert json.loads((machine.root / path).read_text()) == {
            "HomepageLocation": HOME,
            "HomepageIsNewTabPage": False,
            "ShowHomeButton": True,
            "RestoreOnStartup": 4,
            "RestoreOnStartupURLs": [HOME],
            "BookmarkBarEnabled": True,
            "ManagedBookmarks": [{"toplevel_name": "École"}, {"name": "ENT", "url": HOME}],
            "DnsOverHttpsMode": "secure",
            "DnsOverHttpsTemplates": "https://dns.example.test/dns-query/abc{?dns}",
        }
        assert [p.name for p in (machine.root / path).parent.iterdir()] == ["preau.json"]


def test_firefox_gets_its_own_words_for_them(machine: Machine) -> None:
    machine.apply()
    assert machine.firefox == {
        "Homepage": {"URL": HOME, "Locked": True, "StartPage": "homepage-locked"},
        "DisplayBookmarksToolbar": "always",
        "ManagedBookmarks": [{"toplevel_name": "École"}, {"name": "ENT", "url": HOME}],
        "DNSOverHTTPS": {
            "Enabled": True,
            "ProviderURL": "https://dns.example.test/dns-query/abc",
            "Fallback": False,
            "Locked": True,
        },
    }


def test_an_empty_policy_still_closes_dns_over_https(machine: Machine) -> None:
    machine.apply(BrowserPolicy())
    assert json.loads((machine.root / CHROMIUM[0]).read_text()) == {"DnsOverHttpsMode": "off"}
    assert machine.firefox == {"DNSOverHTTPS": {"Enabled": False, "Locked": True}}


def test_policies_of_others_stay_and_theirs_come_back(machine: Machine) -> None:
    before = {"DisableTelemetry": True, "Homepage": {"URL": "https://avant.example.test/"}}
    machine.firefox = dict(before)
    machine.apply()
    assert machine.firefox["DisableTelemetry"] is True
    assert machine.firefox["Homepage"] != before["Homepage"]
    machine.apply(replace(POLICY, home_page=""))
    assert machine.firefox["Homepage"] == before["Homepage"], "a policy that is ours no longer is theirs again"
    machine.apply()
    machine.apply(None)
    assert machine.firefox == before


def test_a_file_that_only_held_ours_goes_with_it(machine: Machine) -> None:
    machine.apply()
    assert machine.apply(None) == "applied"
    assert [path for path in machine.root.rglob("*") if path.is_file()] == []
    assert machine.apply(None) == "unchanged"


def test_somebody_else_may_add_theirs_without_being_called_a_drift(machine: Machine) -> None:
    machine.apply()
    machine.firefox = {**machine.firefox, "DisableTelemetry": True}
    written = (machine.root / FIREFOX).read_bytes()
    assert machine.apply() == "unchanged"
    assert (machine.root / FIREFOX).read_bytes() == written


@pytest.mark.parametrize(
    "drift",
    [
        {},
        {"DNSOverHTTPS": {"Enabled": False}},
        {"Homepage": {"URL": "https://ailleurs.example.test/"}},
    ],
)
def test_taking_ours_away_is_a_drift(machine: Machine, drift: dict[str, object]) -> None:
    machine.apply()
    expected = machine.firefox
    machine.firefox = {**expected, **drift} if drift else {}
    assert machine.apply() == "repaired"
    assert machine.firefox == expected
    assert machine.apply() == "unchanged"


@pytest.mark.parametrize("spoiled", [b"", b"{", b"[]", b"null", b'{"policies": []}', b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_firefox_cannot_read_is_set_aside(machine: Machine, spoiled: bytes) -> None:
    machine.firefox = {}
    (machine.root / FIREFOX).write_bytes(spoiled)
    assert machine.apply() == "applied"
    aside = (machine.root / FIREFOX).with_name("policies.json.preau-illisible")
    assert aside.read_bytes() == spoiled
    (machine.root / FIREFOX).write_bytes(spoiled)  # this time it is ours that was spoiled
    assert machine.apply() == "repaired"
    assert machine.firefox["Homepage"]


def test_a_foreign_policy_may_hold_anything_json_allows(machine: Machine) -> None:
    machine.firefox = {}
    (machine.root / FIREFOX).write_text('{"policies": {"Odd": "\\ud800", "Homepage": {"URL": "\\udfff\\u0000"}}}')
    machine.apply()
    machine.apply(None)
    assert machine.firefox == {"Odd": "\ud800", "Homepage": {"URL": "\udfff\0"}}


def test_our_authority_is_given_to_both_families(machine: Machine, tmp_path: Path) -> None:
    der = b"0\x82 a certificate's bytes"
    text = base64.b64encode(der).decode()
    machine.apply(replace(POLICY, ca_certificates=(text,)))
    assert json.loads((machine.root / CHROMIUM[0]).read_text())["CACertificates"] == [text]
    (path,) = (machine.root / CERTIFICATES).iterdir()
    assert ssl.PEM_cert_to_DER_cert(path.read_text()) == der
    assert machine.firefox["Certificates"] == {"Install": [f"/{CERTIFICATES}/{path.name}"]}
    machine.apply()
    assert not path.exists()


@pytest.mark.parametrize(
    "policy",
    [
        BrowserPolicy(home_page="javascript:alert(1)"),
        BrowserPolicy(home_page="file:///etc/passwd"),
        BrowserPolicy(bookmarks=(Bookmark("x", "data:text/html,x"),)),
        BrowserPolicy(doh_template="http://dns.example.test/dns-query"),
        BrowserPolicy(doh_template="https://dns.example.test/{x}"),
        BrowserPolicy(ca_certificates=("pas du base64",)),
    ],
)
def test_what_no_browser_should_be_told_is_refused_and_changes_nothing(machine: Machine, policy: BrowserPolicy) -> None:
    machine.apply()
    before = (machine.root / CHROMIUM[0]).read_bytes(), machine.firefox
    with pytest.raises(ResourceFailed, match="politique du navigateur"):
        machine.apply(policy)
    assert ((machine.root / CHROMIUM[0]).read_bytes(), machine.firefox) == before


@given(st.text(max_size=50))
def test_any_title_is_a_bookmark(title: str) -> None:
    policies = chromium_policies(BrowserPolicy(bookmarks=(Bookmark(title, HOME),)))
    assert policies["ManagedBookmarks"] == [{"toplevel_name": "École"}, {"name": title, "url": HOME}]


def test_the_next_chromium_policies_are_prepared_outside_the_folder_it_obeys(machine: Machine) -> None:
    """Chromium reads every file of ``managed``, whatever its name: a torn one must never lie there."""
    staged = machine.root / "etc/chromium/policies/.preau.json.preau-new"
    staged.parent.mkdir(parents=True)
    staged.write_text("torn")
    machine.apply()
    assert not staged.exists()
    staged.mkdir()  # the place is taken: writing must fail, not go elsewhere
    (machine.root / CHROMIUM[0]).unlink()
    with pytest.raises(OSError, match="preau-new"):
        machine.apply()

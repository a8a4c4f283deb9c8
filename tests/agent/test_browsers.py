"""A real Chromium and a real Firefox obey what the real agent wrote."""

import base64
import json
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from agent.actions.browser import CHROMIUM, FIREFOX
from agent.protocol import BrowserPolicy
from fleet.embedded.ports import free_port
from tests.agent.browsers import firefox, over_the_system
from tests.agent.conftest import DESIRED, RunAgent
from tests.agent.peer import Peer
from tests.browser import CHROMIUM_OPTIONS
from tests.requirements import needs

HOME = "https://ent.example.test/"
READ_POLICIES = """() => {
    const found = [];
    const walk = (node) => {
        for (const element of node.querySelectorAll('*')) {
            if (element.tagName === 'POLICY-ROW') {
                const text = (name) => element.shadowRoot.querySelector(name)?.textContent.trim() ?? '';
                found.push([text('.policy.row .name'), text('.policy.row .value'), text('.policy.row .messages')]);
            }
            if (element.shadowRoot) walk(element.shadowRoot);
        }
    };
    walk(document);
    return found;
}"""


@pytest.fixture
def managed_root(peer: Peer, run_agent: RunAgent, root: Path) -> Path:
    """A root on which the agent, a real process, applied what the controller asks for; the CA is the peer's own."""
    der = ssl.PEM_cert_to_DER_cert(peer.authority.certificate.read_text())
    assert DESIRED.browser is not None
    browser = replace(DESIRED.browser, ca_certificates=(base64.b64encode(der).decode(),))
    peer.desired = replace(DESIRED, browser=browser)
    assert run_agent("enroll", "--controller", peer.url, "--token", peer.token).returncode == 0
    assert run_agent("run", "--once").returncode == 0
    assert {outcome.status for outcome in peer.outcomes.values()} == {"applied"}
    return root


@needs("chromium", root=True)
@pytest.mark.browser
def test_chromium_shows_every_policy_as_active(managed_root: Path, tmp_path: Path, pictures: Path) -> None:
    written = json.loads((managed_root / CHROMIUM[0]).read_text())
    program = over_the_system(managed_root, "chromium", tmp_path / "work")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=list(CHROMIUM_OPTIONS))
        page = chromium.new_page(viewport={"width": 1100, "height": 900}, locale="fr-FR")
        page.goto("chrome://policy")
        page.wait_for_function(f"({READ_POLICIES})().length >= {len(written)}")
        rows = {name: (value, status) for name, value, status in page.evaluate(READ_POLICIES)}
        page.screenshot(path=pictures / "chromium-policies.png")
        chromium.close()
    assert rows.keys() >= written.keys()
    assert {status for name, (_, status) in rows.items() if name in written} == {"OK"}
    assert rows["HomepageLocation"] == (HOME, "OK")


@needs("firefox-esr", root=True)
@pytest.mark.browser
def test_firefox_obeys_every_policy(managed_root: Path, tmp_path: Path, pictures: Path) -> None:
    written = json.loads((managed_root / FIREFOX).read_text())["policies"]
    program = over_the_system(managed_root, "firefox-esr", tmp_path / "work")
    with firefox(program, tmp_path / "profile", free_port()) as browser:
        active = browser.run_as_browser("return Services.policies.getActivePolicies();")
        assert active == written
        told = browser.run_as_browser(
            """return {
                home: Services.prefs.getStringPref("browser.startup.homepage"),
                homeLocked: Services.prefs.prefIsLocked("browser.startup.homepage"),
                trrMode: Services.prefs.getIntPref("network.trr.mode"),
                trr: Services.prefs.getStringPref("network.trr.uri"),
                trrLocked: Services.prefs.prefIsLocked("network.trr.uri"),
            };"""
        )
        assert told == {
            "home": HOME,
            "homeLocked": True,
            "trrMode": 3,
            "trr": "https://dns.example.test/dns-query/abc",
            "trrLocked": True,
        }
        assert browser.run_as_browser(COUNT_OUR_AUTHORITY) == 1
        browser.command("Marionette:SetContext", {"value": "content"})
        browser.command("WebDriver:Navigate", {"url": "about:policies#active"})
        picture = browser.command("WebDriver:TakeScreenshot", {"full": False})
        assert isinstance(picture, dict)
        (pictures / "firefox-policies.png").write_bytes(base64.b64decode(picture["value"]))


COUNT_OUR_AUTHORITY = """
const store = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
return store.getCerts().filter((each) => each.commonName === "CA des tests").length;
"""


@needs("chromium", root=True)
@pytest.mark.browser
def test_without_a_template_both_browsers_leave_names_to_the_system(
    peer: Peer, run_agent: RunAgent, root: Path, tmp_path: Path
) -> None:
    peer.desired = replace(DESIRED, browser=BrowserPolicy(home_page=HOME))
    run_agent("enroll", "--controller", peer.url, "--token", peer.token)
    assert run_agent("run", "--once").returncode == 0
    program = over_the_system(root, "chromium", tmp_path / "work")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=list(CHROMIUM_OPTIONS))
        page = chromium.new_page()
        page.goto("chrome://policy")
        page.wait_for_function(f"({READ_POLICIES})().length >= 6")
        rows = {name: (value, status) for name, value, status in page.evaluate(READ_POLICIES)}
        chromium.close()
    assert rows["DnsOverHttpsMode"] == ("off", "OK")
    assert rows.get("DnsOverHttpsTemplates", ("", ""))[0] == "", "Chromium names it beside the mode; it has no value"
    assert json.loads((root / FIREFOX).read_text())["policies"]["DNSOverHTTPS"] == {"Enabled": False, "Locked": True}

"""Real browsers that ask nobody but our DoH: a page under a name that only we know, and a blocked name."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Error, sync_playwright

from tests.agent.browsers import Marionette, firefox
from tests.browser import CHROMIUM_OPTIONS
from tests.certificates import Authority
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.encrypted import NAME, EncryptedFilter
from tests.filter.scripted import ScriptedUpstream, free_port
from tests.requirements import find, needs

PAGE = "page.intranet.example"
BLOCKED = "www.jeu.example"
TEXT = "Bonjour de la page"


class Web(BaseHTTPRequestHandler):
    """One page, whatever the path."""

    def do_GET(self) -> None:
        body = f"<!doctype html><title>{TEXT}</title>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def web() -> Iterator[int]:
    """The port of the only web server that there is."""
    server = HTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncryptedFilter]:
    folder: Path = tmp_path_factory.mktemp("browsers")
    bundle = compile_pair(LISTS, SCHOOL, folder / "ecole.preau", serial=7)
    with ScriptedUpstream() as upstream:
        upstream.add(f"{PAGE}. 300 IN A 127.0.0.1")
        upstream.add(f"{BLOCKED}. 300 IN A 127.0.0.1")
        options = ("--bundle", str(bundle), "--upstream", upstream.address)
        with EncryptedFilter(Authority.make(folder), *options) as running:
            yield running


def key_of(certificate: Path) -> str:
    """The hash by which Chromium is told to believe a certificate of no known authority."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    return base64.b64encode(
        hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    ).decode()


@needs("chromium")
def test_chromium_resolves_by_our_doh_alone(served: EncryptedFilter, web: int, tmp_path: Path) -> None:
    template = f"https://127.0.0.1:{served.https}/dns-query"
    (tmp_path / "Local State").write_text(
        json.dumps({"dns_over_https": {"mode": "secure", "templates": template}}), "utf-8"
    )
    key = key_of(served.authority.directory / f"{NAME}.pem")
    options = [*CHROMIUM_OPTIONS, f"--ignore-certificate-errors-spki-list={key}"]
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=find("chromium"), args=options
        )
        page = context.new_page()
        page.goto(f"http://{PAGE}:{web}/")
        title = page.title()
        with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
            page.goto(f"http://{BLOCKED}:{web}/")
        context.close()

    assert title == TEXT


@needs("firefox-esr")
def test_firefox_resolves_by_our_doh_alone(served: EncryptedFilter, web: int, tmp_path: Path) -> None:
    with firefox(Path(str(find("firefox-esr"))), tmp_path / "profile", free_port()) as browser:
        browser.run_as_browser(settings_of(served))
        navigate(browser, f"http://{PAGE}:{web}/")
        title = browser.command("WebDriver:GetTitle", {})
        with pytest.raises(AssertionError, match="dnsNotFound"):
            navigate(browser, f"http://{BLOCKED}:{web}/")

    assert title == {"value": TEXT}


def settings_of(served: EncryptedFilter) -> str:
    """Our authority believed, and no other way to resolve names (network.trr.mode 3)."""
    pem = served.authority.certificate.read_text("ascii")
    certificate = "".join(pem.splitlines()[1:-1])
    wanted = {
        "network.trr.uri": f"https://{NAME}:{served.https}/dns-query",
        "network.trr.bootstrapAddr": "127.0.0.1",
        "network.trr.allow-rfc1918": True,
        "network.trr.mode": 3,
    }
    authorities = 'Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)'
    lines = [f'{authorities}.addCertFromBase64("{certificate}", "CT,,");']
    for name, value in wanted.items():
        kind = {bool: "Bool", int: "Int", str: "Char"}[type(value)]
        lines.append(f"Services.prefs.set{kind}Pref({json.dumps(name)}, {json.dumps(value)});")
    return "\n".join(lines)


def navigate(browser: Marionette, address: str) -> None:
    browser.command("Marionette:SetContext", {"value": "content"})
    browser.command("WebDriver:Navigate", {"url": address})

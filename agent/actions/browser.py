"""Browser policies: home page, managed bookmarks, DNS over HTTPS and our CA, for Chromium's family and Firefox."""

import base64
import binascii
import hashlib
import json
import logging
import os
import ssl

from agent import files
from agent.protocol import BrowserPolicy
from agent.resource import Change, Place, ResourceFailed, Wanted, converge, digest_of, release
from agent.state import Displaced
from agent.urls import InvalidUrl, checked_template, checked_url, without_variable

log = logging.getLogger(__name__)

CHROMIUM = (
    "etc/chromium/policies/managed/preau.json",  # Debian
    "etc/chromium-browser/policies/managed/preau.json",  # Ubuntu's snap
    "etc/opt/chrome/policies/managed/preau.json",  # Google Chrome
)
FIREFOX = "etc/firefox/policies/policies.json"
CERTIFICATES = "usr/lib/mozilla/certificates"
"""Where Firefox looks for the files that its policy names."""
BOOKMARKS_FOLDER = "École"

Policies = dict[str, object]


def apply_browser(policy: BrowserPolicy | None, place: Place) -> Change:
    """Write the policies of every browser family, installed or not; None removes ours and gives back what was there.

    Raises ResourceFailed when the policy holds something no browser should be told.
    """
    if policy is None:
        return release(place, given_back(place))
    try:
        chromium, firefox = chromium_policies(policy), firefox_policies(policy)
        certificates = certificate_files(policy)
    except InvalidUrl as error:
        raise ResourceFailed(f"politique du navigateur : {error}") from error
    contents = dict.fromkeys(CHROMIUM, to_json(chromium)) | certificates
    contents[FIREFOX], displaced = merged(place, firefox)
    return converge(place, Wanted(digest_of(chromium, firefox), contents, displaced))


def chromium_policies(policy: BrowserPolicy) -> Policies:
    """Names and values of https://chromeenterprise.google/policies/ ."""
    policies: Policies = {}
    if policy.home_page:
        home = checked_url(policy.home_page)
        policies |= {"HomepageLocation": home, "HomepageIsNewTabPage": False, "ShowHomeButton": True}
        policies |= {"RestoreOnStartup": 4, "RestoreOnStartupURLs": [home]}
    if policy.bookmarks:
        policies |= {"BookmarkBarEnabled": True, "ManagedBookmarks": bookmarks(policy)}
    if policy.doh_template:
        template = checked_template(policy.doh_template)
        policies |= {"DnsOverHttpsMode": "secure", "DnsOverHttpsTemplates": template}
    else:
        policies["DnsOverHttpsMode"] = "off"
    if policy.ca_certificates:
        policies["CACertificates"] = [base64.b64encode(der).decode() for der in authorities(policy)]
    return policies


def firefox_policies(policy: BrowserPolicy) -> Policies:
    """Names and values of https://mozilla.github.io/policy-templates/ ."""
    policies: Policies = {}
    if policy.home_page:
        home = checked_url(policy.home_page)
        policies["Homepage"] = {"URL": home, "Locked": True, "StartPage": "homepage-locked"}
    if policy.bookmarks:
        policies |= {"DisplayBookmarksToolbar": "always", "ManagedBookmarks": bookmarks(policy)}
    if policy.doh_template:
        provider = without_variable(checked_template(policy.doh_template))
        policies["DNSOverHTTPS"] = {"Enabled": True, "ProviderURL": provider, "Fallback": False, "Locked": True}
    else:
        policies["DNSOverHTTPS"] = {"Enabled": False, "Locked": True}
    if policy.ca_certificates:
        policies["Certificates"] = {"Install": [f"/{path}" for path in certificate_files(policy)]}
    return policies


def bookmarks(policy: BrowserPolicy) -> list[dict[str, str]]:
    """The same shape for both families."""
    entries = [{"name": bookmark.title, "url": checked_url(bookmark.url)} for bookmark in policy.bookmarks]
    return [{"toplevel_name": BOOKMARKS_FOLDER}, *entries]


def certificate_files(policy: BrowserPolicy) -> dict[str, bytes]:
    """One PEM file for each authority, named by its digest, so that a new one is a new file."""
    return {
        f"{CERTIFICATES}/preau-{hashlib.sha256(der).hexdigest()[:16]}.pem": ssl.DER_cert_to_PEM_cert(der).encode()
        for der in authorities(policy)
    }


def authorities(policy: BrowserPolicy) -> list[bytes]:
    try:
        return [base64.b64decode(text, validate=True) for text in policy.ca_certificates]
    except binascii.Error:
        raise InvalidUrl("certificat d’autorité illisible") from None


def merged(place: Place, ours: Policies) -> tuple[bytes, tuple[Displaced, ...]]:
    """Firefox's only file with our policies among those that somebody else wrote, and what ours took the place of.

    The record has a Displaced for each policy that we wrote last time, empty when nothing was there before us.
    """
    present = read_policies(place)
    known = {displaced.name: displaced.content for displaced in place.record.displaced}
    under = {name: known.get(name, json.dumps(present[name]) if name in present else "") for name in ours}
    displaced = tuple(Displaced(name, content) for name, content in sorted(under.items()))
    content = files.find_content(place.root / FIREFOX)
    if content is not None and set(known) <= set(ours) and present == {**present, **ours}:
        return content, displaced  # as somebody else wrote it: no reason to touch it
    return to_json({"policies": foreign_policies(place, present, ours) | ours}), displaced


def foreign_policies(place: Place, present: Policies, ours: Policies) -> Policies:
    """What is not ours, and what was there before us under a name that is ours no longer."""
    known = {displaced.name: displaced.content for displaced in place.record.displaced}
    foreign = {name: value for name, value in present.items() if name not in ours and name not in known}
    return foreign | {name: json.loads(content) for name, content in known.items() if content and name not in ours}


def read_policies(place: Place) -> Policies:
    """The policies now in Firefox's file. One that Firefox itself could not read is set aside under another name."""
    path = place.root / FIREFOX
    content = files.find_content(path)
    if content is None:
        return {}
    try:
        policies = json.loads(content)["policies"]
    except (ValueError, KeyError, TypeError, RecursionError):
        policies = None
    if isinstance(policies, dict):
        return policies
    if FIREFOX not in place.record.files:
        log.warning("firefox policies unreadable, set aside", extra={"path": str(path)})
        os.replace(path, path.with_name("policies.json.preau-illisible"))
    return {}


def given_back(place: Place) -> dict[str, bytes]:
    """Firefox's file as it would be without us; nothing when only ours was in it."""
    if FIREFOX not in place.record.files:
        return {}
    foreign = foreign_policies(place, read_policies(place), {})
    return {FIREFOX: to_json({"policies": foreign})} if foreign else {}


def to_json(document: Policies) -> bytes:
    """ASCII: a foreign policy may hold an escape that stands for no character."""
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()

"""Tablets: the iPad's signed profile as openssl reads it, the Android QR as a camera reads it, honest states."""

import json
import plistlib
import struct
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import zxingcpp
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.protocol import Shortcut
from fleet.config import FleetConfig
from fleet.configuration.states import state_of
from fleet.devices import service as devices
from fleet.devices.models import Device, DeviceEvent, DeviceKind, DeviceStatus, Platform
from fleet.enrollment import service as enrollment
from fleet.enrollment.models import EnrollmentFailure
from fleet.errors import ConfigurationError, Conflict, FleetError, Invalid, NotAllowed, NotFound
from fleet.platforms import android, apple, service
from fleet.platforms.android import EXTRA, Wifi
from fleet.platforms.icon import SIZE, draw_icon
from fleet.scope import Grant, Role, Viewer
from tests.factories import NOON, make_device, make_school, make_user
from tests.fleet.conftest import Signing
from tests.fleet.talking import TECHNICIAN, enroll, issue, new_attempt
from tests.fleet.test_configuration import make_portal
from tests.requirements import needs
from tests.sign_in import signed_in

CHECKSUM = "gJD2YwtOiWJHkSMkkIfLRlj-quNqG1fb6v100QmzM9w"


@pytest.fixture
def config(config: FleetConfig, signing: Signing) -> FleetConfig:
    """A controller whose services are public and that signs profiles."""
    return replace(
        config,
        profile_cert_file=signing.cert_file,
        profile_key_file=signing.key_file,
        doh_template="https://dns.example.fr/dns-query/{label}{?dns}",
        dot_domain="dns.example.fr",
        android_dpc_component="fr.example.dpc/.AdminReceiver",
        android_dpc_url="https://dpc.example.fr/dpc.apk",
        android_dpc_checksum=CHECKSUM,
    )


def tablet(session: Session, platform: Platform = Platform.IPADOS, **values: Any) -> Device:
    school = make_school(session, name="École Jean Zay")
    make_portal(session, school)
    base = {"kind": DeviceKind.TABLET, "platform": platform, "school": school, "status": DeviceStatus.IN_STOCK}
    return make_device(session, **(base | values))


def verified(profile: bytes, signing: Signing, tmp_path: Path) -> bytes:
    """What openssl finds inside a profile, once it has checked the signature up to our authority."""
    signed = tmp_path / "profile.mobileconfig"
    signed.write_bytes(profile)
    command = ["openssl", "cms", "-verify", "-inform", "DER", "-in", str(signed), "-CAfile", str(signing.ca_file)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"erification successful" in done.stderr
    return done.stdout


def payloads(document: bytes, kind: str) -> list[dict[str, Any]]:
    return [p for p in plistlib.loads(document)["PayloadContent"] if p["PayloadType"] == kind]


def read_qr(document: dict[str, object]) -> str:
    """The text that a camera finds in the QR of a document."""
    qr = android.draw_qr(document)
    picture = np.array([[0 if dark else 255 for dark in row] for row in qr.matrix_iter(scale=4)], dtype=np.uint8)
    [found] = zxingcpp.read_barcodes(picture)
    return str(found.text)


# ---- iPadOS


@needs("openssl")
def test_openssl_accepts_the_profile_and_finds_the_shortcuts(
    session: Session, config: FleetConfig, signing: Signing, tmp_path: Path
) -> None:
    device = tablet(session)
    document = verified(service.mobileconfig(session, device, config), signing, tmp_path)
    whole = plistlib.loads(document)
    assert (whole["PayloadType"], whole["PayloadVersion"]) == ("Configuration", 1)
    assert (whole["PayloadDisplayName"], whole["PayloadOrganization"]) == ("Préau – École Jean Zay", "Préau")
    assert device.asset_tag in whole["ConsentText"]["fr"]
    assert not whole["PayloadRemovalDisallowed"]
    clips = payloads(document, "com.apple.webClip.managed")
    assert [(c["Label"], c["URL"]) for c in clips] == [
        ("ENT ONE", "https://ent.example.fr/"),
        ("Messagerie", "https://ent.example.fr/conversation"),
        ("Cahier de textes", "https://ent.example.fr/homeworks"),
    ]
    [dns] = payloads(document, "com.apple.dnsSettings.managed")
    assert dns["DNSSettings"] == {
        "DNSProtocol": "HTTPS",
        "ServerURL": f"https://dns.example.fr/dns-query/{device.label}",
    }
    assert {p["PayloadType"] for p in whole["PayloadContent"]} == {
        "com.apple.webClip.managed", "com.apple.dnsSettings.managed",
    }  # fmt: skip
    for each in [whole, *whole["PayloadContent"]]:
        assert str(UUID(each["PayloadUUID"])).upper() == each["PayloadUUID"]
        assert each["PayloadIdentifier"].startswith("fr.preau.device.")
        assert each["PayloadDisplayName"]


@needs("openssl")
def test_openssl_refuses_a_profile_that_was_changed(
    session: Session, config: FleetConfig, signing: Signing, tmp_path: Path
) -> None:
    profile = service.mobileconfig(session, tablet(session), config)
    forged = tmp_path / "forged.mobileconfig"
    forged.write_bytes(profile.replace(b"ent.example.fr/conv", b"mal.example.fr/conv"))
    assert forged.read_bytes() != profile
    command = ["openssl", "cms", "-verify", "-inform", "DER", "-in", str(forged), "-CAfile", str(signing.ca_file)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_a_newer_profile_replaces_the_older_and_no_other(session: Session, config: FleetConfig) -> None:
    device, other = tablet(session), make_device(session, kind=DeviceKind.TABLET, platform=Platform.IPADOS)

    def marks(device: Device) -> dict[str, str]:
        whole = plistlib.loads(service.unsigned_profile(session, device, config))
        return {p["PayloadIdentifier"]: p["PayloadUUID"] for p in [whole, *whole["PayloadContent"]]}

    before = marks(device)
    device.school = make_school(session)  # another school, no portal: fewer payloads, none with a new mark
    session.flush()
    after = marks(device)
    assert after.items() < before.items()
    assert len(set(before.values())) == len(before)
    assert not set(before.values()) & set(marks(other).values())
    assert service.unsigned_profile(session, other, config) == service.unsigned_profile(session, other, config)


@pytest.mark.parametrize(
    "template", [None, "https://127.0.0.1:8453/dns-query/{label}{?dns}", "https://preau.test/{label}"]
)
def test_dns_is_left_alone_while_no_tablet_could_trust_ours(
    session: Session, config: FleetConfig, template: str | None
) -> None:
    document = service.unsigned_profile(session, tablet(session), replace(config, doh_template=template))
    assert payloads(document, "com.apple.dnsSettings.managed") == []
    assert "navigation sûre de l’école" not in plistlib.loads(document)["ConsentText"]["fr"]


def test_the_icon_is_a_png_that_apple_takes() -> None:
    icons = [draw_icon(key) for key in ("ent", "ent-messagerie", "cantine")]
    assert len(set(icons)) > 1
    for icon in icons:
        assert icon.startswith(b"\x89PNG\r\n\x1a\n")
        width, height, depth, colour = struct.unpack(">IIBB", icon[16:26])
        assert (width, height, depth, colour) == (SIZE, SIZE, 8, 2)
        length = struct.unpack(">I", icon[33:37])[0]
        assert len(zlib.decompress(icon[41 : 41 + length])) == SIZE * (SIZE * 3 + 1)
        assert len(icon) < 4096


def test_without_a_certificate_or_for_another_platform_there_is_no_profile(
    session: Session, config: FleetConfig, tmp_path: Path
) -> None:
    device = tablet(session)
    with pytest.raises(Conflict, match="PREAU_PROFILE_CERT_FILE"):
        service.mobileconfig(session, device, replace(config, profile_key_file=None))
    with pytest.raises(Conflict, match="n’est pas un appareil ipados"):
        service.mobileconfig(session, make_device(session), config)
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(ConfigurationError, match="illisible"):
        service.mobileconfig(session, device, replace(config, profile_cert_file=broken))


# ---- Android


def test_the_android_qr_is_read_back_by_a_camera(session: Session, config: FleetConfig) -> None:
    device = tablet(session, Platform.ANDROID)
    wifi = Wifi('Écoles "Zay"', 'mot\\de "passe" été')
    document = service.android_payload(session, device, config, wifi=wifi)
    read = json.loads(read_qr(document))
    assert read == document
    assert read[f"{EXTRA}DEVICE_ADMIN_COMPONENT_NAME"] == "fr.example.dpc/.AdminReceiver"
    assert read[f"{EXTRA}DEVICE_ADMIN_PACKAGE_DOWNLOAD_LOCATION"] == "https://dpc.example.fr/dpc.apk"
    assert read[f"{EXTRA}DEVICE_ADMIN_SIGNATURE_CHECKSUM"] == CHECKSUM
    assert f"{EXTRA}DEVICE_ADMIN_PACKAGE_CHECKSUM" not in read  # one of the two, never both
    assert (read[f"{EXTRA}WIFI_SSID"], read[f"{EXTRA}WIFI_PASSWORD"]) == (wifi.ssid, wifi.password)
    assert read[f"{EXTRA}WIFI_SECURITY_TYPE"] == "WPA"
    extras = read[f"{EXTRA}ADMIN_EXTRAS_BUNDLE"]
    assert all(isinstance(value, str) for value in extras.values())
    assert (extras["preau_url"], extras["preau_asset_tag"]) == ("https://preau.example.test", device.asset_tag)
    assert device.school is not None
    assert (extras["preau_school"], extras["preau_label"]) == (device.school.uai, device.label)
    assert extras["preau_private_dns"] == f"{device.label}.dns.example.fr"
    assert json.loads(extras["preau_shortcuts"])[0] == {"t": "ENT ONE", "u": "https://ent.example.fr/"}


def test_one_android_qr_serves_a_whole_class(session: Session, config: FleetConfig, api: TestClient) -> None:
    school = make_school(session)
    make_portal(session, school)
    token = issue(session, config, school, kind=DeviceKind.TABLET, platform=Platform.ANDROID, max_uses=30).text
    read = json.loads(read_qr(service.android_token_payload(session, school, token, config)))
    extras = read[f"{EXTRA}ADMIN_EXTRAS_BUNDLE"]
    assert (extras["preau_token"], extras["preau_school"]) == (token, school.uai)
    assert "preau_label" not in extras
    assert json.loads(extras["preau_shortcuts"])[0]["u"] == "https://ent.example.fr/"
    assert enroll(api, extras["preau_token"], platform="android").status_code == 201


def test_a_qr_that_no_camera_could_read_is_refused() -> None:
    many = tuple(Shortcut(f"s{n}", f"Raccourci {n}", f"https://{n}.example.fr/{'x' * 60}") for n in range(40))
    document = android.payload(
        component="a/.B", download_url="https://a.example.fr/", signature_checksum=CHECKSUM, extras={}, shortcuts=many,
        wifi=None,
    )  # fmt: skip
    with pytest.raises(Invalid, match="Trop de raccourcis"):
        android.draw_qr(document)
    fitting = document | {f"{EXTRA}ADMIN_EXTRAS_BUNDLE": {"x": "é" * 1100}}
    assert json.loads(read_qr(fitting)) == fitting


@pytest.mark.parametrize(
    "wifi",
    [Wifi(""), Wifi("é" * 17), Wifi("Zay", "court"), Wifi("Zay", "x" * 65), Wifi("Zay", "assez long", "WPA9")],
)
def test_a_wifi_that_android_would_refuse_is_refused_here(wifi: Wifi) -> None:
    with pytest.raises(Invalid):
        android.wifi_extras(wifi)


def test_an_open_or_hidden_wifi() -> None:
    assert android.wifi_extras(Wifi("Zay", security="NONE")) == {
        f"{EXTRA}WIFI_SSID": "Zay", f"{EXTRA}WIFI_SECURITY_TYPE": "NONE",
    }  # fmt: skip
    assert android.wifi_extras(Wifi("Zay", "assez long", hidden=True))[f"{EXTRA}WIFI_HIDDEN"] is True


@pytest.mark.parametrize("missing", ["android_dpc_component", "android_dpc_url", "android_dpc_checksum"])
def test_without_a_device_owner_there_is_no_android_qr(session: Session, config: FleetConfig, missing: str) -> None:
    device = tablet(session, Platform.ANDROID)
    with pytest.raises(Conflict, match="PREAU_ANDROID_DPC_COMPONENT"):
        service.android_payload(session, device, replace(config, **{missing: None}))  # type: ignore[arg-type]


# ---- handing profiles out


@pytest.mark.parametrize("platform", [Platform.IPADOS, Platform.ANDROID])
def test_a_technician_hands_out_a_profile_and_the_device_says_so_and_no_more(
    session: Session, config: FleetConfig, platform: Platform
) -> None:
    device = devices.get_device(session, TECHNICIAN, tablet(session, platform).id)
    got, content = enrollment.issue_profile(session, TECHNICIAN, device, NOON, config)
    assert got is device
    assert content.startswith(b"0\x82") if platform is Platform.IPADOS else json.loads(content)
    assert enrollment.PROFILE_TYPES[platform] in {apple.CONTENT_TYPE, "application/json"}
    assert (device.status, device.profile_issued_at, device.last_seen_at) == (DeviceStatus.STAGED, NOON, None)
    assert state_of(device, (), NOON) == ("profile_issued", "profil émis")
    enrollment.issue_profile(session, TECHNICIAN, device, NOON, config)
    kinds = session.scalars(select(DeviceEvent.kind).where(DeviceEvent.device_id == device.id)).all()
    assert sorted(kinds) == ["profile_issued", "profile_issued", "status"]


def test_profiles_are_issued_over_http(api: TestClient, app: FastAPI, session: Session, config: FleetConfig) -> None:
    app.state.config = config
    ipad, android_tablet, display = tablet(session), make_device(session, **ANDROID), make_device(session)
    signed_in(api, make_user(session))

    def ask(device: Device, **more: Any) -> Any:
        return api.post("/api/v1/enrollment/profiles", json={"device_id": str(device.id)} | more)

    assert ask(ipad).headers["content-type"] == "application/x-apple-aspen-config"
    assert plist_inside(ask(ipad).content) == plist_inside(ask(ipad).content)
    answer = ask(android_tablet, wifi={"ssid": "Zay", "password": "assez long"})
    assert answer.json()[f"{EXTRA}WIFI_SSID"] == "Zay"
    assert ask(android_tablet, wifi={"ssid": "Zay", "password": "court"}).json()["code"] == "platforms.bad_wifi"
    assert ask(display).json()["code"] == "platforms.wrong_platform"
    for gone in (DeviceStatus.LOST, DeviceStatus.RETIRED):
        ipad.status = gone
        session.flush()
        assert ask(ipad).json()["code"] == "device.out_of_service"


ANDROID: dict[str, Any] = {"kind": DeviceKind.TABLET, "platform": Platform.ANDROID}


def test_a_profile_that_cannot_be_made_stages_nothing(session: Session, config: FleetConfig) -> None:
    device = devices.get_device(session, TECHNICIAN, tablet(session).id)
    with pytest.raises(Conflict):
        enrollment.issue_profile(session, TECHNICIAN, device, NOON, replace(config, profile_cert_file=None))
    assert (device.status, device.profile_issued_at) == (DeviceStatus.IN_STOCK, None)


def test_who_does_not_manage_a_tablet_gets_no_profile_of_it(session: Session, config: FleetConfig) -> None:
    device = devices.get_device(session, TECHNICIAN, tablet(session).id)
    assert device.school is not None
    officer = Viewer(UUID(int=2), "Maire", "", (Grant(Role.OFFICER, device.school.collectivity_id),))
    with pytest.raises(NotAllowed):
        enrollment.issue_profile(session, officer, device, NOON, config)


def take(session: Session, token: str, attempt: str, config: FleetConfig) -> tuple[Device, bytes]:
    return enrollment.issue_profile_for_token(session, token, attempt, "192.0.2.1", NOON, config)


def test_an_ipad_takes_its_profile_with_a_token_once(session: Session, config: FleetConfig) -> None:
    school = make_school(session)
    issued = issue(session, config, school, kind=DeviceKind.TABLET, max_uses=2)
    attempt = new_attempt()
    first, profile = take(session, issued.text, attempt, config)
    again, same = take(session, issued.text, attempt, config)
    assert first is again
    assert plist_inside(profile) == plist_inside(same)
    assert (first.platform, first.status, first.school_id) == (Platform.IPADOS, DeviceStatus.STAGED, school.id)
    assert first.name == first.asset_tag
    assert issued.token.uses == 1
    assert take(session, issued.text, new_attempt(), config)[0].id != first.id
    with pytest.raises(FleetError, match="déjà servi") as refused:
        take(session, issued.text, new_attempt(), config)
    assert refused.value.status == 410
    assert take(session, issued.text, attempt, config)[0] is first


def plist_inside(profile: bytes) -> bytes:
    return profile[profile.index(b"<?xml") : profile.index(b"</plist>")]


def test_a_token_for_something_else_gives_no_profile(session: Session, config: FleetConfig) -> None:
    token = issue(session, config, make_school(session)).text
    with pytest.raises(Invalid, match="iPad"):
        take(session, token, new_attempt(), config)
    with pytest.raises(Invalid, match="rechargez"):
        take(session, token, "x", config)


def test_wrong_tokens_count_here_too(session: Session, config: FleetConfig) -> None:
    with pytest.raises(NotFound) as refused:
        take(session, "ZZZZ-ZZZZ-ZZZZ", new_attempt(), config)
    assert refused.value.keeps_changes
    session.flush()
    assert session.scalar(select(func.count()).select_from(EnrollmentFailure)) == 1

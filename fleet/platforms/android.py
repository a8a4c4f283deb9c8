"""What an Android tablet reads from its QR: the device owner to install, and our own extras. Pure."""

import json
from dataclasses import dataclass

import segno

from agent.protocol import Shortcut
from fleet.errors import Invalid

EXTRA = "android.app.extra.PROVISIONING_"
MAX_BYTES = 2900
"""A QR of version 40, correction L, holds 2,953 bytes; a camera needs some air."""
TEST_DPC_COMPONENT = "com.afwsamples.testdpc/com.afwsamples.testdpc.DeviceAdminReceiver"
TEST_DPC = {
    "PREAU_ANDROID_DPC_COMPONENT": TEST_DPC_COMPONENT,
    "PREAU_ANDROID_DPC_URL": "https://testdpc-latest-apk.appspot.com/preview",
    "PREAU_ANDROID_DPC_CHECKSUM": "gJD2YwtOiWJHkSMkkIfLRlj-quNqG1fb6v100QmzM9w",
}
"""Android's own sample policy controller, for trials: the values of the README of AOSP's ManagedProvisioning.

It makes the tablet managed, and reads none of our extras.
"""
SECURITY = ("NONE", "WPA", "WEP", "EAP")


@dataclass(frozen=True, slots=True)
class Wifi:
    """The network that a tablet joins to download its device owner."""

    ssid: str
    password: str = ""
    security: str = "WPA"
    hidden: bool = False


def wifi_extras(wifi: Wifi) -> dict[str, object]:
    """The Wi-Fi keys; raise Invalid for what Android would refuse after three minutes of waiting."""
    if not 1 <= len(wifi.ssid.encode()) <= 32:
        raise Invalid("platforms.bad_wifi", "Le nom du réseau Wi-Fi compte de 1 à 32 octets.")
    if wifi.security not in SECURITY:
        raise Invalid("platforms.bad_wifi", f"Sécurité du Wi-Fi : {', '.join(SECURITY)}.")
    if wifi.security == "WPA" and not 8 <= len(wifi.password.encode()) <= 64:
        raise Invalid("platforms.bad_wifi", "Le mot de passe d’un Wi-Fi WPA compte de 8 à 63 caractères.")
    extras: dict[str, object] = {f"{EXTRA}WIFI_SSID": wifi.ssid, f"{EXTRA}WIFI_SECURITY_TYPE": wifi.security}
    if wifi.password:
        extras[f"{EXTRA}WIFI_PASSWORD"] = wifi.password
    if wifi.hidden:
        extras[f"{EXTRA}WIFI_HIDDEN"] = True
    return extras


def payload(
    *,
    component: str,
    download_url: str,
    signature_checksum: str,
    extras: dict[str, str],
    shortcuts: tuple[Shortcut, ...],
    wifi: Wifi | None,
) -> dict[str, object]:
    """The device-owner document. Our extras are texts: the bundle that Android makes of them takes no list."""
    bundle = extras | {
        "preau_shortcuts": json.dumps([{"t": s.title, "u": s.url} for s in shortcuts], ensure_ascii=False)
    }
    document = {
        f"{EXTRA}DEVICE_ADMIN_COMPONENT_NAME": component,
        f"{EXTRA}DEVICE_ADMIN_PACKAGE_DOWNLOAD_LOCATION": download_url,
        f"{EXTRA}DEVICE_ADMIN_SIGNATURE_CHECKSUM": signature_checksum,
        f"{EXTRA}LEAVE_ALL_SYSTEM_APPS_ENABLED": True,
        f"{EXTRA}LOCALE": "fr_FR",
        f"{EXTRA}TIME_ZONE": "Europe/Paris",
        f"{EXTRA}ADMIN_EXTRAS_BUNDLE": bundle,
    }
    return document | (wifi_extras(wifi) if wifi else {})


def encode(document: dict[str, object]) -> str:
    """The text inside the QR; raise Invalid when no QR can hold it."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    if len(text.encode()) > MAX_BYTES:
        raise Invalid(
            "platforms.qr_too_long",
            f"Trop de raccourcis pour un QR ({len(text.encode())} octets, {MAX_BYTES} au plus) : retirez-en.",
        )
    return text


def draw_qr(document: dict[str, object]) -> segno.QRCode:
    """The QR of that document: UTF-8, lowest correction, as dense as it must be and no denser."""
    return segno.make_qr(encode(document), error="l", encoding="utf-8", boost_error=False)

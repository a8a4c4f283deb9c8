"""A configuration profile for an iPad: web clips and DNS, as Apple's device-management schema words them. Pure."""

import plistlib
import uuid
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from agent.protocol import Shortcut
from fleet.errors import ConfigurationError
from fleet.platforms.icon import draw_icon

NAMESPACE = uuid.UUID("6f4f1f0e-5a54-5c0e-9d52-6c1c3d2f9b70")
"""Root of every PayloadUUID: the same payload of the same device keeps its UUID, so a newer profile replaces it."""
CONTENT_TYPE = "application/x-apple-aspen-config"


def payload(kind: str, identifier: str, name: str, **content: object) -> dict[str, object]:
    """One payload with the keys that all have. The identifier and the UUID decide: replace, or add."""
    return {
        "PayloadType": kind,
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": str(uuid.uuid5(NAMESPACE, identifier)).upper(),
        "PayloadDisplayName": name,
        **content,
    }


def web_clips(root: str, shortcuts: tuple[Shortcut, ...]) -> Iterator[dict[str, object]]:
    """One icon of the home screen for each shortcut; it may be installed by hand, and people may not remove it."""
    for shortcut in shortcuts:
        yield payload(
            "com.apple.webClip.managed",
            f"{root}.webclip.{shortcut.key}",
            shortcut.title,
            URL=shortcut.url,
            Label=shortcut.title,
            Icon=draw_icon(shortcut.key),
            IsRemovable=False,
            FullScreen=False,  # an ENT opens other sites: without the address bar there is no way back
            Precomposed=True,
        )


def dns_settings(root: str, doh_template: str) -> dict[str, object]:
    """DNS over HTTPS with the device's own address. Apple takes a plain URL and appends ``?dns=`` itself."""
    return payload(
        "com.apple.dnsSettings.managed",
        f"{root}.dns",
        "Navigation sûre",
        DNSSettings={"DNSProtocol": "HTTPS", "ServerURL": doh_template.partition("{")[0]},
    )


def profile(
    root: str, *, name: str, organization: str, description: str, consent: str, content: list[dict[str, object]]
) -> bytes:
    """The whole profile as an XML property list, not signed yet; equal input gives equal bytes.

    Restrictions are left out: all those we want work on supervised iPads only, and an installation by hand
    supervises nothing.
    """
    return plistlib.dumps(
        payload(
            "Configuration",
            root,
            name,
            PayloadOrganization=organization,
            PayloadDescription=description,
            PayloadRemovalDisallowed=False,  # only a supervised iPad obeys; saying otherwise would be untrue
            ConsentText={"default": consent, "fr": consent},
            PayloadContent=content,
        )
    )


def sign(document: bytes, chain_pem: bytes, key_pem: bytes) -> bytes:
    """CMS SignedData in DER around the document, with the chain (leaf first) inside; raise ConfigurationError."""
    try:
        leaf, *issuers = x509.load_pem_x509_certificates(chain_pem)
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"Le certificat ou la clé qui signe les profils est illisible : {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigurationError("La clé qui signe les profils doit être RSA ou à courbe elliptique.")
    builder = pkcs7.PKCS7SignatureBuilder().set_data(document).add_signer(leaf, key, hashes.SHA256())
    for issuer in issuers:
        builder = builder.add_certificate(issuer)
    return builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCapabilities])

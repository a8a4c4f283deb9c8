"""HTTPS from the first start: a local CA, the server's certificate, and one that signs .mobileconfig files."""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleet.files import write_private

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=397)
"""Apple devices refuse server certificates that live longer than 825 days; browsers tend to 398."""
RENEW_BEFORE = timedelta(days=30)
BACKDATED = timedelta(days=2)
"""A display whose clock is a day late still accepts a certificate made a minute ago."""

Key = ec.EllipticCurvePrivateKey
Decorate = Callable[[x509.CertificateBuilder], x509.CertificateBuilder]


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths (PEM) of everything in one folder; keys are mode 600."""

    ca_file: Path
    server_cert: Path
    server_key: Path
    profile_cert: Path
    """The leaf, then the CA: what goes into a signed .mobileconfig."""
    profile_key: Path
    fingerprint: str
    """SHA-256 of the CA's DER, ``AB:CD:…``: what a person compares."""


def ensure(folder: Path, names: Iterable[str], now: datetime) -> Certificates:
    """Keep what is still good, make what is missing, near its end, or made for other names.

    The CA is never renewed here: devices were given its fingerprint.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca_cert, ca_key = _ensure_ca(folder, now)
    named = {"localhost", "127.0.0.1", "::1", socket.gethostname(), *names}
    wanted = sorted(name for name in named if name and name.isascii())  # certificates hold no other
    server, profile = folder / "server.pem", folder / "profile.pem"
    server_key, profile_key = folder / "server.key", folder / "profile.key"
    if not _is_current(server, server_key, ca_cert, now, wanted):
        _issue_leaf(server, server_key, ca_cert, ca_key, now, _as_server(wanted))
    if not _is_current(profile, profile_key, ca_cert, now, []):
        _issue_leaf(profile, profile_key, ca_cert, ca_key, now, _as_profile_signer)
        write_private(profile, profile.read_bytes() + _pem(ca_cert), 0o644)
    fingerprint = ca_cert.fingerprint(hashes.SHA256()).hex(":").upper()
    return Certificates(folder / "ca.pem", server, server_key, profile, profile_key, fingerprint)


def _ensure_ca(folder: Path, now: datetime) -> tuple[x509.Certificate, Key]:
    cert_file, key_file = folder / "ca.pem", folder / "ca.key"
    if not cert_file.exists():  # written last: a kill half-way starts over
        key = ec.generate_private_key(ec.SECP256R1())
        # The random part keeps the CAs of two installations apart in a browser's list.
        name = _name(f"Préau, autorité locale de {socket.gethostname()} {os.urandom(4).hex()}")
        builder = _builder(name, name, key.public_key(), now, CA_LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        write_private(key_file, _key_pem(key))
        write_private(cert_file, _pem(builder.sign(key, hashes.SHA256())), 0o644)
    return x509.load_pem_x509_certificate(cert_file.read_bytes()), _load_key(key_file)


def _issue_leaf(
    cert_file: Path, key_file: Path, ca_cert: x509.Certificate, ca_key: Key, now: datetime, decorate: Decorate
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Préau, {cert_file.stem} {socket.gethostname()}")
    builder = _builder(name, ca_cert.subject, key.public_key(), now, LEAF_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
    )
    certificate = decorate(builder).sign(ca_key, hashes.SHA256())
    write_private(key_file, _key_pem(key))
    write_private(cert_file, _pem(certificate), 0o644)


def _as_server(names: list[str]) -> Decorate:
    def decorate(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        builder = builder.add_extension(x509.SubjectAlternativeName(_alternative_names(names)), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return builder.add_extension(_usage(digital_signature=True), critical=True)

    return decorate


def _as_profile_signer(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    # E-mail protection is the purpose that CMS verifiers ask of a signer.
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.add_extension(_usage(digital_signature=True), critical=True)


def _is_current(cert_file: Path, key_file: Path, ca_cert: x509.Certificate, now: datetime, names: list[str]) -> bool:
    """Whether a leaf and its key match, come from this CA, name what is wanted and live a while longer."""
    try:
        leaf = x509.load_pem_x509_certificate(cert_file.read_bytes())
        leaf.verify_directly_issued_by(ca_cert)
        if _load_key(key_file).public_key() != leaf.public_key():
            return False  # a kill came between writing the two files
        return leaf.not_valid_after_utc - now > RENEW_BEFORE and _names_of(leaf) == set(_alternative_names(names))
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False  # missing or unreadable: made anew


def _names_of(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _alternative_names(names: list[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), now - BACKDATED, now + life)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=key_cert_sign, crl_sign=crl_sign, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(path: Path) -> Key:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} holds no elliptic curve key")
    return key

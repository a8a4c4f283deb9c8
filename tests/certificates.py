"""A certificate authority of our own, and certificates that it signs, as PEM files."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, on disk."""

    certificate: Path
    key: Path
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA whose files lie in ``directory``."""

    directory: Path
    certificate: Path
    expires_at: datetime
    _key: ec.EllipticCurvePrivateKey
    _name: x509.Name

    @classmethod
    def make(cls, directory: Path, days: int = 3650) -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA des tests")])
        expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
        certificate = (
            _builder(name, name, key.public_key(), expires_at)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        path = directory / "ca.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(directory, path, expires_at, key, name)

    def issue(self, *names: str, days: int = 90, since: int = -1) -> Issued:
        """A server certificate for host names and addresses, good from day ``since`` to day ``days``; its files carry
        the first name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
        certificate = (
            _builder(subject, self._name, key.public_key(), expires_at, since)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        issued = Issued(self.directory / f"{names[0]}.pem", self.directory / f"{names[0]}.key", expires_at)
        issued.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return issued


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, expires_at: datetime, since: int = -1
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) + timedelta(days=since))
        .not_valid_after(expires_at)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)

"""What several tests of the controller need."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from fleet.accounts import service as accounts
from fleet.config import FleetConfig
from fleet.filtering import service as filtering
from fleet.filtering.policy.models import FilterProfile
from fleet.scope import Viewer
from fleet.worker import make_celery
from tests.factories import make_user
from tests.fleet.publishing import write_lists


class Signing(NamedTuple):
    """A certificate that signs profiles, its key, and the authority that vouches for it."""

    cert_file: Path
    key_file: Path
    ca_file: Path


def certificate(
    subject: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, is_ca: bool
) -> bytes:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if not is_ca:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(usage, critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="session")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    """A test authority and a signing certificate under it."""
    folder = tmp_path_factory.mktemp("signing")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = certificate("Autorité d’essai", ca_key, "Autorité d’essai", ca_key, is_ca=True)
    leaf = certificate("Préau, profils", key, "Autorité d’essai", ca_key, is_ca=False)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files = Signing(folder / "chain.pem", folder / "key.pem", folder / "ca.pem")
    for path, content in zip(files, (leaf + ca, pem, ca), strict=True):
        path.write_bytes(content)
    return files


@pytest.fixture
def staff(session: Session) -> Viewer:
    """A technician of the operator."""
    return accounts.get_viewer(session, make_user(session).id)


@pytest.fixture
def profile(session: Session) -> FilterProfile:
    """The profile of whoever has no other."""
    return filtering.ensure_default_profile(session)


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """The controller's own folder."""
    return write_lists(tmp_path)


@pytest.fixture
def with_lists(app: FastAPI, config: FleetConfig, lists: Path) -> FleetConfig:
    """The configuration of a worker that compiles them."""
    config = replace(config, ut1_dir=lists)
    make_celery(config)
    return config


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every SQL statement sent while the test runs; clear it before what is to be counted."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK")):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)

"""The local CA and what it signs, judged by openssl and by a real TLS handshake."""

import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleet.embedded.certificates import Certificates, ensure
from tests.requirements import needs

NOW = datetime.now(UTC)


def openssl(*arguments: str | Path, stdin: bytes = b"") -> str:
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True)
    return (done.stdout + done.stderr).decode()


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return ensure(tmp_path / "tls", ["ecole.example.test", "192.0.2.7"], NOW)


@needs("openssl")
@pytest.mark.parametrize("name", ["localhost", socket.gethostname(), "ecole.example.test"])
def test_openssl_accepts_the_server_under_each_name(made: Certificates, name: str) -> None:
    said = openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", name, "-CAfile",
                   made.ca_file, made.server_cert)  # fmt: skip
    assert said.strip().endswith("server.pem: OK")


@needs("openssl")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.0.2.7"])
def test_openssl_accepts_the_server_under_each_address(made: Certificates, address: str) -> None:
    said = openssl("verify", "-x509_strict", "-verify_ip", address, "-CAfile", made.ca_file, made.server_cert)
    assert said.strip().endswith("server.pem: OK")


@needs("openssl")
def test_openssl_refuses_another_name(made: Certificates) -> None:
    said = openssl("verify", "-verify_hostname", "autre.test", "-CAfile", made.ca_file, made.server_cert)
    assert "hostname mismatch" in said.lower()


@needs("openssl")
def test_openssl_accepts_what_the_profile_certificate_signs(made: Certificates, tmp_path: Path) -> None:
    signed = tmp_path / "signed.der"
    openssl("cms", "-sign", "-nodetach", "-binary", "-outform", "DER", "-signer", made.profile_cert, "-inkey",
            made.profile_key, "-out", signed, stdin=b"<plist/>")  # fmt: skip
    said = openssl("cms", "-verify", "-inform", "DER", "-in", signed, "-CAfile", made.ca_file)
    assert "<plist/>" in said
    assert "successful" in said


@needs("openssl")
def test_the_fingerprint_shown_is_the_one_openssl_shows(made: Certificates) -> None:
    assert made.fingerprint in openssl("x509", "-in", made.ca_file, "-noout", "-fingerprint", "-sha256")


def test_a_client_that_trusts_only_the_ca_gets_through(made: Certificates) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.server_cert, made.server_key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=lambda: server.wrap_socket(listener.accept()[0], server_side=True).close())
        answering.start()
        client = ssl.create_default_context(cafile=made.ca_file)
        with client.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname="127.0.0.1") as tls:
            assert tls.version() == "TLSv1.3"
        answering.join()


def test_keys_are_readable_by_their_owner_only(made: Certificates) -> None:
    folder = made.ca_file.parent
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.glob("*.key")} == {
        "ca.key": 0o600, "server.key": 0o600, "profile.key": 0o600,
    }  # fmt: skip
    assert folder.stat().st_mode & 0o777 == 0o700


def contents(made: Certificates) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in made.ca_file.parent.iterdir()}


def test_a_second_start_changes_nothing(made: Certificates) -> None:
    before = contents(made)
    again = ensure(made.ca_file.parent, ["192.0.2.7", "ecole.example.test"], NOW + timedelta(days=300))
    assert again == made
    assert contents(made) == before


def changed(before: dict[str, bytes], made: Certificates) -> set[str]:
    return {name for name, content in contents(made).items() if before[name] != content}


def test_leaves_near_their_end_are_renewed_and_the_ca_stays(made: Certificates) -> None:
    before = contents(made)
    ensure(made.ca_file.parent, ["ecole.example.test", "192.0.2.7"], NOW + timedelta(days=380))
    assert changed(before, made) == {"server.pem", "server.key", "profile.pem", "profile.key"}


def test_another_address_makes_another_server_certificate_only(made: Certificates) -> None:
    before = contents(made)
    ensure(made.ca_file.parent, ["198.51.100.9"], NOW)
    assert changed(before, made) == {"server.pem", "server.key"}


@pytest.mark.parametrize("damage", ["server.pem", "server.key"])
def test_a_damaged_or_mismatched_leaf_is_made_anew(made: Certificates, damage: str) -> None:
    folder = made.ca_file.parent
    before = contents(made)
    (folder / damage).write_bytes((folder / damage.replace("server", "profile")).read_bytes())
    ensure(folder, ["ecole.example.test", "192.0.2.7"], NOW)
    assert changed(before, made) == {"server.pem", "server.key"}

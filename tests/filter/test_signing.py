"""Keys are made, kept and trusted; anything else is no key. What they sign is in bundle/test_refusing.py."""

import hashlib
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from filter.bundle import BundleRefused, NamesFile, PolicyFile
from filter.signing import KeyInvalid, SigningKey, trust
from tests.filter.bundles import KEY
from tests.filter.conftest import policy_of


def filter_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "filter", *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


def test_the_vector_of_rfc_8032() -> None:
    """7.1, test 1: the empty message."""
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"
    )
    number, signed = KEY.sign(b"")

    assert (KEY.public_hex, signed.hex()) == (public, signature)
    assert number.to_bytes(8, "little") == hashlib.sha256(bytes.fromhex(public)).digest()[:8]


def test_a_key_is_kept_and_read_again() -> None:
    key = SigningKey.generate()
    again = SigningKey.from_pem(key.to_pem())

    assert again.public_hex == key.public_hex != SigningKey.generate().public_hex
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public_hex)).verify(again.sign(b"x")[1], b"x")


def rsa_pem() -> bytes:
    return generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", rsa_pem()])
def test_what_is_no_private_key_is_refused(pem: bytes) -> None:
    with pytest.raises(KeyInvalid):
        SigningKey.from_pem(pem)


@pytest.mark.parametrize("text", ["", "00", "xyz", KEY.public_hex[:-2], KEY.public_hex + "00"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(KeyInvalid):
        trust([text])


def test_keygen_and_compile_sign_what_serve_trusts(tmp_path: Path) -> None:
    private, out = tmp_path / "private.pem", tmp_path / "ecole.preau"
    (tmp_path / "jeux.txt").write_text("jeu.example\njeux.example\n")
    made = filter_command("keygen", "--out", private)
    public = made.stdout.strip()
    compiled = filter_command("compile", "--list", tmp_path / "jeux.txt", "--sign", private, "--out", out)

    assert (made.returncode, compiled.returncode) == (0, 0), made.stderr + compiled.stderr
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    names = NamesFile.open(out, trust([public]))
    policy = PolicyFile.open(policy_of(out), trust([public]))
    assert (names.names, policy.names_digest) == (2, names.digest)
    with pytest.raises(BundleRefused) as refusal:
        NamesFile.open(out, trust([KEY.public_hex]))
    assert refusal.value.reason == "foreign_signature"


def test_keygen_never_writes_over_a_key(tmp_path: Path) -> None:
    (tmp_path / "private.pem").write_text("précieux")
    made = filter_command("keygen", "--out", tmp_path / "private.pem")

    assert made.returncode == 1
    assert "existe déjà" in made.stderr
    assert (tmp_path / "private.pem").read_text() == "précieux"

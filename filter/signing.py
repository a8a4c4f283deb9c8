"""Signatures of the files in filter.bundle: Ed25519 (RFC 8032) over the header, which holds the digest of the rest."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from filter.layout.header import BundleRefused, Verify

PUBLIC_BYTES = 32


class KeyInvalid(ValueError):
    """The text or file is no Ed25519 key; the text says, in French, which."""


def key_id(public: bytes) -> int:
    """The number by which a header names its key: the first 8 bytes, lowest first, of SHA-256 of the public key."""
    return int.from_bytes(hashlib.sha256(public).digest()[:8], "little")


class SigningKey:
    """A private key. ``sign`` is what filter.layout.writer and filter.compiler take."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self.private = private
        self.public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def generate(cls) -> Self:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read what ``to_pem`` or ``openssl genpkey -algorithm ed25519`` wrote; raise KeyInvalid."""
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyInvalid("clé privée illisible (attendue : Ed25519, PEM, sans mot de passe)") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyInvalid("cette clé privée n’est pas une clé Ed25519")
        return cls(private)

    def to_pem(self) -> bytes:
        """PKCS 8, in the clear: whoever keeps it protects it."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public_hex(self) -> str:
        """What gateways are told to trust: 64 hexadecimal digits."""
        return self.public.hex()

    def sign(self, signed: bytes) -> tuple[int, bytes]:
        """(id of the key, signature) of a header's signed bytes."""
        return key_id(self.public), self.private.sign(signed)


def trust(public_hexes: Iterable[str]) -> Verify:
    """A check that lets only these keys' files pass; without any key, none does. Raise KeyInvalid."""
    known = read_public_keys(public_hexes)

    def verify(signed: bytes, number: int, signature: bytes) -> None:
        if not signature:
            raise BundleRefused("unsigned", "fichier sans signature")
        public = known.get(number)
        if public is None:
            raise BundleRefused("foreign_signature", f"signé par une clé inconnue ({number:016x})")
        try:
            public.verify(signature, signed)
        except InvalidSignature as error:
            raise BundleRefused("foreign_signature", "la signature ne correspond pas au fichier") from error

    return verify


def read_public_keys(public_hexes: Iterable[str]) -> Mapping[int, Ed25519PublicKey]:
    """Id -> key; raise KeyInvalid."""
    known = {}
    for text in public_hexes:
        try:
            public = bytes.fromhex(text)
            known[key_id(public)] = Ed25519PublicKey.from_public_bytes(public)
        except ValueError as error:
            raise KeyInvalid(f"« {text} » n’est pas une clé publique Ed25519 (64 chiffres hexadécimaux)") from error
    return known

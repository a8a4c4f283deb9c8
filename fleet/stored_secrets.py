"""Secrets in the database: digests of those that we hand out, sealed text of those that we must read again."""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fleet.errors import Conflict

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = b"\x01"


def digest(secret: str) -> str:
    """What is stored of a secret with 256 random bits: its SHA-256, hex. Not for passwords, which people choose."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    """256 random bits as URL-safe text."""
    return secrets.token_urlsafe(32)


def read_keys(text: str) -> tuple[bytes, ...]:
    """Keys as PREAU_SECRET_KEY writes them: base64 of 32 bytes each, comma-separated; raise ValueError otherwise."""
    try:
        keys = tuple(base64.b64decode(each.strip(), altchars=b"-_", validate=False) for each in text.split(","))
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if any(len(key) != KEY_BYTES for key in keys):
        raise ValueError(f"not {KEY_BYTES} bytes")
    return keys


@dataclass(frozen=True, slots=True)
class SecretBox:
    """Seals text with AES-256-GCM (NIST SP 800-38D) under keys that are not in the database.

    The first key seals, every key opens: a new one is put in front and the old one stays until nothing needs it.
    """

    keys: tuple[bytes, ...] = field(repr=False)

    def seal(self, text: str, about: str) -> str:
        """The sealed text. It opens for the same ``about`` only: it cannot be moved to another row."""
        if not self.keys:
            raise Conflict(
                "secret.no_key", "Il manque la clé PREAU_SECRET_KEY : demandez à l’exploitant de Préau de la donner."
            )
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = AESGCM(self.keys[0]).encrypt(nonce, text.encode(), about.encode())
        return base64.urlsafe_b64encode(VERSION + nonce + sealed).decode()

    def open(self, sealed: str, about: str) -> str:
        """The text; raise Conflict when no key opens it: the key was lost, or the row was altered."""
        raw = base64.urlsafe_b64decode(sealed)
        nonce, rest = raw[1 : 1 + NONCE_BYTES], raw[1 + NONCE_BYTES :]
        for key in self.keys:
            try:
                return AESGCM(key).decrypt(nonce, rest, about.encode()).decode()
            except InvalidTag:
                continue
        raise Conflict(
            "secret.unreadable",
            "Ce secret ne peut plus être lu : la clé PREAU_SECRET_KEY a changé. Prévenez l’exploitant de Préau.",
        )

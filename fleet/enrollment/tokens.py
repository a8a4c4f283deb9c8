"""The text of a token: a secret, and the pin of our own CA when there is one. Pure but for the random source."""

import base64
import hashlib
import secrets
import ssl
from dataclasses import dataclass

from fleet.errors import NotFound

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SECRET_LENGTH = 12
"""60 random bits: with guesses limited to 300 in 10 minutes, a hit takes 73 million years."""
PIN_LENGTH = 16
"""80 bits of the CA's SHA-256."""
LOOKALIKES = str.maketrans("OIL", "011")
TO_CROCKFORD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", CROCKFORD)


@dataclass(frozen=True, slots=True)
class ReadToken:
    """What a person typed or a camera read: the secret, and the pin or ""."""

    secret: str
    pin: str


def unknown_token() -> NotFound:
    """The error for a text that is no token, and for a token that no row knows: the same words."""
    return NotFound(
        "token.unknown", "Ce code n’existe pas. Recopiez le code en entier, tirets ou non, ou demandez-en un nouveau."
    )


def make_secret() -> str:
    """Twelve random Crockford characters."""
    return "".join(secrets.choice(CROCKFORD) for _ in range(SECRET_LENGTH))


def hash_secret(secret: str) -> str:
    """What is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def make_pin(ca_pem: str) -> str:
    """The first 80 bits of the SHA-256 of the certificate's DER, in Crockford base32."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(ca_pem)).digest()
    return base64.b32encode(digest[:10]).decode().translate(TO_CROCKFORD)


def write_token(secret: str, pin: str = "") -> str:
    """The text for people: groups of four joined by dashes."""
    text = secret + pin
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def read_token(text: str) -> ReadToken:
    """Read leniently: case, spaces, missing dashes, O for 0, I and L for 1; raise token.unknown for anything else."""
    letters = "".join(text.upper().split()).replace("-", "").translate(LOOKALIKES)
    if len(letters) not in {SECRET_LENGTH, SECRET_LENGTH + PIN_LENGTH} or not set(letters) <= set(CROCKFORD):
        raise unknown_token()
    return ReadToken(letters[:SECRET_LENGTH], letters[SECRET_LENGTH:])

"""Passwords: argon2id with the library's present defaults (RFC 9106, low-memory profile)."""

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from fleet.errors import Invalid

MIN_LENGTH = 12
MAX_LENGTH = 256

hasher = PasswordHasher()


@cache
def nobody() -> str:
    """Verified when the address is unknown, so that the time of an answer does not tell who has an account."""
    return hasher.hash(secrets.token_urlsafe())


def hash_password(password: str) -> str:
    """The PHC string to keep; raise Invalid for a password that is too short or absurdly long."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Invalid("account.password_length", f"Le mot de passe doit compter de {MIN_LENGTH} à {MAX_LENGTH} signes.")
    return hasher.hash(password)


def is_password(password: str, password_hash: str) -> bool:
    """Whether the password is the one behind the hash."""
    try:
        return len(password) <= MAX_LENGTH and hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False

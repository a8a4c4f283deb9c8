"""Passwords: argon2id with the library's present defaults (RFC 9106, low-memory profile), and which ones are taken."""

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from fleet.errors import Invalid
from fleet.text import fold

MIN_LENGTH = 12
MAX_LENGTH = 256
OWN_LENGTH = 8
"""Characters that must be left of a password without its owner's name and address."""
FEWEST_SIGNS = 5
RUNS = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "azertyuiopqsdfghjklmwxcvbn", "qwertyuiopasdfghjklzxcvbnm")
"""What fingers type when they think of nothing: figures, the alphabet, French and English keyboards."""

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


def check_choice(password: str, email: str, name: str) -> None:
    """Raise Invalid for a password that is the person's own name or address, or a run of keys.

    Length and these, no rule on kinds of signs (NIST SP 800-63B, 3.1.1): a sentence is a good password.
    """
    folded = "".join(fold(password).split())
    rest = folded
    for word in sorted({*fold(name, email).split(), *fold(email.partition("@")[0]).split()}, key=len, reverse=True):
        if len(word) > 2:
            rest = rest.replace(word, "")
    if len(folded) - len(rest) and len(rest) < OWN_LENGTH:
        raise Invalid("account.password_personal", "Choisissez un mot de passe sans votre nom ni votre adresse.")
    runs = (run * 4 for run in (*RUNS, *(run[::-1] for run in RUNS)))
    if len(set(folded)) < FEWEST_SIGNS or any(folded in run for run in runs):
        raise Invalid("account.password_simple", "Ce mot de passe se devine : prenez plutôt une phrase de quatre mots.")


def is_password(password: str, password_hash: str) -> bool:
    """Whether the password is the one behind the hash."""
    try:
        return len(password) <= MAX_LENGTH and hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False

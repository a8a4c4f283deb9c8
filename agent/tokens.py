"""Enrolment tokens as people type them: lenient Crockford base32, a secret and perhaps a pin of the controller's CA."""

import hashlib
import hmac
from dataclasses import dataclass, field

from agent.errors import TokenWrong

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SECRET_LENGTH = 12
PIN_LENGTH = 16
PIN_BYTES = 10
LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1"})
SEPARATORS = dict.fromkeys(map(ord, " -_.\u00a0\u2007\u202f\u2010\u2011\u2012\u2013\u2014\t\r\n"))


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says. Only ``secret`` travels, in a body, over verified TLS."""

    secret: str = field(repr=False)
    pin: str = ""
    """16 characters: the first 80 bits of the SHA-256 of the CA's DER; empty when a public CA is meant."""

    def pins(self, der: bytes) -> bool:
        """Whether this is the certificate that the token announces (in constant time)."""
        return hmac.compare_digest(self.pin, pin_of(der))


def read_token(text: str) -> Token:
    """Read ``7K3M-Q9XT-2BRC[-0A1B-2C3D-4E5F-6G7H]``, or the address in its QR code (``…/enroll#7K3M…``).

    Case, spaces and dashes do not matter; O reads 0, I and L read 1. Raises TokenWrong, whose message never repeats
    what was typed.
    """
    typed = text.rpartition("#")[2].upper().translate(SEPARATORS).translate(LOOKALIKES)
    if not set(typed) <= set(ALPHABET):
        raise TokenWrong("Ce code contient un caractère qui n’existe dans aucun code : recopiez-le, ou scannez-le.")
    if len(typed) not in {SECRET_LENGTH, SECRET_LENGTH + PIN_LENGTH}:
        raise TokenWrong("Ce code est incomplet ou trop long. Recopiez le code en entier, tirets ou non.")
    return Token(secret=typed[:SECRET_LENGTH], pin=typed[SECRET_LENGTH:])


def pin_of(der: bytes) -> str:
    """The 16 characters that stand for this CA certificate."""
    number = int.from_bytes(hashlib.sha256(der).digest()[:PIN_BYTES], "big")
    return "".join(ALPHABET[number >> shift & 31] for shift in range(PIN_BYTES * 8 - 5, -1, -5))

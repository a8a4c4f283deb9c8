"""Checkpoints: what the chain's head was at a moment, signed and kept elsewhere, so that not even whoever owns the
database can rewrite what came before.

The key (Ed25519, RFC 8032) is a file beside the controller's settings, never a row: whoever rewrites the database must
not be able to sign what it says.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, text

from filter.signing import KeyInvalid, SigningKey
from fleet.audit.chain import HEAD, Report, moment_text
from fleet.errors import Conflict, Invalid
from fleet.files import write_private

VERSION = "preau-audit-checkpoint-1"
HASH_AT = text("SELECT hash FROM audit_links WHERE number = :number")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the chain at a moment. ``hash`` and ``key`` are hexadecimal, ``signature`` too; "" when unsigned."""

    number: int
    hash: str
    at: str
    entries: int
    key: str = ""
    signature: str = ""
    version: str = VERSION

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return "\n".join((self.version, str(self.number), self.hash, self.at, str(self.entries), "")).encode()

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read what to_json wrote; raise Invalid."""
        try:
            found = cls(**json.loads(line))
            bytes.fromhex(found.hash), bytes.fromhex(found.key), bytes.fromhex(found.signature)
            if found.version != VERSION or not isinstance(found.number, int):
                raise ValueError(found.version)
        except (ValueError, TypeError) as error:
            raise Invalid("audit.bad_checkpoint", "Ce fichier n’est pas un point de contrôle de Préau.") from error
        return found


def take(connection: Connection, now: datetime, key: SigningKey | None) -> Checkpoint:
    """The head as it is now, signed when there is a key."""
    number, hash_, start, _ = connection.execute(HEAD).one()
    bare = Checkpoint(number, hash_.hex(), moment_text(now), number - start)
    if key is None:
        return bare
    signature = key.private.sign(bare.signed).hex()
    return Checkpoint(bare.number, bare.hash, bare.at, bare.entries, key.public_hex, signature)


def check(connection: Connection, report: Report, checkpoint: Checkpoint, public_hex: str | None) -> None:
    """Add to a report what the chain has no longer of a checkpoint, which ``public_hex`` (if any) must have signed."""
    if public_hex is not None and not is_signed_by(checkpoint, public_hex):
        report.add(
            "checkpoint",
            checkpoint.number,
            f"le point de contrôle n° {checkpoint.number} n’est pas signé par votre clé",
        )
        return
    _number, _hash, start, start_hash = connection.execute(HEAD).one()
    if checkpoint.number < start:
        return  # older than what a purge has left, which the chain itself says
    kept = start_hash if checkpoint.number == start else connection.scalar(HASH_AT, {"number": checkpoint.number})
    if kept is None:
        detail = f"le point de contrôle du {checkpoint.at} connaît l’entrée n° {checkpoint.number}, qui a disparu"
        report.add("checkpoint", checkpoint.number, detail)
    elif kept.hex() != checkpoint.hash:
        detail = (
            f"tout ou partie de ce qui précède l’entrée n° {checkpoint.number} a été réécrit depuis le {checkpoint.at}"
        )
        report.add("checkpoint", checkpoint.number, detail)


def is_signed_by(checkpoint: Checkpoint, public_hex: str) -> bool:
    """Whether this key signed it; raise Invalid for what is no key."""
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_hex))
    except ValueError as error:
        raise Invalid("audit.bad_key", "La clé publique compte 64 chiffres hexadécimaux.") from error
    try:
        public.verify(bytes.fromhex(checkpoint.signature), checkpoint.signed)
    except InvalidSignature:
        return False
    return True


def make_key(path: Path) -> SigningKey:
    """Write a new key (mode 600); raise Conflict when there is a file already."""
    if path.exists():
        raise Conflict("audit.key_exists", f"{path} existe déjà : une clé ne se remplace pas sans qu’on le sache.")
    key = SigningKey.generate()
    write_private(path, key.to_pem().decode())
    return key


def read_key(path: Path | None) -> SigningKey | None:
    """The key of a file, None without one; raise Invalid for a file that holds none."""
    if path is None:
        return None
    try:
        return SigningKey.from_pem(path.read_bytes())
    except (KeyInvalid, OSError) as error:
        raise Invalid("audit.bad_key", f"PREAU_AUDIT_KEY_FILE : {error}.") from error

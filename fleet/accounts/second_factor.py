"""The second factor: six digits that a telephone makes (TOTP, RFC 6238), and recovery codes for when it is lost.

Secrets and codes are read and written at the gate only: people's own doors are told whether there are some.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import pyotp
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from fleet.accounts.models import RecoveryCode, SecondFactor, User
from fleet.actors import note
from fleet.doors import Door, for_a_while
from fleet.errors import Conflict, Invalid
from fleet.stored_secrets import SecretBox, digest

ISSUER = "Préau"
WINDOW = 1
"""Steps of 30 s before and after this one: clocks differ, and typing takes time (RFC 6238, 5.2)."""
RECOVERY_CODES = 10
RECOVERY_LENGTH = 16
"""Characters of Crockford base32: 80 bits, so that a digest keeps them."""
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LOOKALIKES = str.maketrans("OIL", "011")
WRONG_CODE = "Ce code n’est pas le bon. Attendez le suivant et recopiez-le, ou prenez un code de secours."


class Code(StrEnum):
    """What was typed as a second factor."""

    PHONE = "phone"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a telephone needs: the secret to type, or the address that a QR holds."""

    secret: str
    uri: str


def is_on(session: Session, user_id: UUID) -> bool:
    """Whether this account asks for a second factor."""
    row = session.get(SecondFactor, user_id)
    return row is not None and row.confirmed_at is not None


def start(session: Session, user: User, box: SecretBox, now: datetime) -> Enrolment:
    """A new secret, off until a first code is right; raise Conflict when one is on already."""
    if is_on(session, user.id):
        raise Conflict("second_factor.is_on", "Le second facteur est déjà actif : désactivez-le d’abord.")
    secret = pyotp.random_base32()
    sealed = box.seal(secret, about(user.id))
    row = SecondFactor(user_id=user.id, sealed_secret=sealed, started_at=now, confirmed_at=None, last_step=0)
    with for_a_while(session, Door.GATE):
        session.merge(row)
    return as_enrolment(secret, user)


def find_started(session: Session, user: User, box: SecretBox) -> Enrolment | None:
    """The secret that awaits its first code, or None."""
    row = session.get(SecondFactor, user.id)
    if row is None or row.confirmed_at is not None:
        return None
    with for_a_while(session, Door.GATE):
        sealed = row.sealed_secret
    return as_enrolment(box.open(sealed, about(user.id)), user)


def as_enrolment(secret: str, user: User) -> Enrolment:
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=ISSUER))


def about(user_id: UUID) -> str:
    return f"second_factor:{user_id}"


def switch_on(session: Session, user_id: UUID, code: str, box: SecretBox, now: datetime) -> list[str]:
    """Turn it on with a first right code; the recovery codes, seen this once. Raise Invalid for a wrong code."""
    with for_a_while(session, Door.GATE):
        row = session.get(SecondFactor, user_id, with_for_update=True)
        if row is None or row.confirmed_at is not None:
            raise Conflict("second_factor.not_started", "Recommencez : aucun second facteur n’attend de code.")
        if not _take_code(row, code, box, now):
            raise Invalid("second_factor.wrong_code", "Ce code n’est pas le bon : vérifiez l’heure du téléphone.")
        row.confirmed_at = now
        return _new_recovery_codes(session, user_id)


def use_code(session: Session, user_id: UUID, code: str, box: SecretBox, now: datetime) -> Code | None:
    """What kind of code this is, if it is right now. It is used up: the same one is wrong from now on.

    At the gate. The row is locked until the transaction ends, so that of two requests with one code only one passes.
    """
    row = session.get(SecondFactor, user_id, with_for_update=True, populate_existing=True)
    if row is None or row.confirmed_at is None:
        return None
    if _take_code(row, code, box, now):
        return Code.PHONE
    return Code.RECOVERY if _take_recovery_code(session, user_id, code, now) else None


def _take_code(row: SecondFactor, typed: str, box: SecretBox, now: datetime) -> bool:
    code = "".join(typed.split())
    if len(code) != 6 or not code.isascii() or not code.isdigit():
        return False
    totp = pyotp.TOTP(box.open(row.sealed_secret, about(row.user_id)))
    step = totp.timecode(now)
    for near in range(step - WINDOW, step + WINDOW + 1):
        if near > row.last_step and hmac.compare_digest(totp.generate_otp(near), code):
            row.last_step = near
            return True
    return False


def _take_recovery_code(session: Session, user_id: UUID, typed: str, now: datetime) -> bool:
    code = "".join(typed.upper().split()).replace("-", "").translate(LOOKALIKES)
    if len(code) != RECOVERY_LENGTH or not set(code) <= set(CROCKFORD):
        return False
    unused = select(RecoveryCode).where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    row = session.scalar(unused.where(RecoveryCode.code_hash == digest(code)).with_for_update())
    if row is None:
        return False
    row.used_at = now
    return True


def renew_recovery_codes(session: Session, user_id: UUID) -> list[str]:
    """New recovery codes in the place of the old ones, as people write them; only their digests are kept."""
    note(session, "renew_recovery_codes", "users", user_id, "")
    with for_a_while(session, Door.GATE):
        return _new_recovery_codes(session, user_id)


def _new_recovery_codes(session: Session, user_id: UUID) -> list[str]:
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = ["".join(secrets.choice(CROCKFORD) for _ in range(RECOVERY_LENGTH)) for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(user_id=user_id, code_hash=digest(code)) for code in codes)
    return ["-".join(code[i : i + 4] for i in range(0, RECOVERY_LENGTH, 4)) for code in codes]


def count_recovery_codes(session: Session, user_id: UUID) -> int:
    """How many are left."""
    unused = select(func.count()).where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
    return session.scalar(unused) or 0


def switch_off(session: Session, user_id: UUID) -> None:
    """No second factor any more; none before is no error."""
    with for_a_while(session, Door.GATE):
        session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
        if (row := session.get(SecondFactor, user_id)) is not None:
            session.delete(row)

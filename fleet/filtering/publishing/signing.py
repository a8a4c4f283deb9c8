"""The controller's signing key: made once, in the database, so that every worker signs with the same."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from filter import signing
from fleet.filtering.models import SigningKey

KEY_LOCK = 0x5052464B  # "PRFK"


def signing_key(session: Session) -> signing.SigningKey:
    """The key of this installation, made when there is none. Of two that ask first, one waits for the other."""
    newest = select(SigningKey).order_by(SigningKey.made_at.desc()).limit(1)
    row = session.scalar(newest)
    if row is None:
        session.execute(select(func.pg_advisory_xact_lock(KEY_LOCK)))
        row = session.scalar(newest)
    if row is None:
        made = signing.SigningKey.generate()
        session.add(SigningKey(public_hex=made.public_hex, private_pem=made.to_pem()))
        session.flush()
        return made
    return signing.SigningKey.from_pem(row.private_pem)


def public_keys(session: Session) -> list[str]:
    """What filters are told to trust: 64 hexadecimal digits each."""
    signing_key(session)
    return list(session.scalars(select(SigningKey.public_hex).order_by(SigningKey.made_at)))


def credential_text(credential: str, keys: list[str]) -> str:
    """What a filter's credential file holds: ``<id>.<secret>``, then one ``ed25519 <hex>`` line a key."""
    return "".join(f"{line}\n" for line in (credential, *(f"ed25519 {key}" for key in keys)))

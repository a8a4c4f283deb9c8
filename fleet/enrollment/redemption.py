"""Whether a token may be used now, by this machine, and whether this very attempt was answered before."""

import hashlib
import re
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from fleet import metrics
from fleet.actors import ActorKind, become
from fleet.devices import credentials, events
from fleet.devices.models import Device, DeviceStatus, Platform
from fleet.enrollment import guesses
from fleet.enrollment.models import Enrollment, EnrollmentToken
from fleet.enrollment.tokens import hash_secret, read_token, unknown_token
from fleet.errors import Conflict, FleetError, Invalid, NotFound

REPEAT_WINDOW = timedelta(hours=24)
"""How long after an enrolment the same attempt is answered again, even when its token is over by then."""
MAX_REPEATS = 20
ATTEMPT = re.compile(r"[0-9a-f]{32}")
WITH_AGENT = frozenset({Platform.LINUX, Platform.WINDOWS, Platform.ANDROID})
"""Platforms where a program of ours (or an Android device owner) enrolls by itself."""


class TokenRefused(FleetError):
    """The token exists and may not be used (any more): 410."""

    status = 410


def redeemable(session: Session, text: str, address: str, now: datetime) -> EnrollmentToken:
    """The token behind a text, its row locked until the end: uses are counted one after the other."""
    guesses.refuse_when_guessing(session, address, now)
    try:
        secret = read_token(text).secret
        token = session.scalar(
            select(EnrollmentToken)
            .where(EnrollmentToken.secret_hash == hash_secret(secret))
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if token is None:
            raise unknown_token()
    except NotFound as error:
        metrics.enrollments.labels("unknown").inc()
        raise guesses.note_guess(session, error, address, now) from error
    become(ActorKind.TOKEN, token.id, token.hint)
    if token.revoked_at is not None:
        raise _over("token.revoked", "Ce code a été annulé. Demandez-en un nouveau au technicien.")
    return token


def _over(code: str, detail: str) -> TokenRefused:
    metrics.enrollments.labels(code.removeprefix("token.")).inc()
    return TokenRefused(code, detail)


def must_be_usable(token: EnrollmentToken, now: datetime) -> None:
    """Raise TokenRefused for a token that has expired or served as often as it may."""
    if token.expires_at <= now:
        raise _over("token.expired", "Ce code a expiré. Demandez-en un nouveau au technicien.")
    if token.uses >= token.max_uses:
        raise _over("token.used_up", f"Ce code a déjà servi {token.max_uses} fois. Demandez-en un nouveau.")


def wrong_kind(detail: str) -> Invalid:
    """The error for a token that is meant for something else."""
    metrics.enrollments.labels("wrong_kind").inc()
    return Invalid("token.wrong_kind", detail)


def check_fit(token: EnrollmentToken, kind: str | None, platform: str) -> None:
    """Raise Invalid when a machine that enrolls by itself is not what the token is for."""
    if token.platform not in WITH_AGENT:
        raise wrong_kind("Ce code prépare un iPad : ouvrez sur la tablette la page d’enrôlement indiquée avec le code.")
    if platform != token.platform.value:
        raise wrong_kind(f"Ce code est pour la plateforme {token.platform.value}, cet appareil est {platform}.")
    if kind is not None and kind != token.kind.value:
        raise wrong_kind(f"Ce code est pour un appareil {token.kind.value}, celui-ci se dit {kind}.")


def hash_attempt(token: EnrollmentToken, attempt: str) -> str:
    """What is stored of an attempt. It speaks for one token only: another token must be redeemed anew."""
    return hashlib.sha256(f"{token.id}:{attempt}".encode()).hexdigest()


def find_repeated(session: Session, token: EnrollmentToken, attempt_hash: str, now: datetime) -> Enrollment | None:
    """The enrolment that this very attempt already made, device loaded; None for a first attempt.

    Raise TokenRefused for a token that is over, unless the attempt was first answered in the last REPEAT_WINDOW.
    """
    query = select(Enrollment).join(Device, Enrollment.device_id == Device.id)
    query = query.where(Enrollment.attempt_hash == attempt_hash).options(contains_eager(Enrollment.device))
    known = session.scalar(query)
    if known is None or known.at <= now - REPEAT_WINDOW:
        must_be_usable(token, now)
    return known


def repeat(session: Session, enrollment: Enrollment, now: datetime) -> Device:
    """The device of an attempt that is made again; raise Conflict when it was retired meanwhile, or for a loop."""
    device = enrollment.device
    if device.status is DeviceStatus.RETIRED:
        raise Conflict("enrollment.retired", "Cet appareil est réformé : un technicien doit le remettre en stock.")
    if credentials.count_unconfirmed(session, device) >= MAX_REPEATS:
        raise Conflict(
            "enrollment.too_many_repeats", "Cet enrôlement a été répété trop de fois : prenez un autre code."
        )
    events.note_seldom(session, device, "enrolled_again", "la même demande est revenue : réponse perdue ?", now)
    return device

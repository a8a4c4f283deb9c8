"""How a device gets in: tokens, and what redeeming one makes of a machine we may know already."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, Text, cast, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, contains_eager
from sqlalchemy.orm.attributes import set_committed_value

from agent.protocol import EnrollmentReply, EnrollmentRequest, Facts
from fleet import metrics
from fleet.config import FleetConfig
from fleet.devices import credentials, events
from fleet.devices import service as devices
from fleet.devices.facts import record_facts
from fleet.devices.identity import Known, clean
from fleet.devices.messages import refusal
from fleet.devices.models import TRACKED_KINDS, Device, DeviceKind, DeviceStatus, Platform
from fleet.enrollment import redemption
from fleet.enrollment.models import Enrollment, EnrollmentToken
from fleet.enrollment.recognition import recognise
from fleet.enrollment.tokens import LOOKALIKES, SECRET_LENGTH, hash_secret, make_pin, make_secret, write_token
from fleet.errors import Conflict, Invalid, NotFound
from fleet.paging import Listing, Page, paginate
from fleet.platforms import android, apple
from fleet.platforms import service as platforms
from fleet.schools.models import School
from fleet.scope import Action, Viewer, visible_to

DEFAULT_EXPIRY = timedelta(minutes=60)
MAX_EXPIRY = timedelta(days=30)
MAX_USES = 200
MAX_KEY = 64
MIN_SIGNS = 4


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token and its text, which nobody can see again."""

    token: EnrollmentToken
    text: str = field(repr=False)
    url: str = field(repr=False)


def issue_token(
    session: Session,
    viewer: Viewer,
    *,
    school: School,
    kind: DeviceKind,
    platform: Platform | None = None,
    max_uses: int = 1,
    expires_in: timedelta = DEFAULT_EXPIRY,
    now: datetime,
    config: FleetConfig,
    request_key: str | None = None,
) -> IssuedToken:
    """Give the right to enroll ``max_uses`` devices of one kind in one school. ``platform`` None: the kind's usual one.

    Raise NotAllowed, Invalid for a kind that runs no software, a platform it does not come with, or a limit, or
    Conflict (token.already_issued) when this person's ``request_key`` issued a token before: its text is gone.
    """
    viewer.must(Action.ISSUE_TOKEN, school.collectivity_id, school.id)
    platform = platform or devices.PLATFORMS[kind][0]
    _check_terms(kind, platform, max_uses, expires_in)
    secret = make_secret()
    terms = {"school_id": school.id, "kind": kind, "platform": platform, "max_uses": max_uses, "uses": 0}
    row = insert(EnrollmentToken).values(
        secret_hash=hash_secret(secret),
        hint=secret[:4],
        issued_at=now,
        issued_by=viewer.name,
        expires_at=now + expires_in,
        request_key=_own_key(viewer, request_key),
        **terms,
    )
    # On conflict, nothing: of two requests at once, the second waits for the first and is then told so.
    token = session.scalar(row.on_conflict_do_nothing(index_elements=["request_key"]).returning(EnrollmentToken))
    if token is None:
        raise Conflict(
            "token.already_issued",
            "Ce code a déjà été créé et n’a été montré qu’une fois. S’il est perdu, créez-en un autre.",
        )
    set_committed_value(token, "school", school)
    pin = make_pin(config.ca_file.read_text(encoding="ascii")) if config.ca_file else ""
    text = write_token(secret, pin)
    return IssuedToken(token, text, f"{config.public_url}/enroll#{text}")


def _own_key(viewer: Viewer, request_key: str | None) -> str | None:
    """What is stored of a form's key: hashed with its person, so that nobody meets another's. Raise Invalid."""
    if not request_key:
        return None
    if len(request_key) > MAX_KEY or not (request_key.isascii() and request_key.isprintable()):
        raise Invalid("token.bad_key", "Ce formulaire est abîmé. Rechargez la page.")
    return hashlib.sha256(f"{viewer.user_id}:{request_key}".encode()).hexdigest()


def token_state(token: EnrollmentToken, now: datetime) -> str:
    """In a French word or two: whether a token still lets anybody in."""
    if token.revoked_at is not None:
        return "annulé"
    if token.uses >= token.max_uses:
        return "épuisé"
    return "expiré" if token.expires_at <= now else "valable"


def agent_command(issued: IssuedToken, config: FleetConfig) -> str:
    """What to type on a Linux machine to enroll it."""
    return f"sudo preau-agent enroll --controller {config.public_url} --token {issued.text}"


def _check_terms(kind: DeviceKind, platform: Platform, max_uses: int, expires_in: timedelta) -> None:
    if kind in TRACKED_KINDS:
        raise Invalid("token.tracked_kind", "Un kit ou un accessoire ne s’enrôle pas : inscrivez-le à l’inventaire.")
    devices.check_platform(kind, platform)
    if not 1 <= max_uses <= MAX_USES:
        raise Invalid("token.bad_uses", f"Un code sert de 1 à {MAX_USES} fois.")
    if not timedelta(minutes=1) <= expires_in <= MAX_EXPIRY:
        raise Invalid("token.bad_expiry", f"Un code vaut d’une minute à {MAX_EXPIRY.days} jours.")


def visible_tokens(viewer: Viewer) -> Select[EnrollmentToken]:
    """Tokens of the schools that the viewer sees, school loaded."""
    query = select(EnrollmentToken).join(School, EnrollmentToken.school_id == School.id)
    query = query.options(contains_eager(EnrollmentToken.school).joinedload(School.commune))
    return visible_to(viewer, query, collectivity=School.collectivity_id, school=EnrollmentToken.school_id)


def list_tokens(
    session: Session,
    viewer: Viewer,
    *,
    school_id: UUID | None = None,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[EnrollmentToken]:
    """One page of tokens, newest first, school loaded."""
    query = visible_tokens(viewer)
    if school_id is not None:
        query = query.where(EnrollmentToken.school_id == school_id)
    sortable = {
        "id": EnrollmentToken.id,
        "issued": EnrollmentToken.issued_at,
        "expires": EnrollmentToken.expires_at,
        "school": School.search_text,
    }
    return paginate(session, query, page, sortable, "-issued")


def get_token(session: Session, viewer: Viewer, token_id: UUID) -> EnrollmentToken:
    """The token, school loaded; raise NotFound when there is none or it may not be seen."""
    token = session.scalar(visible_tokens(viewer).where(EnrollmentToken.id == token_id))
    if token is None:
        raise NotFound("token.not_found", "Ce code d’enrôlement n’existe pas ou ne vous est pas ouvert.")
    return token


def find_tokens(session: Session, viewer: Viewer, typed: str) -> Sequence[EnrollmentToken]:
    """Tokens that a person may mean, newest first, school loaded: by the first four signs of the code or all of it,
    or by the first signs of the id (four at least: what is done to a token found by chance is not undone).
    """
    signs = "".join(c for c in typed.lower() if c.isalnum())
    if len(signs) < MIN_SIGNS or not signs.isascii():
        return []
    code = signs.upper().translate(LOOKALIKES)
    query = visible_tokens(viewer).where(
        or_(
            func.replace(cast(EnrollmentToken.id, Text), "-", "").like(f"{signs}%"),
            EnrollmentToken.hint == code,
            EnrollmentToken.secret_hash == hash_secret(code[:SECRET_LENGTH]),
        )
    )
    return session.scalars(query.order_by(EnrollmentToken.issued_at.desc(), EnrollmentToken.id)).all()


def revoke_token(session: Session, viewer: Viewer, token_id: UUID, now: datetime) -> EnrollmentToken:
    """Take a token back; devices that it let in stay. Twice is harmless."""
    token = get_token(session, viewer, token_id)
    viewer.must(Action.ISSUE_TOKEN, token.school.collectivity_id, token.school_id)
    token.revoked_at = token.revoked_at or now
    return token


def enroll_device(
    session: Session, request: EnrollmentRequest, address: str, now: datetime, config: FleetConfig
) -> EnrollmentReply:
    """Redeem a token for a machine that speaks for itself, and give it a credential.

    The same attempt again gives the same device a new credential and counts no second use. Raise NotFound, TooMany,
    TokenRefused, Invalid (wrong kind) or Conflict (enrollment.*: a person must decide).
    """
    if not redemption.ATTEMPT.fullmatch(request.attempt):
        raise refusal("le champ « attempt » doit compter 32 signes de 0 à 9 et de a à f")
    token = redemption.redeemable(session, request.token, address, now)
    redemption.check_fit(token, request.kind, request.platform)
    attempt = redemption.hash_attempt(token, request.attempt)
    if (known := redemption.find_repeated(session, token, attempt, now)) is not None:
        return _reply(session, redemption.repeat(session, known, now), config, now, adopted=known.adopted)
    seen = clean(request.identity)
    adopted = recognise(session, seen, token, devices.silent_after(config), now)
    device = adopted or _create(session, token)
    _settle(session, device, seen, request.facts, now)
    device.agent_version = request.agent_version or device.agent_version
    _record_use(session, token, device, attempt, address, now, adopted=adopted is not None)
    return _reply(session, device, config, now, adopted=adopted is not None)


def issue_profile(
    session: Session,
    viewer: Viewer,
    device: Device,
    now: datetime,
    config: FleetConfig,
    *,
    wifi: android.Wifi | None = None,
) -> tuple[Device, bytes]:
    """Hand a technician the profile of a known tablet (school loaded): a signed .mobileconfig, or the text of an
    Android QR (with the Wi-Fi to join, if any). The device is staged and says "profile issued": nothing tells
    whether it was installed. Raise NotAllowed, or Conflict when there is nothing to issue (platforms.*).
    """
    devices.must_manage(viewer, device)
    if device.status in {DeviceStatus.LOST, DeviceStatus.RETIRED}:
        raise Conflict("device.out_of_service", f"{device.asset_tag} est perdu ou réformé : remettez-le en stock.")
    content = _profile_of(session, device, config, wifi)
    _stage_with_profile(session, device, now, viewer.name)
    return device, content


def issue_profile_for_token(
    session: Session, token_text: str, attempt: str, address: str, now: datetime, config: FleetConfig
) -> tuple[Device, bytes]:
    """Redeem a token for an iPad that downloads its profile itself; the bytes are a signed .mobileconfig.

    ``attempt`` (32 hex characters) is made by the page once: downloading again gives the same device's profile and
    counts no second use. Raises as enroll_device does.
    """
    if not redemption.ATTEMPT.fullmatch(attempt):
        raise Invalid("token.bad_attempt", "La page est incomplète : rechargez-la.")
    token = redemption.redeemable(session, token_text, address, now)
    if token.platform is not Platform.IPADOS:
        raise redemption.wrong_kind("Ce code n’est pas pour un iPad.")
    hashed = redemption.hash_attempt(token, attempt)
    if (known := redemption.find_repeated(session, token, hashed, now)) is not None:
        device = redemption.repeat(session, known, now)
        return device, _profile_of(session, device, config)
    device = _create(session, token)
    content = _profile_of(session, device, config)
    _stage_with_profile(session, device, now, None)
    _record_use(session, token, device, hashed, address, now, adopted=False)
    return device, content


PROFILE_TYPES = {Platform.IPADOS: apple.CONTENT_TYPE, Platform.ANDROID: "application/json"}
"""Content type of what issue_profile returns."""


def _profile_of(session: Session, device: Device, config: FleetConfig, wifi: android.Wifi | None = None) -> bytes:
    if device.platform is Platform.ANDROID:
        return android.encode(platforms.android_payload(session, device, config, wifi=wifi)).encode()
    return platforms.mobileconfig(session, device, config)


def _stage_with_profile(session: Session, device: Device, now: datetime, by: str | None) -> None:
    if device.status is DeviceStatus.IN_STOCK:
        devices.move_to(session, device, DeviceStatus.STAGED, now, by)
    device.profile_issued_at = now
    events.note(session, device, "profile_issued", "", now, by)
    session.flush()


def _create(session: Session, token: EnrollmentToken) -> Device:
    school = session.get_one(School, token.school_id)
    return devices.create_device(
        session, kind=token.kind, platform=token.platform, school=school, status=DeviceStatus.STAGED
    )


def _settle(session: Session, device: Device, seen: Known, facts: Facts, now: datetime) -> None:
    device.serial = seen.serial or device.serial
    device.smbios_uuid = seen.smbios_uuid or device.smbios_uuid
    device.macs = sorted(seen.macs) or device.macs
    device.enrolled_at = now
    record_facts(device, facts, "")
    if facts.hostname and device.name == device.asset_tag:
        device.name = facts.hostname
    devices.index_search(device)


def _record_use(
    session: Session,
    token: EnrollmentToken,
    device: Device,
    attempt_hash: str,
    address: str,
    now: datetime,
    *,
    adopted: bool,
) -> None:
    token.uses += 1
    session.add(
        Enrollment(
            token_id=token.id, attempt_hash=attempt_hash, device_id=device.id, address=address, adopted=adopted, at=now
        )
    )
    if not adopted:
        events.note(session, device, "enrolled", f"code {token.hint}…, donné par {token.issued_by or 'système'}", now)
    metrics.enrollments.labels("adopted" if adopted else "enrolled").inc()
    session.flush()


def _reply(session: Session, device: Device, config: FleetConfig, now: datetime, *, adopted: bool) -> EnrollmentReply:
    school = session.get_one(School, device.school_id)
    return EnrollmentReply(
        device_id=str(device.id),
        credential=credentials.issue(session, device, now),
        asset_tag=device.asset_tag,
        school=school.name,
        adopted=adopted,
        check_in_seconds=config.check_in_seconds,
    )

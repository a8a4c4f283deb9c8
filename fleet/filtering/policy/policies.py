"""Policy files: built from what was decided and signed in the transaction of the change itself, so that it counts at
once. They are small; filters that wait for one have it a moment after the commit.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session, undefer

from filter.compiler import compile_policy
from filter.settings import PolicySettings, SettingsInvalid
from fleet.doors import Door, for_a_while
from fleet.errors import Invalid, NotFound
from fleet.filtering import waiting
from fleet.filtering.policy import events, profiles, snapshots
from fleet.filtering.policy.models import FilterPolicy
from fleet.filtering.policy.places import Place, get_room
from fleet.filtering.publishing import publications, signing
from fleet.paging import Listing, Page, paginate
from fleet.scope import Action, Viewer

KEPT = 50
"""How many decisions one may return to: each is the first policy that was built from it."""
KEPT_FILES = 20
"""How many policies are kept besides, whatever they were for. Lessons and overrides, which end by themselves, make most
of them: those push no decision out.
"""
POLICY_LOCK = 0x5052504F  # "PRPO": PostgreSQL advisory lock, held until the commit
SORTABLE = {"id": FilterPolicy.id, "serial": FilterPolicy.serial, "made_at": FilterPolicy.made_at}
NEXT_SERIAL = func.nextval(func.pg_get_serial_sequence(FilterPolicy.__tablename__, "serial"))


@dataclass(frozen=True, slots=True)
class Written:
    """A policy file that was written, and the digest of its content and of the names beside it."""

    content: bytes
    digest: str
    names_digest: str


def publish(session: Session, by: str | None, why: str, now: datetime, *, anew: bool = False) -> FilterPolicy:
    """Make what is decided the current policy, in this transaction; the present one is returned when it says the same,
    unless ``anew``.

    One change after the other: whoever comes second reads what the first committed, so no change is lost, and serials
    are in the order of the commits. Whoever changed something, a policy is made of what every node decided: that is
    read as the program, not as the person.
    """
    lock(session)
    with for_a_while(session, Door.JOBS):
        return _publish(session, by, why, now, anew=anew)


def _publish(session: Session, by: str | None, why: str, now: datetime, *, anew: bool) -> FilterPolicy:
    settings = profiles.policy_settings(session, now)
    settings_digest = digest_of(settings)
    current = find_current(session)
    if current is not None and current.settings_digest == settings_digest and not anew:
        return current
    policy = _compile(session, settings, by, why, now)
    policy.settings_digest = settings_digest
    session.add(policy)
    session.flush()
    _prune(session, policy.serial)
    waiting.announce(session)
    return policy


def lock(session: Session) -> None:
    """Wait until no other transaction is about to publish a policy, and let none until the end of this one.

    Whoever publishes takes it before it writes, or holds, any row that a policy is made of: what waits for this lock
    while it holds a room, and what waits for the room while it holds this lock, would wait for each other.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": POLICY_LOCK})


def lock_for(session: Session, viewer: Viewer, place: Place) -> None:
    """The same before something is said on a node. Raise NotFound when it is a room that was removed meanwhile."""
    lock(session)
    if place.room_id is not None:
        get_room(session, viewer, place.room_id)


def republish(session: Session, why: str, now: datetime) -> None:
    """Publish what the program itself changed, once there is a policy at all."""
    with for_a_while(session, Door.JOBS):
        if find_current(session) is not None:
            publish(session, None, why, now)


def catch_up(session: Session, now: datetime) -> None:
    """Publish what became different without a change of decisions: a device moved or was removed, a school is another
    collectivity's, something ended, the calendar goes on. Nobody waits for the look itself.
    """
    with for_a_while(session, Door.JOBS):
        current = find_current(session)
        if current is not None and current.settings_digest != digest_of(profiles.policy_settings(session, now)):
            publish(session, None, "Appareils, écoles ou dates", now)


def digest_of(settings: PolicySettings) -> str:
    """What tells two policies apart, the names that they were compiled beside left aside: SHA-256, hex."""
    return hashlib.sha256(settings.to_json()).hexdigest()


def _compile(session: Session, settings: PolicySettings, by: str | None, why: str, now: datetime) -> FilterPolicy:
    """The signed file of these settings, as a row that is not added yet; raise Invalid for contradictions."""
    serial = session.scalars(select(NEXT_SERIAL)).one()
    written = write_file(session, settings, serial, now)
    decisions = snapshots.take(session)
    return FilterPolicy(
        serial=serial,
        digest=written.digest,
        names_digest=written.names_digest,
        content=written.content,
        decisions=decisions,
        decisions_digest=snapshots.digest_of(decisions),
        size=len(written.content),
        made_at=now,
        by=by,
        why=why,
    )


def write_file(session: Session, settings: PolicySettings, serial: int, now: datetime) -> Written:
    """The signed file of these settings beside the current names; raise Invalid for contradictions.

    ``serial`` 0: a candidate, which filters judge by and never install.
    """
    latest = publications.find_latest(session)
    names_digest = (latest.digest if latest is not None else None) or ""
    with tempfile.TemporaryDirectory(prefix="preau-policy-") as directory:
        out = Path(directory) / "policy"
        with for_a_while(session, Door.JOBS):  # nobody who asks for a file is shown the key
            sign = signing.signing_key(session).sign
        try:
            report = compile_policy(settings, out, serial=serial, compiled_at=now, names_digest=names_digest, sign=sign)
        except SettingsInvalid as error:
            raise Invalid("filtering.bad_policy", f"Ces réglages se contredisent : {error}.") from error
        return Written(out.read_bytes(), report.digest, names_digest)


def _prune(session: Session, newest: int) -> None:
    serial, digest = FilterPolicy.serial, FilterPolicy.decisions_digest
    files = select(serial).order_by(serial.desc()).limit(KEPT_FILES)
    before = select(serial, digest, func.lag(digest).over(order_by=serial).label("before")).subquery()
    is_first = before.c.decisions_digest.is_distinct_from(before.c.before)
    decided = select(before.c.serial).where(is_first).order_by(before.c.serial.desc()).limit(KEPT)
    session.execute(delete(FilterPolicy).where(serial < newest, serial.not_in(files), serial.not_in(decided)))


def find_current(session: Session) -> FilterPolicy | None:
    """The policy that filters should hold: the highest serial."""
    return session.scalar(select(FilterPolicy).order_by(FilterPolicy.serial.desc()).limit(1))


def current_policy(session: Session) -> tuple[bytes, str] | None:
    """The content of the current policy and its tag ``<digest>.<serial>``; None when there is none yet."""
    columns = select(FilterPolicy.content, FilterPolicy.digest, FilterPolicy.serial)
    with for_a_while(session, Door.JOBS):  # a person is told what it says of one name, see explaining
        row = session.execute(columns.order_by(FilterPolicy.serial.desc()).limit(1)).first()
    return None if row is None else (row.content, f"{row.digest}.{row.serial}")


def current_etag(session: Session) -> str | None:
    """The tag alone: what a filter that waits is compared with."""
    columns = select(FilterPolicy.digest, FilterPolicy.serial)
    row = session.execute(columns.order_by(FilterPolicy.serial.desc()).limit(1)).first()
    return None if row is None else f"{row.digest}.{row.serial}"


def list_policies(session: Session, page: Page = Page()) -> Listing[FilterPolicy]:  # noqa: B008 - frozen
    """One page of the policies that are kept, newest first."""
    return paginate(session, select(FilterPolicy), page, SORTABLE, "-serial")


def return_to(session: Session, viewer: Viewer, policy_id: UUID, now: datetime) -> FilterPolicy:
    """Decide again what was decided then, and publish it under a new serial. Raise NotFound.

    Layers, schedules, networks and labels become what they were; overrides, lessons and requests have dates of their
    own and stay as they are. So the next change builds on what was returned to.
    """
    viewer.must(Action.EDIT_FILTER)
    lock(session)  # whoever changes something meanwhile changes what was returned to
    query = select(FilterPolicy).where(FilterPolicy.id == policy_id).options(undefer(FilterPolicy.decisions))
    wanted = session.scalar(query)
    if wanted is None:
        raise NotFound("filtering.policy_not_found", "Cette politique n’existe pas, ou n’est plus gardée.")
    current = find_current(session)
    before = {"serial": current.serial} if current is not None else None
    snapshots.restore(session, wanted.decisions)
    policy = publish(session, viewer.name, f"Retour à la politique {wanted.serial}", now)
    after = {"serial": policy.serial, "returns_to": wanted.serial}
    subject = f"Politique {wanted.serial}"
    events.note(session, viewer.name, "policy.return", subject, now, before=before, after=after)
    return policy

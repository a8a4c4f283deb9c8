"""The rows of the small département: what is everybody's, what hangs on each node, what is the operator's own."""

import itertools
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from filter.settings import Verdict
from fleet.accounts.models import (
    AccountLetter,
    ApiToken,
    LetterKind,
    OidcIdentity,
    RecoveryCode,
    SecondFactor,
    User,
    WebSession,
)
from fleet.collectivities.models import Collectivity, CollectivityKind, Membership
from fleet.configuration.models import ResourceOutcome, Setting
from fleet.devices.models import Device, DeviceEvent, DeviceKind, Platform
from fleet.enrollment.models import EnrollmentToken
from fleet.ent.models import EntPortal, EntProduct, SchoolEnt
from fleet.filtering import service as filtering
from fleet.filtering.models import (
    ContentState,
    FilterNode,
    FilterSource,
    Publication,
    PublicationState,
    SourceContent,
)
from fleet.filtering.policy.layers import LayerSettings, NameLine
from fleet.filtering.policy.models import (
    FilterEvent,
    FilterLabel,
    FilterLayer,
    FilterNetwork,
    FilterOverride,
    FilterPolicy,
    FilterProfile,
    FilterRoom,
    FilterSchedule,
    Lesson,
    NameList,
    UnblockRequest,
)
from fleet.filtering.previews.models import FilterPreview, PreviewKind, PreviewState
from fleet.importing import ImportReport
from fleet.imports import reports
from fleet.imports.kinds import ImportKind
from fleet.imports.models import Import, ImportMapping
from fleet.jobs.models import Job, JobKind, JobState
from fleet.saved_filters.models import ListName, SavedFilter
from fleet.schools.models import School
from fleet.scope import Role
from fleet.tickets.models import FollowUp, MailOccasion, Ticket, TicketEvent, TicketKind, TicketMail, TicketSubject
from tests.factories import NOON, make_collectivity, make_device, make_school
from tests.rights.looking import make_grants, make_people, make_user
from tests.rights.world import COLLECTIVITIES, COMMON, OPERATOR, SCHOOLS, Kind, Row, World, add, mark

numbers = itertools.count(1)


def make_world(session: Session, now: datetime = NOON) -> World:
    """All of it, flushed."""
    world = World()
    profile = make_common(session, world)
    places = make_places(session, world)
    staff = make_user(session, world, "technician", Role.TECHNICIAN, COMMON)
    for code, collectivity in places.items():
        if isinstance(collectivity, Collectivity):
            fill_collectivity(session, world, code, collectivity, profile)
    for code, school in places.items():
        if isinstance(school, School):
            fill_school(session, world, code, school, profile, staff)
    make_operators(session, world, profile, staff)
    make_grants(session, world, now)
    make_people(session, world, places, now)
    filtering.publish_policy(session, mark(Kind.INTERNAL, OPERATOR), "essai", now)
    session.flush()
    return world


def make_common(session: Session, world: World) -> FilterProfile:
    """What everybody is shown: the catalogue, the profiles, the schedules, the last publication."""
    portal = EntPortal(
        slug="essai", name="Portail d’essai", product=EntProduct.ONE, url="https://ent.example.test", links=[]
    )
    world.note(COMMON, "portal", add(session, portal))
    profile = world.note(COMMON, "profile", filtering.ensure_default_profile(session, NOON))
    world.note(COMMON, "schedule", session.query(FilterSchedule).one())
    publication = Publication(state=PublicationState.FAILED, requested_at=NOON, requested_by="Alix", error="essai")
    world.note(COMMON, "publication", add(session, publication))
    return profile


def make_places(session: Session, world: World) -> dict[str, Collectivity | School]:
    places: dict[str, Collectivity | School] = {}
    for code in COLLECTIVITIES:
        kind = CollectivityKind.EPCI if code == "group" else CollectivityKind.COMMUNE
        row = make_collectivity(session, kind=kind, name=f"Commune {mark(Kind.NAME, code)}", siren=None)
        places[code] = world.note(code, "collectivity", row, Kind.NAME)
    group = places["group"]
    session.add_all(Membership(member_id=places[member].id, group_id=group.id) for member in ("own", "sibling"))
    for code, runs in SCHOOLS.items():
        text = mark(Kind.ROW, code)
        school = make_school(
            session, collectivity=places[runs], commune_id=places[runs].id, name=f"École {text}", address=text
        )
        places[code] = world.note(code, "school", school)
        world.codes[school.uai] = (Kind.ROW, code)
    return places


def fill_collectivity(
    session: Session, world: World, code: str, collectivity: Collectivity, profile: FilterProfile
) -> None:
    """What hangs on the collectivity itself."""
    fill_decisions(session, world, code, {"collectivity_id": collectivity.id}, profile, Kind.DECISION)
    fill_ticket(session, world, code, collectivity, None, None)
    fill_jobs(session, world, code, {"collectivity_id": collectivity.id})
    event = FilterEvent(
        at=NOON,
        by=mark(Kind.ROW, code),
        verb="layer.set",
        subject=mark(Kind.ROW, code),
        collectivity_id=collectivity.id,
    )
    world.note(code, "event", add(session, event))


def fill_decisions(
    session: Session, world: World, code: str, node: Mapping[str, UUID], profile: FilterProfile, kind: Kind
) -> None:
    """A layer and an override of a node."""
    text = mark(kind, code)
    says = msgspec.to_builtins(LayerSettings(names=(NameLine(f"{text}.example", Verdict.BLOCK),)))
    layer = FilterLayer(profile_id=profile.id, content=says, updated_at=NOON, updated_by=text, **node)
    world.note(code, "layer", add(session, layer), kind)
    override = FilterOverride(
        verdict=Verdict.ALLOW, names=[f"o-{text}.example"], categories=[], reason=text, by=text, created_at=NOON,
        starts=NOON - timedelta(days=1), ends=NOON + timedelta(days=9), **node,
    )  # fmt: skip
    world.note(code, "override", add(session, override), kind)


def fill_jobs(session: Session, world: World, code: str, node: Mapping[str, UUID], kind: Kind = Kind.ROW) -> None:
    """One that waits and one that failed."""
    text = mark(kind, code)
    for name, state in (("job", JobState.QUEUED), ("failed_job", JobState.FAILED)):
        job = Job(
            kind=JobKind.IMPORT, subject=text, asked_by=text, created_at=NOON, state=state, search_text=text, done=0,
            ended_at=NOON if state is JobState.FAILED else None, reason=text, sentence=text, attempts=0, **node,
        )  # fmt: skip
        world.note(code, name, add(session, job), kind)


def fill_school(session: Session, world: World, code: str, school: School, profile: FilterProfile, staff: User) -> None:
    """A device with its history, a token, a ticket, a room with a lesson, and all that filtering keeps of a school."""
    text = mark(Kind.ROW, code)
    device = fill_device(session, world, code, school)
    fill_ticket(session, world, code, school.collectivity, school, device, staff)
    fill_decisions(session, world, code, {"school_id": school.id}, profile, Kind.ROW)
    fill_filtering(session, world, code, school, device, profile)
    fill_jobs(session, world, code, {"school_id": school.id, "collectivity_id": school.collectivity_id})
    token = EnrollmentToken(
        secret_hash=f"{text}hash", hint="ABCD", school_id=school.id, kind=DeviceKind.DISPLAY, platform=Platform.LINUX,
        max_uses=1, issued_at=NOON, issued_by=text, expires_at=NOON + timedelta(hours=1),
    )  # fmt: skip
    world.note(code, "token", add(session, token))
    session.add(SchoolEnt(school_id=school.id, portal_id=world.rows[COMMON]["portal"]))
    page = {"home_page": f"https://{text}.example.test"}
    setting = Setting(school_id=school.id, resource="browser", value=page, updated_at=NOON, updated_by=text)
    world.note(code, "setting", add(session, setting))


def fill_device(session: Session, world: World, code: str, school: School) -> Device:
    text = mark(Kind.ROW, code)
    device = make_device(
        session, school=school, name=f"Écran {text}", serial=f"SN{text}", asset_tag=f"PRE-{text}", room=text,
        facts={"hostname": text}, enrolled_at=NOON, last_seen_at=NOON, silent_since=NOON,
    )  # fmt: skip
    world.note(code, "device", device)
    event = DeviceEvent(device_id=device.id, school_id=school.id, at=NOON, kind="edited", detail=text, by=text)
    world.note(code, "device_event", add(session, event))
    session.add(
        ResourceOutcome(device_id=device.id, resource="dns", revision="", status="failed", detail=text, at=NOON)
    )
    return device


def fill_ticket(
    session: Session, world: World, code: str, collectivity: Collectivity, school: School | None, device: Device | None,
    staff: User | None = None,
) -> None:  # fmt: skip
    """A ticket, what was said on it aloud and among staff, and a mail."""
    text, internal = mark(Kind.ROW, code), mark(Kind.INTERNAL, code)
    opener = make_user(session, world, f"opener-{code}", Role.OFFICER, code, collectivity_id=collectivity.id)
    fill_account(session, world, code, opener)
    ticket = Ticket(
        kind=TicketKind.INCIDENT, subject=TicketSubject.SCHOOL if school else TicketSubject.ENT, title=text,
        description=text, collectivity_id=collectivity.id, school_id=school.id if school else None,
        device_id=device.id if device else None, opened_by_id=opener.id, assigned_to_id=staff.id if staff else None,
        opened_at=NOON, updated_at=NOON, search_text=text,
    )  # fmt: skip
    world.note(code, "ticket", add(session, ticket))
    session.add_all(
        [
            TicketEvent(ticket_id=ticket.id, at=NOON, status=ticket.status, by=text, note=text),
            FollowUp(ticket_id=ticket.id, at=NOON, by=text, body=text),
            FollowUp(ticket_id=ticket.id, at=NOON, by=internal, body=internal, is_public=False),
            TicketMail(
                ticket_id=ticket.id, occasion=MailOccasion.OPENED, recipient=f"{internal}@example.test", queued_at=NOON,
                next_attempt_at=NOON,
            ),
        ]
    )  # fmt: skip


def fill_account(session: Session, world: World, code: str, user: User) -> None:
    """What a person has that is nobody else's: a session, a token, a second factor, an identity, a letter."""
    text, n = mark(Kind.INTERNAL, code), next(numbers)  # not even for who sees the node
    world.rows[code]["account"] = user.id
    world.note(code, "role_grant", user.grants[0])
    elsewhere = WebSession(
        token_hash=f"{text}{n}", csrf_token=text, user_id=user.id, created_at=NOON, last_used_at=NOON,
        expires_at=NOON + timedelta(hours=9), browser=text, address="192.0.2.1",
    )  # fmt: skip
    world.note(code, "session", add(session, elsewhere), Kind.INTERNAL)
    token = ApiToken(
        user_id=user.id, name=text, prefix="preau_abcdef", token_hash=f"{text}{n}", role=user.grants[0].role,
        collectivity_id=user.grants[0].collectivity_id, created_at=NOON, expires_at=NOON + timedelta(days=9),
    )  # fmt: skip
    world.note(code, "api_token", add(session, token), Kind.INTERNAL)
    kept = SavedFilter(user_id=user.id, list=ListName.DEVICES, name=text, query=f"q={text}", saved_at=NOON)
    world.note(code, "saved_filter", add(session, kept), Kind.INTERNAL)
    session.add_all(
        [
            SecondFactor(user_id=user.id, sealed_secret=text, started_at=NOON, confirmed_at=NOON),
            RecoveryCode(user_id=user.id, code_hash=text),
            OidcIdentity(user_id=user.id, issuer=f"https://{text}.example", subject=f"{text}{n}", linked_at=NOON),
            AccountLetter(
                kind=LetterKind.CHANGED, user_id=user.id, recipient=user.email, what=text, token_hash=f"{text}{n}",
                queued_at=NOON, next_attempt_at=NOON,
            ),
        ]
    )  # fmt: skip
    session.flush()


def fill_filtering(
    session: Session, world: World, code: str, school: School, device: Device, profile: FilterProfile
) -> None:
    text, number = mark(Kind.ROW, code), next(numbers)
    room = world.note(code, "room", add(session, FilterRoom(school_id=school.id, name=f"Salle {text}")))
    network = FilterNetwork(cidr=f"10.77.{number}.0/24", school_id=school.id, room_id=room.id, profile_id=profile.id)
    world.note(code, "network", add(session, network))
    world.codes[network.cidr] = (Kind.ROW, code)
    session.add(FilterLabel(device_id=device.id, profile_id=profile.id, room_id=room.id))
    names = NameList(school_id=school.id, name=text, names=[f"{text}.example"], updated_at=NOON, updated_by=text)
    world.note(code, "list", add(session, names))
    lesson = Lesson(
        school_id=school.id, room_id=room.id, title=text, names=[f"{text}.example"], starts=NOON - timedelta(minutes=5),
        ends=NOON + timedelta(hours=1), by=text,
    )  # fmt: skip
    world.note(code, "lesson", add(session, lesson))
    request = UnblockRequest(
        id=UUID(bytes=secrets.token_bytes(16), version=4), school_id=school.id, room_id=room.id, profile_id=profile.id,
        name=f"{text}.example", reason=text, contact=text, asked_at=NOON, received_at=NOON,
    )  # fmt: skip
    world.note(code, "request", add(session, request))
    event = FilterEvent(at=NOON, by=text, verb="room.add", subject=text, subject_id=room.id, school_id=school.id)
    world.note(code, "event", add(session, event))


def make_operators(session: Session, world: World, profile: FilterProfile, staff: User) -> None:
    """What is the operator's own business."""
    text = mark(Kind.INTERNAL, OPERATOR)

    def note(name: str, row: Row) -> Row:
        return world.note(OPERATOR, name, add(session, row), Kind.INTERNAL)

    source = note("source", FilterSource(slug="essai", title=text, url=f"https://{text}.example/list", added_at=NOON))
    note("content", SourceContent(source_id=source.id, state=ContentState.HELD, fetched_at=NOON))
    note("filter", FilterNode(name=text, secret_hash="x", registered_at=NOON))
    note("event", FilterEvent(at=NOON, by=text, verb="profile.add", subject=text))
    fill_jobs(session, world, OPERATOR, {}, Kind.INTERNAL)
    file = Import(
        kind=ImportKind.COMMUNES, name=text, size=1, digest="d", columns=["code"], uploaded_by=text, uploaded_at=NOON,
        content=b"code\n02100\n", report=reports.as_json(ImportReport(), 1),
    )  # fmt: skip
    note("import", file)
    session.add(ImportMapping(kind=ImportKind.COMMUNES, shape=text, mapping={}, saved_at=NOON))
    note("device", make_device(session, school=None, name=text, serial=f"SN{text}", asset_tag=f"PRE-{text}"))
    preview = FilterPreview(
        kind=PreviewKind.CONTENT, subject=text, source_id=source.id, asked_by=text, asked_at=NOON, judged_at=NOON,
        threshold=3, days=7, state=PreviewState.DONE, ends_at=NOON,
    )  # fmt: skip
    note("preview", preview)
    policy = FilterPolicy(
        digest="d", settings_digest="s", names_digest="", content=b"", decisions={}, decisions_digest="d", size=0,
        made_at=NOON, by=text, why=text,
    )  # fmt: skip
    note("policy", policy)
    lists = NameList(
        school_id=None, name="Toutes les écoles", names=["all.example"], updated_at=NOON, updated_by="Alix"
    )
    world.note(COMMON, "list", add(session, lists))
    request = UnblockRequest(
        id=UUID(bytes=secrets.token_bytes(16), version=4), name=f"{text}.example", reason=text, contact=text,
        asked_at=NOON, received_at=NOON,
    )  # fmt: skip
    note("request", request)
    note("override", FilterOverride(
        verdict=Verdict.BLOCK, names=["op.example"], categories=[], reason="du département", by="Alix", created_at=NOON,
        starts=NOON, ends=NOON + timedelta(days=9), profile_id=profile.id,
    ))  # fmt: skip
    world.marks[str(world.rows[OPERATOR]["override"])] = (Kind.DECISION, OPERATOR)  # told where it holds: everywhere

"""HTTP of enrollment: devices under /agent/v1, people's tokens under /api/v1."""

from datetime import timedelta
from functools import cache
from uuid import UUID

from fastapi import APIRouter, Request, Response

from agent.packaging import build_archive
from agent.protocol import EnrollmentRequest
from fleet.accounts.access import ClientAddress, CurrentViewer
from fleet.clock import Now
from fleet.db import DbSession
from fleet.devices import service as devices
from fleet.devices.messages import MessageBody, answer, read_message
from fleet.doors import Door, enter
from fleet.enrollment import service
from fleet.enrollment.models import EnrollmentToken
from fleet.enrollment.schemas import IssuedTokenOut, ProfileIn, TokenIn, TokenOut
from fleet.errors import NotFound
from fleet.paging import ListingOut, WantedPage, listing_out
from fleet.platforms.android import Wifi
from fleet.schools import service as schools

router = APIRouter(tags=["enrollment"])
agent_archive = cache(build_archive)


@router.post("/agent/v1/enrollments", status_code=201)
def enroll(request: Request, body: MessageBody, session: DbSession, address: ClientAddress, now: Now) -> Response:
    """Redeem a token. The body and the answer are messages of agent.protocol."""
    enter(session, Door.DEVICES)
    message = read_message(EnrollmentRequest, body)
    reply = service.enroll_device(session, message, address, now, request.app.state.config)
    return answer(reply, 201)


@router.get("/agent/v1/ca")
def get_ca(request: Request) -> Response:
    """The controller's own CA (PEM), which a new agent compares with the pin of its token before it believes it."""
    ca_file = request.app.state.config.ca_file
    if ca_file is None:
        raise NotFound("ca.none", "Ce contrôleur n’a pas d’autorité à lui : son certificat est public.")
    return Response(ca_file.read_bytes(), media_type="application/x-pem-file")


@router.get("/agent/v1/preau-agent.pyz")
def get_agent() -> Response:
    """The agent as one file that any Python from 3.11 on runs."""
    headers = {"Content-Disposition": 'attachment; filename="preau-agent.pyz"'}
    return Response(agent_archive(), media_type="application/zip", headers=headers)


@router.get("/api/v1/enrollment/tokens", response_model=ListingOut[TokenOut])
def list_tokens(
    session: DbSession, viewer: CurrentViewer, page: WantedPage, school_id: UUID | None = None
) -> dict[str, object]:
    """Tokens of the schools that the caller sees, newest first."""
    return listing_out(service.list_tokens(session, viewer, school_id=school_id, page=page))


@router.post("/api/v1/enrollment/tokens", status_code=201)
def issue_token(request: Request, body: TokenIn, session: DbSession, viewer: CurrentViewer, now: Now) -> IssuedTokenOut:
    """Issue a token for a school; its text is in this answer and nowhere else. The same ``request_key``: 409."""
    config = request.app.state.config
    issued = service.issue_token(
        session,
        viewer,
        school=schools.get_school(session, viewer, body.school_id),
        kind=body.kind,
        platform=body.platform,
        max_uses=body.max_uses,
        expires_in=timedelta(minutes=body.expires_in_minutes),
        now=now,
        config=config,
        request_key=body.request_key,
    )
    return IssuedTokenOut.of(issued, service.agent_command(issued, config))


@router.post("/api/v1/enrollment/tokens/{token_id}/revoke", response_model=TokenOut)
def revoke_token(token_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> EnrollmentToken:
    """Take a token back; the devices that it let in stay."""
    return service.revoke_token(session, viewer, token_id, now)


@router.post("/api/v1/enrollment/profiles", response_class=Response)
def issue_profile(request: Request, body: ProfileIn, session: DbSession, viewer: CurrentViewer, now: Now) -> Response:
    """The profile of a known tablet: a signed .mobileconfig, or the JSON that an Android QR holds."""
    device = devices.get_device(session, viewer, body.device_id)
    wifi = Wifi(**body.wifi.model_dump()) if body.wifi else None
    device, content = service.issue_profile(session, viewer, device, now, request.app.state.config, wifi=wifi)
    headers = {"Cache-Control": "no-store"}
    return Response(content, media_type=service.PROFILE_TYPES[device.platform], headers=headers)

"""HTTP of checkins: POST /agent/v1/checkins."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from agent.protocol import CheckIn
from fleet import metrics
from fleet.checkins import service
from fleet.clock import Now
from fleet.db import DbSession
from fleet.devices import credentials
from fleet.devices.messages import MessageBody, answer, read_message
from fleet.doors import Door, enter
from fleet.errors import FleetError

router = APIRouter(prefix="/agent/v1", tags=["agent"])


@router.post("/checkins")
def check_in(
    request: Request,
    body: MessageBody,
    session: DbSession,
    now: Now,
    authorization: Annotated[str | None, Header()] = None,
) -> Response:
    """One device's turn to speak. The body and the answer are messages of agent.protocol."""
    enter(session, Door.DEVICES)
    with metrics.checkin_seconds.time():
        try:
            device = credentials.authenticate(session, authorization, now)
            message = read_message(CheckIn, body)
            reply = service.receive(session, device, message, now, request.app.state.config)
        except FleetError as error:
            metrics.checkins.labels(error.code.partition(".")[2]).inc()
            raise
        metrics.checkins.labels("state sent" if reply.desired else "up to date").inc()
        return answer(reply)

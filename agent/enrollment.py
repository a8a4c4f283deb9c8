"""A device enrols: the token is redeemed once, however often the attempt is cut short."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from agent.client import Controller, Https, Send, fetch_ca, hang_up, trusting
from agent.errors import NotEnrolled, RootNotWritable, UsageError
from agent.facts import Machine
from agent.identity import DeviceIdentity, find_identity, new_attempt, save_identity
from agent.protocol import EnrollmentRequest
from agent.signals import Stop
from agent.state import load_state, save_state
from agent.tokens import Token
from agent.version import VERSION

log = logging.getLogger(__name__)

Connect = Callable[[str, str], Send]
"""``connect(url, ca_pem)``: how a verified channel to the controller is made."""


def connect(url: str, ca_pem: str) -> Send:
    """HTTPS, believing only this CA (or the system's, when it is empty)."""
    return Https(url, trusting(ca_pem))


def is_enrolled_with(identity: DeviceIdentity | None, url: str, token: Token) -> bool:
    """Whether this very token made this device what it is: enrolling again would waste a use of it."""
    attempt = identity.enrolled_by if identity and identity.credential else None
    return attempt is not None and attempt.is_for(url, token.secret)


def enroll(
    root: Path,
    url: str,
    token: Token,
    machine: Machine,
    now: Callable[[], datetime],
    stop: Stop,
    make: Connect = connect,
) -> DeviceIdentity:
    """Redeem the token and keep the credential. Raises the AgentError that says why not; the old identity then stays.

    The attempt is on disk before the request leaves: killed anywhere, the next call with this token is the same one.
    """
    if not url:
        raise UsageError("Il manque l’adresse du contrôleur (--controller https://…).")
    with stop.interruptible():
        ca_pem = fetch_ca(url, token)
    send = make(url, ca_pem)
    try:
        return redeem(root, url, ca_pem, token, machine, now, stop, Controller(send))
    finally:
        hang_up(send)


def redeem(
    root: Path,
    url: str,
    ca_pem: str,
    token: Token,
    machine: Machine,
    now: Callable[[], datetime],
    stop: Stop,
    controller: Controller,
) -> DeviceIdentity:
    with stop.interruptible():
        controller.check_clock(now())
    old = find_identity(root) or DeviceIdentity()
    attempt = old.pending if old.pending and old.pending.is_for(url, token.secret) else new_attempt(url, token.secret)
    save(root, replace(old, pending=attempt))
    request = EnrollmentRequest(
        token=token.secret, attempt=attempt.id, identity=machine.identity, facts=machine.facts, agent_version=VERSION
    )
    with stop.interruptible():
        reply = controller.enroll(request)
    identity = DeviceIdentity(
        controller=url,
        ca_pem=ca_pem,
        device_id=reply.device_id,
        credential=reply.credential,
        asset_tag=reply.asset_tag,
        school=reply.school,
        check_in_seconds=reply.check_in_seconds,
        enrolled_by=attempt,
    )
    # The controller remembers nothing of this device any more: everything is worth telling again.
    save_state(root, replace(load_state(root), latest=(), queue=()))
    save(root, identity)
    log.info("device enrolled", extra={"device": reply.device_id, "adopted": reply.adopted})
    return identity


def save(root: Path, identity: DeviceIdentity) -> None:
    try:
        save_identity(root, identity)
    except OSError as error:
        raise RootNotWritable(f"Impossible d’enregistrer l’identité sous {root} ({error.strerror}).") from error


def get_identity(root: Path) -> DeviceIdentity:
    """The identity of an enrolled device; raises NotEnrolled."""
    identity = find_identity(root)
    if identity is None or not identity.credential:
        raise NotEnrolled(
            f"Aucun appareil enrôlé sous {root} : lancez d’abord « preau-agent enroll --controller … --token … »."
        )
    return identity

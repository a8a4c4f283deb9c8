"""The agent's life: check in, apply, report, wait; away from its controller it keeps what it knows."""

import logging
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from agent import enrollment
from agent.apply import apply
from agent.client import CLOCK_TOLERANCE, Controller, hang_up
from agent.config import AgentConfig
from agent.enrollment import Connect, connect
from agent.errors import (
    AgentError,
    ControllerUnreachable,
    CredentialRefused,
    NotEnrolled,
    Refused,
    Stopped,
    TokenLapsed,
    TokenUsedUp,
    TokenWrong,
)
from agent.facts import Machine, facts_hash
from agent.identity import DeviceIdentity, find_identity, save_identity
from agent.protocol import CheckIn, CheckInReply
from agent.signals import Stop
from agent.state import State, load_state, note_contact, save_state
from agent.tokens import read_token
from agent.version import VERSION

log = logging.getLogger(__name__)

FIRST_WAIT = 5.0
LONGEST_WAIT = 900.0
REPORTS_PER_TICK = 8
"""Messages that empty the queue; what is left after a long absence waits for the next tick."""
SHORTEST_INTERVAL = 1.0
LONGEST_INTERVAL = 86400.0
TOKEN_IS_DEAD = (TokenWrong, TokenLapsed, TokenUsedUp)
"""Trying such a token again would only use up the school's allowance of wrong ones."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Agent:
    """One device. ``tick()`` is one conversation; ``run()`` repeats it until told to stop.

    ``machine`` tells the present facts; ``make`` opens a verified channel: tests pass the other side in.
    """

    def __init__(
        self,
        config: AgentConfig,
        machine: Callable[[], Machine],
        stop: Stop | None = None,
        make: Connect = connect,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.config = config
        self.machine = machine
        self.stop = stop or Stop()
        self.make = make
        self.now = now
        self.state = load_state(config.root)
        self.dead_token = ""
        self.failures = 0

    def run(self) -> None:
        """Tick for ever; returns when stopped. Raises NotEnrolled when there is neither identity nor token."""
        while True:
            try:
                wait = self.attempt()
                self.stop.sleep(wait)
            except Stopped:
                log.info("agent stopped")
                return

    def attempt(self) -> float:
        """One tick, whatever happens; the seconds to wait before the next."""
        try:
            wait = self.tick()
        except (Stopped, NotEnrolled):
            raise
        except ControllerUnreachable as error:
            log.warning("controller unreachable: %s", error)
            return self.back_off(error.retry_after)
        except AgentError as error:
            log.error("controller refused: %s", error)  # noqa: TRY400 the sentence says it all
            return self.back_off()
        except Exception:
            log.exception("tick failed")
            return self.back_off()
        self.failures = 0
        return wait

    def tick(self) -> float:
        """Enrol if needed, check in, apply, report; return the seconds until the next tick.

        Raises AgentError when the controller cannot be reached or refuses; what was last asked for is applied anyway.
        """
        identity = self.identify()
        try:
            try:
                identity, reply = self.converse(identity)
            except CredentialRefused:
                if not self.may_enroll():
                    raise
                identity = self.enroll()
                identity, reply = self.converse(identity)
        except AgentError as error:
            if not isinstance(error, Stopped):
                self.apply(identity)
            raise
        return self.config.interval or min(max(reply.next_check_in_seconds, SHORTEST_INTERVAL), LONGEST_INTERVAL)

    def identify(self) -> DeviceIdentity:
        """The identity on disk, or a new one when a token was configured."""
        try:
            return enrollment.get_identity(self.config.root)
        except NotEnrolled:
            if not self.may_enroll():
                raise
            return self.enroll()

    def may_enroll(self) -> bool:
        return bool(self.config.token) and self.config.token != self.dead_token

    def enroll(self) -> DeviceIdentity:
        """Redeem the configured token. A token that is refused for good is not shown again."""
        old = find_identity(self.config.root)
        url = self.config.controller or (old.controller if old else "")
        try:
            token = read_token(self.config.token)
            identity = enrollment.enroll(self.config.root, url, token, self.machine(), self.now, self.stop, self.make)
        except TOKEN_IS_DEAD:
            self.dead_token = self.config.token
            raise
        self.state = load_state(self.config.root)  # emptied: to its controller, this device has said nothing yet
        return identity

    def converse(self, identity: DeviceIdentity) -> tuple[DeviceIdentity, CheckInReply]:
        """Check in, apply what comes back, and report at once when there is something to say."""
        send = self.make(identity.controller, identity.ca_pem)
        try:
            controller = Controller(send)
            reply = self.check_in(controller, identity)
            identity = self.apply(identity)
            for _ in range(REPORTS_PER_TICK):
                if not self.state.queue:
                    break
                self.stop.check()
                reply = self.check_in(controller, identity)
            return identity, reply
        finally:
            hang_up(send)

    def check_in(self, controller: Controller, identity: DeviceIdentity) -> CheckInReply:
        """Say what is; facts themselves only when they are asked for, and then right away."""
        machine = self.machine()
        message = CheckIn(
            facts_hash=facts_hash(machine.facts),
            applied_revision=self.applied_revision(identity),
            outcomes=self.state.next_report(),
            agent_version=VERSION,
        )
        reply = self.exchange(controller, identity, message)
        if reply.want_facts:
            self.stop.check()
            reply = self.exchange(controller, identity, replace(message, facts=machine.facts, outcomes=()))
        return reply

    def exchange(self, controller: Controller, identity: DeviceIdentity, message: CheckIn) -> CheckInReply:
        """One request; what it delivered leaves the queue, what it brought is kept, in one write."""
        try:
            with self.stop.interruptible():
                reply = controller.check_in(identity.bearer, message)
        except Refused as error:
            if error.code == "protocol.invalid" and message.outcomes:  # or every message after it would be refused too
                log.error("outcomes refused, dropped", extra={"outcomes": message.outcomes})  # noqa: TRY400
                self.keep(replace(self.state, queue=self.state.queue[len(message.outcomes) :]))
            raise
        if reply.desired is not None and reply.desired != self.state.desired:
            log.info("new desired state", extra={"revision": reply.desired.revision})
        after = replace(
            self.state,
            desired=reply.desired or self.state.desired,
            queue=self.state.queue[len(message.outcomes) :],
        )
        if after != self.state:
            self.keep(after)
        note_contact(self.config.root)
        self.watch_clock(reply)
        return reply

    def applied_revision(self, identity: DeviceIdentity) -> str:
        """Empty when the document itself was lost: the controller then sends it again."""
        desired = self.state.desired
        return identity.applied_revision if desired and desired.revision == identity.applied_revision else ""

    def apply(self, identity: DeviceIdentity) -> DeviceIdentity:
        """Apply the last desired state, new or not: this is what finds drift."""
        desired = self.state.desired
        if desired is None:
            return identity
        now = self.now().isoformat(timespec="seconds")
        self.state = apply(desired, self.config.root, self.state, self.keep, now)
        for outcome in self.state.latest:
            if outcome.status in {"applied", "repaired"}:
                log.info("resource %s", outcome.status, extra={"resource": outcome.resource, "detail": outcome.detail})
        failed = any(outcome.status == "failed" for outcome in self.state.latest)
        if not failed and identity.applied_revision != desired.revision:
            identity = replace(identity, applied_revision=desired.revision)
            save_identity(self.config.root, identity)
        return identity

    def keep(self, state: State) -> None:
        self.state = state
        save_state(self.config.root, state)

    def watch_clock(self, reply: CheckInReply) -> None:
        """A wrong clock is told, and nothing more: the state must converge all the same."""
        try:
            theirs = datetime.fromisoformat(reply.server_time)
        except ValueError:
            return
        if theirs.tzinfo and abs((self.now() - theirs).total_seconds()) > CLOCK_TOLERANCE:
            log.warning("clock is wrong", extra={"device": self.now().isoformat(), "controller": theirs.isoformat()})

    def back_off(self, asked: float | None = None) -> float:
        """Full jitter: devices that lost their controller together do not come back together."""
        self.failures += 1
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self.failures - 1, 16))
        if self.config.interval:
            longest = min(longest, max(self.config.interval * 10, FIRST_WAIT))
        return max(asked or 0.0, SHORTEST_INTERVAL, random.uniform(0, longest))  # noqa: S311 no secret depends on it

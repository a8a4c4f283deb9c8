"""Upstreams written as coroutines, for a look-up that is told; and what an upstream tells, to wait for."""

import asyncio
from collections.abc import Awaitable, Callable

from filter.serving import wire
from filter.serving.resolving.lookup import Forward
from filter.serving.resolving.plain import Plain
from filter.serving.resolving.upstream import Outcome, Tell
from filter.serving.wire import Question, UpstreamAnswer

Answering = Callable[[Question, bool, bool], Awaitable[UpstreamAnswer]]


class Told:
    """A Forward of such a coroutine."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.tasks: set[asyncio.Task[None]] = set()

    def __call__(self, question: Question, dnssec_ok: bool, checking_disabled: bool, tell: Tell) -> None:
        self.tasks.add(asyncio.create_task(self.ask(question, dnssec_ok, checking_disabled, tell)))

    async def ask(self, question: Question, dnssec_ok: bool, checking_disabled: bool, tell: Tell) -> None:
        outcome: Outcome
        try:
            outcome = await self.answering(question, dnssec_ok, checking_disabled)
        except Exception as error:  # noqa: BLE001  # told
            outcome = error
        tell(outcome)


async def hear(
    forward: Forward, question: Question, dnssec_ok: bool = False, checking_disabled: bool = False
) -> UpstreamAnswer:
    """What it tells; raise what went wrong."""
    told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    forward(question, dnssec_ok, checking_disabled, told.set_result)
    outcome = await told
    if isinstance(outcome, Exception):
        raise outcome
    return wire.read_answer(outcome.data) if isinstance(outcome, Plain) else outcome

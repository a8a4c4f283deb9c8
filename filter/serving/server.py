"""All that this process answers on: one listener for each socket, whoever bound it."""

import ssl
from collections.abc import Callable
from functools import partial

from filter.metrics import Metrics
from filter.serving.limits import RateLimits
from filter.serving.pulse import Pulse
from filter.serving.sockets import Kind, Listening
from filter.serving.streams.accepting import Acceptor
from filter.serving.streams.doh import DohServer
from filter.serving.streams.http2 import Http2
from filter.serving.streams.lines import Conversation, Hall, Line, Room
from filter.serving.streams.pipelining import Ask, DnsStream
from filter.serving.streams.quick import Quick, never
from filter.serving.streams.tls import CertificateInvalid, Certificates, TlsLine
from filter.serving.udp import Answer, UdpListener

TLS_IDLE_SECONDS = 30.0
"""Longer than over bare TCP: a handshake costs more than an open connection (RFC 7858, 3.4)."""
ROOM = Room()
PROTOCOLS = {Kind.TLS: "dot", Kind.HTTPS: "h2"}
"""What is agreed upon in the handshake (ALPN)."""


class DnsServer:
    """The listeners of one process."""

    def __init__(
        self,
        ask: Ask,
        metrics: Metrics,
        is_known: Callable[[str], bool],
        certificates: Certificates | None = None,
        public_name: str | None = None,
        room: Room = ROOM,
        limits: RateLimits | None = None,
        quick: Quick = never,
        *,
        answer: Answer,
    ) -> None:
        """``is_known``: whether an address is in a network of the policy. ``public_name``: what stands behind labels in
        the server names of TLS. ``answer``: what answers over UDP."""
        self.ask = ask
        self.metrics = metrics
        self.hall = Hall(metrics, room, is_known)
        self.pulse = Pulse()
        self.hall.is_late = self.pulse.is_late
        self.certificates = certificates
        self.public_name = public_name
        self.limits = limits or RateLimits(0, lambda _address: None, metrics)
        self.doh = DohServer(ask, self.limits.wait, quick)
        self.quick = quick
        self.answer = answer
        self.udp: list[UdpListener] = []
        self.acceptors: list[Acceptor] = []

    async def serve(self, listening: Listening) -> None:
        """Answer on a bound socket from now on; raise CertificateInvalid for TLS without a certificate."""
        self.pulse.start()
        if listening.kind is Kind.UDP:
            listener = UdpListener(listening, self.answer, self.metrics, self.limits.admit)
            listener.start()
            self.udp.append(listener)
            return
        acceptor = Acceptor(
            listening.sock, self.line_maker(listening.kind), self.metrics.dropped.labels("descriptors").inc
        )
        acceptor.start()
        self.acceptors.append(acceptor)

    def line_maker(self, kind: Kind) -> Callable[[], Line]:
        """What makes each new connection of a listener."""
        if kind is Kind.TCP:
            return lambda: Line(self.hall, self.begin_stream)
        if self.certificates is None:
            raise CertificateInvalid("il faut un certificat (--certificate)")
        begin = self.begin_http if kind is Kind.HTTPS else partial(self.begin_stream, idle_seconds=TLS_IDLE_SECONDS)
        return lambda: TlsLine(self.hall, begin, self.context(kind), kind.value, self.public_name)

    def context(self, kind: Kind) -> ssl.SSLContext:
        """What a handshake begins with."""
        if self.certificates is None:
            raise CertificateInvalid("il faut un certificat (--certificate)")
        return self.certificates.fronts[PROTOCOLS[kind]]

    def begin_stream(self, line: Line, idle_seconds: float = 10.0) -> Conversation:
        return DnsStream(line, self.ask, self.limits.wait, idle_seconds, self.quick)

    def begin_http(self, line: Line) -> Conversation:
        return Http2(line, self.doh.respond)

    async def close(self) -> None:
        """Stop listening, and end what is open."""
        self.pulse.stop()
        for listener in self.udp:
            listener.close()
        for acceptor in self.acceptors:
            acceptor.close()
        self.hall.close()

"""TLS on a connection (DoT, DoH): certificates that change under way, server names that tell a device's label."""

import contextlib
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filter.serving.streams.lines import Conversation, Hall, Line

log = logging.getLogger("filter")

PROTOCOLS = ("dot", "h2")
"""What is agreed upon in the handshake (ALPN)."""
HANDSHAKE_SECONDS = 5.0
READ_BYTES = 16_384
"""The longest record."""
LONGEST_LABEL = 63


State = tuple[tuple[int, ...], ...]


class CertificateInvalid(Exception):
    """The certificate or its key cannot be used; the text says why, in French."""


class NamedTls(ssl.SSLObject):
    """A TLS session that remembers the server name it was asked for (RFC 6066, 3)."""

    asked_name: str | None = None


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files: the chain, and the key unless it is in the same file."""

    certificate: Path
    key: Path | None = None

    def state(self) -> State:
        """What changes when a file is replaced, or who may read it; raise OSError."""
        found = [path.stat() for path in (self.certificate, self.key) if path is not None]
        return tuple((each.st_ino, each.st_mtime_ns, each.st_ctime_ns, each.st_size) for each in found)


def bare_context(protocol: str) -> ssl.SSLContext:
    """A server's context: TLS 1.2 at least, sessions resumed by tickets (RFC 7858, 3.4), no certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.num_tickets = 1
    context.set_alpn_protocols([protocol])
    context.sslobject_class = NamedTls
    return context


def make_fronts() -> dict[str, ssl.SSLContext]:
    """For each protocol what handshakes begin with: it holds the keys of session tickets, whatever the certificate.

    Processes forked after this resume each other's sessions.
    """
    return {protocol: bare_context(protocol) for protocol in PROTOCOLS}


def make_context(files: CertificateFiles, protocol: str) -> ssl.SSLContext:
    """The certificate that handshakes go on with; raise CertificateInvalid."""
    context = bare_context(protocol)
    try:
        context.load_cert_chain(files.certificate, files.key)
    except ssl.SSLError as error:
        what = "la clé n’est pas celle du certificat" if "MISMATCH" in str(error.reason) else "fichier PEM illisible"
        raise CertificateInvalid(f"{files.certificate} : {what}") from error
    except OSError as error:
        raise CertificateInvalid(f"{error.filename or files.certificate} : {error.strerror or error}") from error
    return context


class Certificates:
    """The certificate in use, for each protocol; connections keep the one that they began with."""

    def __init__(self, files: CertificateFiles, fronts: Mapping[str, ssl.SSLContext] | None = None) -> None:
        """``fronts``: those that other processes have, too. Raise CertificateInvalid."""
        self.files = files
        self.contexts: dict[str, ssl.SSLContext] = {}
        self.seen: State = ()
        """Of the files that are in use."""
        self.trouble = ""
        """Why those that lie there now are not; said once."""
        self.read()
        self.fronts = make_fronts() if fronts is None else fronts
        for protocol, front in self.fronts.items():
            front.sni_callback = partial(self.present, protocol)

    def present(self, protocol: str, session: ssl.SSLObject, name: str | None, _front: ssl.SSLContext) -> None:
        """Go on with today's certificate; OpenSSL asks in every handshake, server name or not."""
        session.context = self.contexts[protocol]
        if isinstance(session, NamedTls):
            session.asked_name = name

    def read(self) -> None:
        """Use what the files hold now; raise CertificateInvalid, and the one in use stays."""
        try:
            found = self.files.state()
        except OSError as error:
            raise CertificateInvalid(f"{error.filename} : {error.strerror}") from error
        self.contexts = {protocol: make_context(self.files, protocol) for protocol in PROTOCOLS}
        self.seen = found  # files that cannot be used yet are looked at again

    def refresh(self, *, always: bool = False) -> bool:
        """Use the files' content if they changed, or ``always``; whether they did. A fault is logged, and the one in
        use stays."""
        before = self.seen
        try:
            if always or self.files.state() != before:
                self.read()
        except (CertificateInvalid, OSError) as error:
            self.complain(str(error), always=always)
            return False
        self.trouble = ""
        return self.seen != before

    def complain(self, trouble: str, *, always: bool) -> None:
        """Say what is wrong, once unless somebody asked for it."""
        if always or trouble != self.trouble:
            log.warning("certificate not reloaded, the one in use stays", extra={"error": trouble})
        self.trouble = trouble


def label_of(server_name: str | None, public_name: str | None) -> str | None:
    """The device's label: what stands before the filter's public name, ``<label>.dns.example.fr``."""
    if server_name is None or public_name is None:
        return None
    label, _, rest = server_name.lower().rstrip(".").partition(".")
    return label if label and rest == public_name and len(label) <= LONGEST_LABEL else None


class TlsLine(Line):
    """A connection that speaks TLS. OpenSSL works on memory: a record is written when it is whole."""

    def __init__(
        self,
        hall: Hall,
        begin: Callable[[Line], Conversation],
        context: ssl.SSLContext,
        kind: str,
        public_name: str | None = None,
    ) -> None:
        super().__init__(hall, begin)
        self.kind = kind
        self.public_name = public_name
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.is_private = True

    def welcome(self) -> None:
        if self.hall.may_shake_hands(self):
            self.expect(HANDSHAKE_SECONDS)
        else:
            self.count("refused")
            self.abort()

    def data_received(self, data: bytes) -> None:
        self.incoming.write(data)
        try:
            if self.conversation is None:
                self.shake_hands()
            self.read_on(self.conversation)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self.count("failed" if self.conversation is None else "broken")
            self.flush()
            self.close()
        self.flush()

    def shake_hands(self) -> None:
        """Go on with the handshake; raise SSLWantReadError until it is over."""
        self.tls.do_handshake()
        self.count("resumed" if self.tls.session_reused else "done")
        if isinstance(self.tls, NamedTls):
            self.label = label_of(self.tls.asked_name, self.public_name)
        self.agreed = self.tls.selected_alpn_protocol()
        self.conversation = self.begin(self)

    def read_on(self, conversation: Conversation | None) -> None:
        """Give what was decrypted to the conversation, in one piece; raise SSLError."""
        parts: list[bytes] = []
        while conversation is not None and self.incoming.pending:
            try:
                data = self.tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                break
            if not data:  # close_notify
                if parts:
                    conversation.received(b"".join(parts))
                if not conversation.ended():
                    self.close()
                return
            parts.append(data)
        if conversation is not None and parts:
            conversation.received(parts[0] if len(parts) == 1 else b"".join(parts))

    def send(self, data: bytes) -> None:
        if data and self.transport is not None and not self.transport.is_closing():
            self.tls.write(data)
            self.flush()

    def send_each(self, parts: Sequence[bytes]) -> None:
        """A record for each: dnsperf reads one at a time, and loses all but one answer of those in it."""
        if parts and self.transport is not None and not self.transport.is_closing():
            for each in parts:
                self.tls.write(each)
            self.flush()

    def flush(self) -> None:
        """Send what OpenSSL has made."""
        if self.outgoing.pending:
            super().send(self.outgoing.read())

    def close(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            with contextlib.suppress(ssl.SSLError):  # before the handshake is over there is nothing to end
                self.tls.unwrap()
            self.flush()
        super().close()

    def expire(self) -> None:
        if self.conversation is None:
            self.count("slow")
        super().expire()

    def count(self, outcome: str) -> None:
        self.hall.metrics.handshakes.labels(self.kind, outcome).inc()

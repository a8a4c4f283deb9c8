"""A real SMTP server on the loopback that does as it is told."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from fleet.embedded.ports import free_port


class Postman:
    """Keeps what arrives; answers with ``replies`` in turn, then takes everything."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.was_encrypted: list[bool] = []
        self.logins: list[tuple[str, str]] = []
        self.replies: list[str] = []
        self.recipient_replies: list[str] = []
        self.port = free_port()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.recipient_replies:
            return self.recipient_replies.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.replies:
            return self.replies.pop(0)
        content = cast(bytes, envelope.content)
        self.letters.append(message_from_bytes(content, policy=default))
        self.recipients += envelope.rcpt_tos
        self.was_encrypted.append(session.ssl is not None)
        return "250 OK"

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: LoginPassword
    ) -> AuthResult:
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"bon mot", handled=False)


@contextmanager
def serving(postman: Postman, tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[str]:
    """Run the server on the postman's port; the value is its ``smtp://`` URL. ``tls`` offers STARTTLS."""
    controller = Controller(postman, hostname="127.0.0.1", port=postman.port, tls_context=tls, **options)
    controller.start()
    try:
        yield f"smtp://127.0.0.1:{postman.port}"
    finally:
        controller.stop()

"""Mail leaves here: one letter, one SMTP conversation, and whether trying again makes sense. No database."""

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

from fleet.errors import ConfigurationError

TIMEOUT = 10.0
"""Seconds for each answer of the server."""


class MailDelayed(Exception):
    """The server could not be reached, or asks to come back later: try again."""


class MailRefused(Exception):
    """The server will never take this letter (a 5xx answer, an address it cannot write): do not try again."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to one person. The same ``message_id`` twice is the same mail: readers show it once."""

    sender: str
    recipient: str
    recipient_name: str
    subject: str
    body: str
    message_id: str  # <…@…>
    thread_id: str  # <…@…>: what mail readers group by
    written_at: datetime

    def as_message(self) -> EmailMessage:
        """The letter in UTF-8 with headers that no value can break out of; raise MailRefused for a bad address."""
        message = EmailMessage(policy=SMTP)
        try:
            message["From"] = Address("Préau", addr_spec=self.sender)
            message["To"] = Address(one_line(self.recipient_name), addr_spec=self.recipient)
        except (ValueError, IndexError, HeaderParseError) as error:  # IndexError: the parser's, on an empty one
            raise MailRefused(f"adresse illisible : {error}") from error
        message["Subject"] = one_line(self.subject)
        message["Date"] = format_datetime(self.written_at)
        message["Message-ID"] = self.message_id
        message["In-Reply-To"] = self.thread_id
        message["References"] = self.thread_id
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: out-of-office robots stay silent
        message["Content-Language"] = "fr"
        message.set_content(self.body, cte="quoted-printable")
        return message


def one_line(text: str) -> str:
    """Without line ends or control characters: a header is one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def send(url: str, letter: Letter) -> None:
    """Hand one letter to the server of ``url`` (``smtp://`` or ``smtps://``, user and password percent-encoded).

    ``smtp://`` turns to TLS when the server offers it. With a password TLS is required and its certificate verified
    (but on the loopback); without one, a certificate that cannot be verified is better than no TLS at all.
    Raise MailDelayed or MailRefused with the server's words, ConfigurationError for another kind of URL.
    """
    message = letter.as_message()
    parts = urlsplit(url)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ConfigurationError("PREAU_SMTP_URL : smtp://[utilisateur:motdepasse@]hôte[:port] ou smtps://…")
    with told_plainly(), contextlib.closing(connect(parts)) as server:
        if parts.username:
            server.login(*credentials(parts))
        server.send_message(message, letter.sender, [letter.recipient])
        with contextlib.suppress(smtplib.SMTPException, OSError):
            server.quit()  # the letter is theirs already, whatever the farewell


def credentials(parts: SplitResult) -> tuple[str, str]:
    """User and password; raise MailDelayed when smtplib cannot say them."""
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not (user + password).isascii():
        raise MailDelayed("PREAU_SMTP_URL : utilisateur et mot de passe sans accent, s’il vous plaît")
    return user, password


def connect(parts: SplitResult) -> smtplib.SMTP:
    """A conversation that has said EHLO, over TLS where that is possible or required."""
    host, name = parts.hostname or "", socket.gethostname()
    if parts.scheme == "smtps":
        return smtplib.SMTP_SSL(
            host, parts.port or 465, local_hostname=name, timeout=TIMEOUT, context=tls_context(parts)
        )
    server = smtplib.SMTP(host, parts.port or 587, local_hostname=name, timeout=TIMEOUT)
    with contextlib.ExitStack() as when_refused:
        when_refused.callback(server.close)
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=tls_context(parts))
            server.ehlo()
        elif parts.username and not is_loopback(host):
            raise MailDelayed("le serveur ne propose pas STARTTLS : le mot de passe ne part pas en clair")
        when_refused.pop_all()
    return server


def tls_context(parts: SplitResult) -> ssl.SSLContext:
    """Verified when a password is at stake; opportunistic (RFC 7435) when not, or when it never leaves the machine."""
    context = ssl.create_default_context()
    if parts.scheme == "smtp" and (not parts.username or is_loopback(parts.hostname or "")):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def is_loopback(host: str) -> bool:
    """Whether what is said to this host stays on this machine."""
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


@contextlib.contextmanager
def told_plainly() -> Iterator[None]:
    """Sort smtplib's errors into those that pass and those that stay."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        raise from_code(*next(iter(error.recipients.values()))) from error
    except smtplib.SMTPDataError as error:
        raise from_code(error.smtp_code, error.smtp_error) from error
    except smtplib.SMTPResponseException as error:
        # The greeting, our password, our own address: settings to correct, no reason to drop a letter.
        raise MailDelayed(f"{error.smtp_code} {words(error.smtp_error)}") from error
    except smtplib.SMTPNotSupportedError as error:
        raise MailRefused(f"le serveur ne sait pas faire : {error}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise MailDelayed(f"serveur injoignable : {error}") from error


def from_code(code: int, answer: bytes | str) -> MailDelayed | MailRefused:
    """The error that a reply code means: 5xx is for ever, all else passes."""
    kind = MailRefused if 500 <= code < 600 else MailDelayed
    return kind(f"{code} {words(answer)}")


def words(answer: bytes | str) -> str:
    """A server's answer as one line of text."""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return one_line(text)[:300]

"""The conversation with the controller: HTTPS and nothing else, and never trust on first use."""

import errno
import http.client
import logging
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlsplit

from agent.errors import (
    AgentError,
    ControllerUnreachable,
    CredentialRefused,
    Refused,
    TokenLapsed,
    TokenUsedUp,
    TokenWrong,
    TooManyAttempts,
    UsageError,
    WrongAuthority,
    WrongClock,
)
from agent.protocol import (
    MAX_BODY,
    CheckIn,
    CheckInReply,
    EnrollmentReply,
    EnrollmentRequest,
    ProtocolError,
    Refusal,
    decode,
    encode,
)
from agent.tokens import Token
from agent.version import VERSION

log = logging.getLogger(__name__)

TIMEOUT = 15.0
"""Seconds for each wait on the network, and twice that for a whole answer."""
LARGEST_REPLY = 1024 * 1024
CLOCK_TOLERANCE = 300.0
LONGEST_RETRY_AFTER = 3600.0
OUT_OF_DATES = {9, 10}
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED."""
CERTIFICATE_CAUSES = {
    7: "son certificat n’est pas signé par l’autorité attendue",
    9: "son certificat n’est pas encore valable",
    10: "son certificat a expiré",
    18: "son certificat n’est signé que par lui-même",
    19: "son certificat vient d’une autorité inconnue de cet appareil",
    20: "son certificat vient d’une autorité inconnue de cet appareil",
    21: "son certificat vient d’une autorité inconnue de cet appareil",
    62: "son certificat est au nom d’un autre serveur",
    64: "son certificat est pour une autre adresse IP",
}
"""X509_V_ERR_*, as people understand them."""
TLS_CAUSES = {
    "WRONG_VERSION_NUMBER": "ce port ne parle pas HTTPS",
    "HTTP_REQUEST": "ce port ne parle pas HTTPS",
    "RECORD_LAYER_FAILURE": "ce port ne parle pas HTTPS",
}
NETWORK_CAUSES = {
    errno.ENETUNREACH: "pas de réseau",
    errno.ENETDOWN: "pas de réseau",
    errno.EHOSTUNREACH: "machine injoignable",
    errno.EADDRNOTAVAIL: "pas de réseau",
}

REFUSALS: dict[str, type[AgentError]] = {
    "token.unknown": TokenWrong,
    "token.expired": TokenLapsed,
    "token.revoked": TokenLapsed,
    "token.used_up": TokenUsedUp,
    "token.too_many_attempts": TooManyAttempts,
    "credential.refused": CredentialRefused,
}
"""Refusal code -> what it means here; any other is Refused."""

Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer, read to its end. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


Send = Callable[[str, str, Mapping[str, str], bytes | None], Response]
"""``send(method, path, headers, body)``: the seam to the controller; raises only AgentError."""


class Https:
    """A Send over TLS to one ``https://host[:port]``. The connection is kept between two calls until ``close()``."""

    def __init__(self, url: str, context: ssl.SSLContext, timeout: float = TIMEOUT) -> None:
        self.url = url
        self.timeout = timeout
        host, port = split_url(url)
        self.connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        try:
            return self.exchange(method, path, headers, body)
        except ssl.SSLCertVerificationError as error:
            self.close()
            if error.verify_code in OUT_OF_DATES:
                raise out_of_dates(self.url, error) from error
            raise WrongAuthority(
                f"Le serveur {self.url} ne prouve pas qu’il est le contrôleur attendu ({distrust(error)}). "
                "Rien ne lui a été confié. Vérifiez l’adresse et le code, et qu’aucun portail captif ne s’interpose."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ControllerUnreachable(f"Le contrôleur {self.url} ne répond pas ({reason(error)}).") from error

    def exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        self.connection.request(method, path, body, {"User-Agent": f"preau-agent/{VERSION}", **headers})
        response = self.connection.getresponse()
        content = read_bounded(response, time.monotonic() + 2 * self.timeout)
        names = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, names, content)

    def close(self) -> None:
        self.connection.close()


def hang_up(send: Send) -> None:
    """Close the connection behind a Send, if there is one."""
    if isinstance(send, Https):
        send.close()


class Controller:
    """The three things a device asks. One for each conversation; ``close()`` is the caller's."""

    def __init__(self, send: Send) -> None:
        self.send = send

    def enroll(self, request: EnrollmentRequest) -> EnrollmentReply:
        """Redeem a token. Raises the AgentError that the refusal stands for."""
        return self.post("/agent/v1/enrollments", encode(request), {}, EnrollmentReply)

    def check_in(self, bearer: str, message: CheckIn) -> CheckInReply:
        """Say what is, hear what should be. Raises CredentialRefused, ControllerUnreachable or Refused."""
        headers = {"Authorization": f"Bearer {bearer}"}
        return self.post("/agent/v1/checkins", encode(message), headers, CheckInReply)

    def find_ca(self) -> Response:
        return self.send("GET", "/agent/v1/ca", {}, None)

    def check_clock(self, now: datetime) -> None:
        """Raise WrongClock when the controller's clock is more than five minutes away."""
        theirs = date_of(self.find_ca())
        if theirs and abs((now - theirs).total_seconds()) > CLOCK_TOLERANCE:
            raise WrongClock(now, theirs, "L’heure de cet appareil et celle du contrôleur diffèrent trop.")

    def post(self, path: str, body: bytes, headers: Mapping[str, str], kind: type[Reply]) -> Reply:
        if len(body) > MAX_BODY:
            raise Refused("Le message dépasse ce que le contrôleur accepte de lire.")
        response = self.send("POST", path, {"Content-Type": "application/json", **headers}, body)
        if not 200 <= response.status < 300:
            raise refusal(response)
        try:
            return decode(kind, response.body)
        except ProtocolError as error:
            raise Refused("La réponse du contrôleur n’est pas comprise : est-ce bien un contrôleur Préau ?") from error


def refusal(response: Response) -> AgentError:
    """What an answer other than 2xx means for this device."""
    try:
        told = decode(Refusal, response.body)
    except ProtocolError:
        told = Refusal("")
    detail = told.detail or f"Le contrôleur a répondu {response.status}."
    if (known := REFUSALS.get(told.code)) is not None:
        return known(detail)
    if response.status in {429, 503} or response.status >= 500:
        return ControllerUnreachable(f"Le contrôleur est momentanément indisponible : {detail}", wait_of(response))
    if 300 <= response.status < 400:
        return Refused("Le contrôleur renvoie vers une autre adresse ; indiquez la bonne avec --controller.")
    return Refused(f"{detail} [{told.code}]" if told.code else detail, told.code)


def wait_of(response: Response) -> float | None:
    """Seconds in Retry-After, when it is a plausible number."""
    text = response.headers.get("retry-after", "")
    return min(float(text), LONGEST_RETRY_AFTER) if re.fullmatch(r"[0-9]{1,9}", text) else None


def trusting(ca_pem: str) -> ssl.SSLContext:
    """A context in which only this CA vouches for the controller; the system's trust store when it is empty."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, and checks the host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_pem:
        context.load_verify_locations(cadata=ca_pem)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def untrusting() -> ssl.SSLContext:
    """A context that believes anyone: only to fetch what is then compared with a pin, or a hint for a person."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def fetch_ca(url: str, token: Token) -> str:
    """The controller's CA as PEM, proved by the token's pin; empty when the token has none (public CA).

    Raises WrongAuthority when no certificate served has the pinned SHA-256.
    """
    if not token.pin:
        return ""
    response = peek(url)
    for der in certificates(response.body):
        if token.pins(der):
            return ssl.DER_cert_to_PEM_cert(der)  # of the bytes compared, not of the text received
    raise WrongAuthority(
        f"Le serveur {url} ne présente pas l’autorité que le code annonce. Rien ne lui a été confié. Vérifiez "
        "l’adresse et le code, et qu’aucun portail captif ne s’interpose."
    )


def peek(url: str) -> Response:
    """GET /agent/v1/ca from whoever answers."""
    anyone = Https(url, untrusting())
    try:
        return Controller(anyone).find_ca()
    finally:
        anyone.close()


def certificates(body: bytes) -> list[bytes]:
    """The DER of every PEM certificate in the body; what is not one is skipped."""
    found = []
    for block in re.findall(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", body):
        try:
            found.append(ssl.PEM_cert_to_DER_cert(block.decode("ascii")))
        except ValueError:
            log.warning("certificate block is not base64")
    return found


def out_of_dates(url: str, error: ssl.SSLCertVerificationError) -> WrongClock:
    """Tell a wrong clock with both times; the controller's is a hint, since nobody vouches for it."""
    try:
        theirs = date_of(peek(url))
    except AgentError:
        theirs = None
    why = f"Le certificat du contrôleur n’est pas valable à l’heure de cet appareil ({distrust(error)})."
    return WrongClock(datetime.now(UTC), theirs, why)


def date_of(response: Response) -> datetime | None:
    """The moment in the answer's Date header."""
    try:
        moment = parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def split_url(url: str) -> tuple[str, int]:
    """Host and port of ``https://host[:port]``; raises UsageError for anything else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
        (host or "").encode("idna")  # as the socket will: an empty or endless label is refused here
    except ValueError:
        host = None
    if not host or parts.scheme != "https" or parts.path.strip("/") or parts.query or parts.username:
        raise UsageError(f"L’adresse du contrôleur s’écrit https://nom[:port] (reçu : {url[:100]!r}).")
    return host, port


def read_bounded(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """The body, refused when it is too long, cut short, or drips for ever."""
    announced = response.headers.get("Content-Length")
    expected = int(announced) if announced is not None and not response.chunked else None
    body = bytearray()
    while len(body) != expected:
        # Our own count: read1() of Python 3.11 forgets it, and would wait for bytes of the next answer.
        chunk = response.read1(65536 if expected is None else min(65536, expected - len(body)))
        if not chunk:
            break
        body += chunk
        if len(body) > LARGEST_REPLY or time.monotonic() > deadline:
            raise http.client.HTTPException("réponse trop longue")
    if expected is not None and len(body) < expected:
        raise http.client.HTTPException("réponse coupée")
    response.close()  # the connection stays
    return bytes(body)


def reason(error: Exception) -> str:
    """A short cause, never the content of a message."""
    if isinstance(error, TimeoutError):
        return "délai dépassé"
    if isinstance(error, ConnectionRefusedError):
        return "connexion refusée"
    if isinstance(error, socket.gaierror):
        return "ce nom est introuvable : pas de réseau, ou pas de DNS"
    if isinstance(error, ConnectionError):
        return "connexion coupée"
    if isinstance(error, ssl.SSLError):
        return "la connexion chiffrée échoue : " + TLS_CAUSES.get(error.reason or "", error.reason or "coupée")
    if isinstance(error, OSError) and error.strerror:
        return NETWORK_CAUSES.get(error.errno or 0, error.strerror)
    if isinstance(error, http.client.BadStatusLine | http.client.LineTooLong):
        return "réponse qui n’est pas du HTTP"
    return str(error) or type(error).__name__


def distrust(error: ssl.SSLCertVerificationError) -> str:
    """Why a certificate is not believed; OpenSSL's own words for what is rare."""
    return CERTIFICATE_CAUSES.get(error.verify_code, error.verify_message)

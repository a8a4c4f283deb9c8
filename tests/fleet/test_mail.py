"""Letters and SMTP conversations, with a real server."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from fleet.errors import ConfigurationError
from fleet.mail import Letter, MailDelayed, MailRefused, is_loopback, send
from tests.certificates import Authority
from tests.factories import NOON
from tests.fleet.smtp import Postman, serving

LETTER = Letter(
    sender="preau@aisne.example",
    recipient="mairie@etreaupont.example",
    recipient_name="Élodie Lefèvre",
    subject="[Préau #7] Écran noir à l’école",
    body="Bonjour,\n\n.\nL’écran est noir depuis « lundi » : 12 €.\n",
    message_id="<mail-1@preau.example>",
    thread_id="<ticket-1@preau.example>",
    written_at=NOON,
)


@pytest.fixture
def postman() -> Postman:
    return Postman()


def server_tls(directory: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS settings, and the CA to trust."""
    authority = Authority.make(directory)
    issued = authority.issue(*names)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate, issued.key)
    return context, authority.certificate


def test_a_letter_arrives_as_it_was_written(postman: Postman) -> None:
    with serving(postman) as url:
        send(url, LETTER)
    [letter] = postman.letters
    assert letter["Subject"] == LETTER.subject
    assert letter["To"] == "Élodie Lefèvre <mairie@etreaupont.example>"
    assert letter["From"] == "Préau <preau@aisne.example>"
    assert letter["Message-ID"] == LETTER.message_id
    assert letter["References"] == LETTER.thread_id
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Date"].datetime == NOON
    assert letter.get_content().replace("\r\n", "\n") == LETTER.body  # the lone dot and the accents too
    assert postman.recipients == [LETTER.recipient]


def test_no_value_breaks_out_of_its_header(postman: Postman) -> None:
    nasty = "Panne\r\nBcc: tous@example.test\r\n\r\nFaux corps\x00"
    with serving(postman) as url:
        send(url, replace(LETTER, subject=nasty, recipient_name=f'"{nasty}" <x@y.z>'))
    [letter] = postman.letters
    assert letter["Bcc"] is None
    assert letter["Subject"] == "Panne Bcc: tous@example.test Faux corps"
    assert postman.recipients == [LETTER.recipient]
    assert letter.get_content().startswith("Bonjour")


@pytest.mark.parametrize("address", ["mairie", "a@b\r\nRCPT TO:<x@y.z>", "", "a b@c.d", "a@", "@b"])
def test_an_unusable_address_is_refused_before_any_conversation(address: str) -> None:
    with pytest.raises(MailRefused):
        send("smtp://127.0.0.1:1", replace(LETTER, recipient=address))


def test_tls_is_used_when_offered_even_with_an_unknown_certificate(postman: Postman, tmp_path: Path) -> None:
    tls, _ = server_tls(tmp_path, "ailleurs.example")
    with serving(postman, tls) as url:
        send(url, LETTER)
    assert postman.was_encrypted == [True]


def test_without_tls_it_goes_in_the_clear(postman: Postman) -> None:
    with serving(postman) as url:
        send(url, LETTER)
    assert postman.was_encrypted == [False]


def test_signing_in(postman: Postman, tmp_path: Path) -> None:
    tls, _ = server_tls(tmp_path, "127.0.0.1")
    with serving(postman, tls, authenticator=postman.authenticate, auth_required=True) as url:
        send(url.replace("//", "//preau%40aisne:bon%20mot@"), LETTER)
        with pytest.raises(MailDelayed, match="535"):  # a setting to correct: the letter is not lost
            send(url.replace("//", "//preau:faux@"), LETTER)
        with pytest.raises(MailDelayed, match="sans accent"):
            send(url.replace("//", "//pr%C3%A9au:bon%20mot@"), LETTER)
    assert postman.logins[0] == ("preau@aisne", "bon mot")
    assert len(postman.letters) == 1


def test_smtps_wants_a_certificate_it_can_verify(
    postman: Postman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, authority = server_tls(tmp_path, "127.0.0.1")
    controller = Controller(postman, hostname="127.0.0.1", port=postman.port, ssl_context=tls)
    url = f"smtps://127.0.0.1:{postman.port}"
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))  # aiosmtpd's own probe verifies too
    controller.start()
    try:
        send(url, LETTER)
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(MailDelayed, match="certificate verify failed"):
            send(url, LETTER)
    finally:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        controller.stop()
    assert len(postman.letters) == 1


@pytest.mark.parametrize(
    ("host", "stays_here"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("localhost.example", False)],
)
def test_where_a_password_may_go_in_the_clear(host: str, stays_here: bool) -> None:
    assert is_loopback(host) == stays_here


@pytest.mark.parametrize(
    ("where", "reply", "error"),
    [
        ("replies", "451 réessayez plus tard", MailDelayed),
        ("replies", "554 contenu refusé", MailRefused),
        ("recipient_replies", "450 boîte occupée", MailDelayed),
        ("recipient_replies", "550 inconnu ici", MailRefused),
    ],
)
def test_what_passes_and_what_stays(postman: Postman, where: str, reply: str, error: type[Exception]) -> None:
    getattr(postman, where).append(reply)
    with serving(postman) as url:
        with pytest.raises(error, match=reply[:3]):
            send(url, LETTER)
        send(url, LETTER)
    assert len(postman.letters) == 1


def test_a_server_that_is_away_is_a_delay(postman: Postman) -> None:
    with pytest.raises(MailDelayed, match="injoignable"):
        send(f"smtp://127.0.0.1:{postman.port}", LETTER)


@pytest.mark.parametrize("url", ["http://mail.example", "smtp://", "mail.example:25"])
def test_another_kind_of_url_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigurationError):
        send(url, LETTER)

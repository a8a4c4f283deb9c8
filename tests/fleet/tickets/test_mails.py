"""Mails owed for tickets: sent once, late rather than never, by tasks that may run twice or die."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import create_engine, select, update
from sqlalchemy.orm import Session

from fleet import mail, owed_mail
from fleet.accounts import service as accounts
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.scope import Role
from fleet.tickets import mails, service, tasks
from fleet.tickets.models import MailOccasion, Ticket, TicketKind, TicketMail, TicketSubject
from fleet.worker import make_celery
from tests.factories import NOON, make_school, make_ticket, make_user
from tests.fleet.smtp import Postman, serving


@pytest.fixture
def postman() -> Postman:
    return Postman()


@pytest.fixture
def with_smtp(app: FastAPI, config: FleetConfig, postman: Postman) -> FleetConfig:
    """The settings of an installation whose mail server is the postman, up or not."""
    config = replace(config, smtp_url=f"smtp://127.0.0.1:{postman.port}", mail_from="preau@aisne.example")
    make_celery(config)
    return config


@pytest.fixture
def ticket(session: Session) -> Ticket:
    """Opened just now by an officer; one technician is staff."""
    school = make_school(session, name="École du Bourg")
    make_user(session, email="technicien@example.test")
    officer = make_user(
        session, Role.OFFICER, collectivity=school.collectivity, name="Élodie", email="mairie@example.test"
    )
    return service.open_ticket(
        session, accounts.get_viewer(session, officer.id), kind=TicketKind.INCIDENT, subject=TicketSubject.SCHOOL,
        title="Écran noir", description="Depuis « lundi ». {accolades}", school=school, now=utc_now(),
    )  # fmt: skip


def owed(session: Session) -> list[TicketMail]:
    query = select(TicketMail).order_by(TicketMail.recipient).execution_options(populate_existing=True)
    return list(session.scalars(query))


def make_due(session: Session, moment: datetime | None = None) -> None:
    """As if the time to try again had come."""
    session.execute(update(TicketMail).values(next_attempt_at=moment or utc_now() - timedelta(seconds=1)))


def send_all(session: Session) -> None:
    """What a worker does with what the sweep finds."""
    for mail_id in mails.list_due(session, utc_now()):
        tasks.send_mail(str(mail_id))


def test_staff_and_opener_each_get_their_letter_once(
    session: Session, ticket: Ticket, with_smtp: FleetConfig, postman: Postman
) -> None:
    everything = [str(m.id) for m in owed(session)]
    with serving(postman):
        for mail_id in everything * 2:
            tasks.send_mail(mail_id)
    assert sorted(postman.recipients) == ["mairie@example.test", "technicien@example.test"]
    assert all(m.sent_at is not None and m.attempts == 1 for m in owed(session))
    letters = {letter["To"]: letter for letter in postman.letters}
    confirmation = letters["Élodie <mairie@example.test>"]
    assert confirmation["Subject"] == f"[Préau #{ticket.number}] Écran noir"
    text = confirmation.get_content()
    assert "Votre ticket" in text
    assert "Depuis « lundi ». {accolades}" in text
    assert f"https://preau.example.test/tickets/{ticket.id}" in text
    notice = letters["technicien@example.test"].get_content()
    assert "ouvert par Élodie" in notice
    assert "École du Bourg" in notice
    assert confirmation["References"] == letters["technicien@example.test"]["References"]


def test_a_server_that_comes_back_gets_what_waited(
    session: Session, ticket: Ticket, with_smtp: FleetConfig, postman: Postman
) -> None:
    send_all(session)
    assert {(m.attempts, m.sent_at) for m in owed(session)} == {(1, None)}
    assert all("injoignable" in (m.error or "") and m.next_attempt_at > utc_now() for m in owed(session))
    with serving(postman):
        send_all(session)
        assert postman.letters == []  # not due yet
        make_due(session)
        send_all(session)
    assert len(postman.letters) == 2
    assert {m.error for m in owed(session)} == {None}


def test_a_busy_server_is_asked_again(
    session: Session, ticket: Ticket, with_smtp: FleetConfig, postman: Postman
) -> None:
    postman.replies = ["451 plus tard", "452 encore plus tard"]
    with serving(postman):
        for _ in range(2):
            send_all(session)
            make_due(session)
    assert len(postman.letters) == 2
    assert {m.attempts for m in owed(session)} == {2}


def test_an_unknown_recipient_is_not_written_to_for_ever(
    session: Session, ticket: Ticket, with_smtp: FleetConfig, postman: Postman
) -> None:
    postman.recipient_replies = ["550 inconnu ici"]
    with serving(postman):
        for _ in range(3):
            send_all(session)
            make_due(session)
    [refused] = [m for m in owed(session) if m.gave_up_at]
    assert (refused.attempts, refused.sent_at) == (1, None)
    assert "550 inconnu ici" in (refused.error or "")
    assert len(postman.letters) == 1


def test_a_crash_after_the_server_took_it_repeats_the_same_letter(
    session: Session, ticket: Ticket, with_smtp: FleetConfig, postman: Postman
) -> None:
    [first, *_] = owed(session)
    claimed = mails.claim(session, first.id, with_smtp, utc_now())
    assert claimed is not None
    with serving(postman) as url:
        mail.send(url, claimed.letter)  # and then the worker dies: nothing is recorded
        tasks.send_mail(str(first.id))
        assert len(postman.letters) == 1  # the lease holds
        make_due(session)
        tasks.send_mail(str(first.id))
    assert len(postman.letters) == 2
    assert postman.letters[0]["Message-ID"] == postman.letters[1]["Message-ID"]
    assert postman.letters[0]["Date"] == postman.letters[1]["Date"]


def test_whoever_lost_the_lease_changes_nothing(session: Session, ticket: Ticket, with_smtp: FleetConfig) -> None:
    [first, *_] = owed(session)
    slow = mails.claim(session, first.id, with_smtp, utc_now())
    make_due(session)
    quick = mails.claim(session, first.id, with_smtp, utc_now() + owed_mail.LEASE)
    assert slow is not None
    assert quick is not None
    owed_mail.record_sent(session, quick, NOON)
    owed_mail.record_delay(session, slow, "trop lent", NOON)
    owed_mail.record_refusal(session, slow, "trop lent", NOON)
    assert (first.sent_at, first.error, first.gave_up_at) == (NOON, None, None)


def test_after_three_days_it_is_given_up(session: Session, ticket: Ticket, with_smtp: FleetConfig) -> None:
    [first, *_] = owed(session)
    now = first.queued_at
    while first.gave_up_at is None:
        claimed = mails.claim(session, first.id, with_smtp, now)
        assert claimed is not None
        owed_mail.record_delay(session, claimed, "injoignable", now)
        now = first.next_attempt_at
        assert first.attempts < 200
    assert timedelta(days=3) <= first.gave_up_at - first.queued_at <= timedelta(days=3, hours=2)
    assert mails.claim(session, first.id, with_smtp, now + timedelta(days=30)) is None


def wait_a_week(session: Session) -> None:
    """As if the mails had been owed for a week before a server was named."""
    session.execute(update(TicketMail).values(queued_at=utc_now() - timedelta(days=7)))


def try_again(session: Session, times: int) -> None:
    for _ in range(times):
        make_due(session)
        send_all(session)


def test_a_mail_that_waited_a_week_is_given_up_at_its_twentieth_try_only(
    session: Session, ticket: Ticket, with_smtp: FleetConfig, postman: Postman
) -> None:
    wait_a_week(session)
    postman.replies = ["451 plus tard"] * 40  # twenty for each of the two mails
    with serving(postman):
        try_again(session, 19)
        assert {(m.attempts, m.gave_up_at) for m in owed(session)} == {(19, None)}
        try_again(session, 1)
        assert all(m.attempts == 20 and m.gave_up_at and not m.sent_at for m in owed(session))
        assert all("451 plus tard" in (m.error or "") for m in owed(session))
        try_again(session, 1)  # the server would take them now
    assert (postman.replies, postman.letters) == ([], [])


def test_a_mail_that_waited_a_week_leaves_at_its_twentieth_try(
    session: Session, ticket: Ticket, with_smtp: FleetConfig, postman: Postman
) -> None:
    wait_a_week(session)
    postman.replies = ["451 plus tard"] * 38
    with serving(postman):
        try_again(session, 20)
    assert sorted(postman.recipients) == ["mairie@example.test", "technicien@example.test"]
    assert all(m.sent_at and m.attempts == 20 and not m.gave_up_at and not m.error for m in owed(session))


def test_a_new_mail_outlives_its_twentieth_try(
    session: Session, ticket: Ticket, with_smtp: FleetConfig, postman: Postman
) -> None:
    postman.replies = ["451 plus tard"] * 42
    with serving(postman):
        try_again(session, 22)
    assert len(postman.letters) == 2
    assert {(m.attempts, m.gave_up_at) for m in owed(session)} == {(22, None)}


def test_twenty_tries_take_half_a_day(session: Session, ticket: Ticket, with_smtp: FleetConfig) -> None:
    [first, *_] = owed(session)
    start = now = first.queued_at + timedelta(days=7)
    while first.gave_up_at is None:
        claimed = mails.claim(session, first.id, with_smtp, now)
        assert claimed is not None
        now = owed_mail.record_delay(session, claimed, "injoignable", now) or now
    assert first.attempts == 20
    assert timedelta(hours=10) <= first.gave_up_at - start <= timedelta(hours=16)


def test_the_pause_doubles_up_to_an_hour() -> None:
    for attempts, seconds in ((1, 30), (2, 60), (5, 480), (8, 3600), (1000, 3600)):
        assert 0.8 * seconds <= owed_mail.delay_after(attempts).total_seconds() <= 1.2 * seconds


def test_without_a_server_mails_wait_and_it_is_said_once(
    session: Session, ticket: Ticket, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    owed_mail.say_that_mail_waits.cache_clear()
    for _ in range(3):
        tasks.sweep_mails()
        tasks.send_mail(str(owed(session)[0].id))
    assert {(m.attempts, m.sent_at, m.error) for m in owed(session)} == {(0, None, None)}
    assert [r.levelname for r in caplog.records if "PREAU_SMTP_URL" in r.message] == ["WARNING"]


def test_two_workers_never_hold_the_same_mail(own_database_url: str, config: FleetConfig) -> None:
    engine = create_engine(own_database_url)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        row = TicketMail(
            ticket_id=make_ticket(session).id, occasion=MailOccasion.OPENED, recipient="a@example.test",
            queued_at=NOON, next_attempt_at=NOON,
        )  # fmt: skip
        session.add(row)
    with Session(engine) as one, one.begin(), Session(engine) as other, other.begin():
        assert mails.claim(one, row.id, config, NOON) is not None
        assert mails.claim(other, row.id, config, NOON) is None  # skipped, not waited for
    engine.dispose()

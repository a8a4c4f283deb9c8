"""Invitations and resets by mail: one use, one secret, the same answer for everybody, nothing lost."""

import re
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from fleet import owed_mail
from fleet.accounts import administration, letters, service, sessions, signing_in, tasks
from fleet.accounts.models import AccountLetter, LetterKind, User
from fleet.accounts.passwords import check_choice
from fleet.accounts.service import get_viewer
from fleet.accounts.sessions import Visit
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.errors import Conflict, Invalid
from fleet.scope import Grant, Role, Viewer
from fleet.worker import make_celery
from tests.conftest import Clock
from tests.factories import NOON, PASSWORD, make_school, make_user
from tests.fleet.accounts.codes import give_second_factor
from tests.fleet.smtp import Postman, serving

LINK = re.compile(r"https://preau\.example\.test(/invitation|/reset/new)#([\w-]{43})\s")
NEW = "quatre mots sans aucun rapport"


@pytest.fixture
def postman() -> Postman:
    return Postman()


@pytest.fixture
def with_smtp(app: FastAPI, config: FleetConfig, postman: Postman) -> FleetConfig:
    config = replace(config, smtp_url=f"smtp://127.0.0.1:{postman.port}", mail_from="preau@aisne.example")
    make_celery(config)
    return config


@pytest.fixture
def admin(session: Session) -> Viewer:
    return get_viewer(session, make_user(session, Role.ADMIN, name="Camille Renard").id)


def owed(session: Session) -> list[AccountLetter]:
    return list(session.scalars(select(AccountLetter).order_by(AccountLetter.queued_at, AccountLetter.kind)))


def deliver(session: Session, postman: Postman) -> list[EmailMessage]:
    """Send all that is owed, as the worker does; what arrived."""
    session.execute(update(AccountLetter).values(next_attempt_at=utc_now() - timedelta(seconds=1)))
    session.commit()
    before = len(postman.letters)
    with serving(postman):
        for letter_id in owed_mail.list_due(session, AccountLetter, utc_now()):
            tasks.send_letter(str(letter_id))
    session.expire_all()
    return postman.letters[before:]


def text_of(letter: EmailMessage) -> str:
    return str(letter.get_content())


def link_in(letter: EmailMessage) -> tuple[str, str]:
    """Where its link leads, and the secret behind "#"."""
    found = LINK.search(text_of(letter))
    assert found is not None, text_of(letter)
    return found.group(1), found.group(2)


def invite(session: Session, admin: Viewer, email: str = "mairie@example.test") -> User:
    grant = Grant(Role.OFFICER, make_school(session).collectivity_id)
    return administration.invite(session, admin, email=email, name="Nadia Carlier", grant=grant, now=utc_now())


@pytest.fixture
def now_is_real(clock: Clock) -> Clock:
    """Workers read the real clock; pages must live in the same time."""
    clock.now = utc_now()
    return clock


def use(api: TestClient, path: str, secret: str, password: str = NEW) -> int:
    return api.post(
        f"{path}/password", data={"secret": secret, "password": password}, follow_redirects=False
    ).status_code


@pytest.mark.usefixtures("with_smtp", "now_is_real")
def test_an_invitation_leads_to_a_password_once(
    api: TestClient, session: Session, admin: Viewer, postman: Postman
) -> None:
    user = invite(session, admin)
    [letter] = deliver(session, postman)
    assert "Camille Renard" in text_of(letter)
    assert postman.recipients == ["mairie@example.test"]
    path, secret = link_in(letter)
    assert path == "/invitation"
    assert secret not in str([vars(row) for row in owed(session)])  # the database has a digest
    assert "Nadia Carlier" in api.post(path, data={"secret": secret}).text
    assert "Nadia Carlier" in api.post(path, data={"secret": secret}).text  # to look uses nothing up
    assert use(api, path, secret, "trop court") == 422
    answer = api.post(f"{path}/password", data={"secret": secret, "password": NEW}, follow_redirects=False)
    assert answer.status_code == 303
    assert api.get("/api/v1/accounts/me").json()["email"] == user.email
    assert signing_in.sign_in(session, user.email, NEW, Visit("192.0.2.1"), utc_now()).token
    over = api.post(path, data={"secret": secret})
    assert over.status_code == 404
    assert "Demandez une nouvelle invitation" in over.text


@pytest.mark.usefixtures("with_smtp", "now_is_real")
def test_a_second_invitation_closes_the_first(
    api: TestClient, session: Session, admin: Viewer, postman: Postman
) -> None:
    user = invite(session, admin)
    [first] = deliver(session, postman)
    administration.send_invitation(session, admin, user, utc_now())
    [second] = deliver(session, postman)
    assert use(api, *link_in(first)) == 404
    assert use(api, *link_in(second)) == 303
    session.expire_all()
    with pytest.raises(Conflict):
        administration.send_invitation(session, admin, user, utc_now())


@pytest.mark.usefixtures("with_smtp", "now_is_real")
def test_a_withdrawn_invitation_opens_nothing_and_leaves_nothing(
    api: TestClient, session: Session, admin: Viewer, postman: Postman
) -> None:
    user = invite(session, admin)
    [letter] = deliver(session, postman)
    administration.withdraw_invitation(session, administration.get_managed(session, admin, user.id))
    assert use(api, *link_in(letter)) == 404
    assert session.scalar(select(func.count()).where(User.email == "mairie@example.test")) == 0


@pytest.mark.usefixtures("with_smtp")
@pytest.mark.parametrize(("kind", "hours"), [("invitation", 7 * 24), ("reset", 1)])
def test_a_link_ends(
    api: TestClient, session: Session, admin: Viewer, postman: Postman, now_is_real: Clock, kind: str, hours: int
) -> None:
    user = invite(session, admin)
    if kind == "reset":
        deliver(session, postman)
        service.ask_reset(session, user.email, "192.0.2.1", utc_now())
    [letter] = deliver(session, postman)
    path, secret = link_in(letter)
    now_is_real.now = utc_now() + timedelta(hours=hours, seconds=5)
    assert use(api, path, secret) == 404
    now_is_real.now = utc_now() + timedelta(hours=hours, seconds=-60)
    assert use(api, path, secret) == 303


@pytest.mark.usefixtures("with_smtp", "now_is_real")
def test_a_reset_ends_what_was_open_and_says_so(api: TestClient, session: Session, postman: Postman) -> None:
    user = make_user(session)
    give_second_factor(session, user, NOON)
    before = sessions.open_session(session, user, Visit("192.0.2.1"), utc_now())
    assert api.post("/reset", data={"email": f" {user.email.upper()} "}).status_code == 200
    [letter] = deliver(session, postman)
    path, secret = link_in(letter)
    answer = api.post(f"{path}/password", data={"secret": secret, "password": NEW}, follow_redirects=False)
    assert answer.headers["location"] == "/sign-in/code"  # the second factor is asked for all the same
    assert sessions.find_signed_in(session, before.token, utc_now()) is None
    assert api.get("/api/v1/accounts/me").status_code == 401
    [told] = deliver(session, postman)
    assert "nouveau mot de passe" in text_of(told)
    assert use(api, path, secret) == 404


@pytest.mark.usefixtures("with_smtp", "now_is_real")
def test_an_unknown_address_gets_the_same_answer_and_no_mail(
    api: TestClient, session: Session, postman: Postman, statements: list[str]
) -> None:
    known, closed = make_user(session), make_user(session, is_active=False)
    said, asked = set(), set()
    for email in (known.email, "personne@example.test", closed.email):
        statements.clear()
        said.add(api.post("/reset", data={"email": email}).text)
        asked.add(tuple(statements))
    assert len(said) == len(asked) == 1  # the very same statements: no difference in time to measure
    assert [letter["To"].addresses[0].addr_spec for letter in deliver(session, postman)] == [known.email]
    assert deliver(session, postman) == []


def test_nobody_can_fill_another_one_s_letter_box(api: TestClient, session: Session, clock: Clock) -> None:
    user = make_user(session)
    for number in range(12):
        service.ask_reset(session, user.email, f"198.51.100.{number}", clock.now)
    assert len(owed(session)) == letters.RESETS_A_DAY
    answers = [api.post("/reset", data={"email": f"{number}@example.test"}).status_code for number in range(31)]
    assert answers == [200] * 30 + [429]


@pytest.mark.usefixtures("with_smtp", "now_is_real")
def test_a_mail_that_is_tried_again_has_a_link_of_its_own(
    api: TestClient, session: Session, admin: Viewer, with_smtp: FleetConfig
) -> None:
    """A worker that was killed may have sent it or not: whichever arrives last opens."""
    invite(session, admin)
    [row] = owed(session)
    now = utc_now() + timedelta(seconds=1)
    lost = letters.claim(session, row.id, with_smtp, now)
    again = letters.claim(session, row.id, with_smtp, now + owed_mail.LEASE)
    assert lost is not None
    assert again is not None
    assert lost.letter.message_id != again.letter.message_id
    first, second = (LINK.search(claimed.letter.body) for claimed in (lost, again))
    assert first is not None
    assert second is not None
    session.flush()
    assert use(api, "/invitation", first.group(2)) == 404
    assert use(api, "/invitation", second.group(2)) == 303


@pytest.mark.usefixtures("with_smtp", "now_is_real")
def test_a_link_of_one_kind_opens_no_other_page(
    api: TestClient, session: Session, admin: Viewer, postman: Postman
) -> None:
    invite(session, admin)
    [letter] = deliver(session, postman)
    assert use(api, "/reset/new", link_in(letter)[1]) == 404


def test_no_link_leaves_for_an_account_that_was_closed_meanwhile(
    session: Session, admin: Viewer, with_smtp: FleetConfig
) -> None:
    user = invite(session, admin)
    administration.close(session, user, utc_now())
    [row] = owed(session)
    assert letters.claim(session, row.id, with_smtp, utc_now() + timedelta(minutes=1)) is None
    assert (row.error, row.token_hash, row.kind) == ("sans objet", None, LetterKind.INVITATION)


def test_letters_of_long_ago_are_forgotten(session: Session) -> None:
    for days in (0, 89, 91):
        letters.owe_reset(session, f"{days}@example.test", NOON - timedelta(days=days))
    assert letters.purge(session, NOON) == 1
    assert {row.recipient for row in owed(session)} == {"0@example.test", "89@example.test"}


def test_links_are_not_for_other_sites_forms(api: TestClient) -> None:
    for path in ("/invitation", "/reset/new", "/invitation/password", "/reset"):
        assert api.post(path, data={"secret": "x"}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("nadia.carlier@ville-guise.fr", "account.password_personal"),
        ("Nadia Carlier 2026", "account.password_personal"),
        ("carlierNADIA!!", "account.password_personal"),
        ("aaaaaaaaaaaaaa", "account.password_simple"),
        ("azertyuiopqsdf", "account.password_simple"),
        ("0123456789012", "account.password_simple"),
        ("zyxwvutsrqponm", "account.password_simple"),
        ("quatre mots pour Nadia demain", ""),
        (PASSWORD, ""),
    ],
)
def test_which_passwords_are_taken(password: str, code: str) -> None:
    if not code:
        check_choice(password, "nadia.carlier@ville-guise.fr", "Nadia Carlier")
        return
    with pytest.raises(Invalid) as refused:
        check_choice(password, "nadia.carlier@ville-guise.fr", "Nadia Carlier")
    assert refused.value.code == code

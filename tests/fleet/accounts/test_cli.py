"""`preau account`: what the pages do, from the controller's own command line."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, selectinload
from typer.testing import CliRunner

from fleet.accounts import second_factor, tokens
from fleet.accounts.cli import app
from fleet.accounts.models import AccountLetter, User
from fleet.clock import utc_now
from fleet.errors import FleetError
from fleet.scope import Role
from tests.factories import make_school, make_user
from tests.fleet.accounts.codes import give_second_factor

Run = Callable[..., str]


@pytest.fixture
def database(own_database_url: str) -> Session:
    engine = create_engine(own_database_url)
    return Session(engine, expire_on_commit=False)


@pytest.fixture
def run(own_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command and return what it printed; raise what it raised."""
    monkeypatch.setenv("PREAU_ENV_FILE", "/nowhere")
    monkeypatch.setenv("PREAU_DATABASE_URL", own_database_url)
    monkeypatch.setenv("PREAU_BROKER_URL", "memory://")
    monkeypatch.setenv("PREAU_PUBLIC_URL", "https://preau.example.test")

    def call(*arguments: str, stdin: str = "\n") -> str:
        done = CliRunner().invoke(app, arguments, input=stdin)
        if isinstance(done.exception, FleetError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return call


def account(database: Session, email: str) -> User:
    query = select(User).where(User.email == email).options(selectinload(User.grants))
    return database.scalars(query.execution_options(populate_existing=True)).one()


def test_a_whole_life(database: Session, run: Run) -> None:
    school = make_school(database)
    boss = make_user(database, Role.ADMIN)
    database.commit()
    email = "lea@example.test"
    assert "PREAU_SMTP_URL" in run("invite", email, "--name", "Léa", "--role", "school_lead", "--uai", school.uai)
    assert database.scalars(select(AccountLetter.recipient)).all() == [email]
    assert "invité" in run("list")
    insee = str(school.collectivity.insee_code)
    run("give-role", email, "--role", "officer", "--insee", insee)
    assert {g.role for g in account(database, email).grants} == {Role.SCHOOL_LEAD, Role.OFFICER}
    run("give-role", email, "--role", "auditor", "--until", f"{utc_now().year + 2}-07-05")
    [ends] = [g.ends_at for g in account(database, email).grants if g.ends_at is not None]
    assert ends == datetime(utc_now().year + 2, 7, 5, 22, tzinfo=UTC), "the whole last day, in France"
    run("take-role", email, "--role", "auditor")
    run("take-role", email, "--role", "school_lead", "--uai", school.uai)
    with pytest.raises(FleetError, match="dernier rôle"):
        run("take-role", email, "--role", "officer", "--insee", insee)
    assert "affiché une seule fois" in run("password", email)
    run("close", email)
    assert not account(database, email).is_active
    run("reopen", email)
    assert account(database, email).is_active
    with pytest.raises(FleetError, match="dernier compte d’administration"):
        run("close", boss.email)


def test_a_lost_telephone(database: Session, run: Run) -> None:
    user = make_user(database)
    give_second_factor(database, user, utc_now())
    database.commit()
    run("reset-second-factor", user.email)
    database.expire_all()
    assert not second_factor.is_on(database, user.id)


def test_tokens(database: Session, run: Run) -> None:
    user = make_user(database)
    database.commit()
    text = run("token", "create", user.email, "--name", "export", "--role", "auditor").strip()
    assert tokens.authenticate(database, f"Bearer {text}", "192.0.2.1", utc_now()).user_id == user.id
    database.commit()
    assert text[: tokens.SHOWN] in run("token", "list", user.email)
    with pytest.raises(FleetError, match="jamais plus de droits"):
        run("token", "create", user.email, "--name", "trop", "--role", "admin")
    run("token", "revoke", user.email, text[: tokens.SHOWN])
    with pytest.raises(FleetError):
        tokens.authenticate(database, f"Bearer {text}", "192.0.2.1", utc_now())

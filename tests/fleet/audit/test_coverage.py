"""Every task and every command is known to leave entries, or says why it leaves none.

Routes are proved by the suite's own traffic: tests/audited.py.
"""

import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import typer
from celery import current_app
from fastapi import FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session
from typer.testing import CliRunner, Result

from fleet.audit.models import AuditEntry
from fleet.audit.privileges import let_read
from fleet.audit.tables import AUDITED
from fleet.cli import app
from fleet.config import FleetConfig
from fleet.db import SessionFactory
from fleet.filtering import tasks
from fleet.worker import make_celery
from tests import audited
from tests.fleet.audit.test_chain import tamper

TASKS: Mapping[str, tuple[str, ...] | str] = {
    "accounts.tasks.purge_expired": "sessions that are over and counters",
    "accounts.tasks.send_letter": "a queue of mails",
    "accounts.tasks.sweep_letters": "hands over",
    "audit.tasks.purge_entries": ("audit_entries",),
    "audit.tasks.send_checkpoint": "reads",
    "checkins.tasks.sweep_silent_devices": "silence is no change of anybody's: devices.silent_since is noise",
    "enrollment.tasks.purge_guesses": "counters",
    "filtering.tasks.compile_publication": ("filter_publications",),
    "filtering.tasks.fetch_source": ("filter_source_contents",),
    "filtering.tasks.prepare_preview": ("filter_previews",),
    "filtering.tasks.publish_nightly": ("filter_publications",),
    "filtering.tasks.purge_counts": ("filter_requests", "filter_previews"),
    "filtering.tasks.sweep_policy": ("filter_policies",),
    "filtering.tasks.sweep_previews": ("filter_previews",),
    "filtering.tasks.sweep_publications": "hands over",
    "filtering.tasks.sweep_sources": "hands over",
    "imports.tasks.purge_imports": ("imports",),
    "jobs.tasks.purge_jobs": ("jobs",),
    "jobs.tasks.run_job": ("jobs", "imports"),
    "jobs.tasks.sweep_jobs": "hands over",
    "tickets.tasks.send_mail": "a queue of mails",
    "tickets.tasks.sweep_mails": "hands over",
}
COMMANDS: Mapping[str, tuple[str, ...] | str] = {
    "preau account close": ("users", "api_tokens"),
    "preau account create": ("users", "role_grants"),
    "preau account end-sessions": "signing out leaves an entry of its own",
    "preau account give-role": ("role_grants",),
    "preau account invite": ("users", "role_grants"),
    "preau account list": "reads",
    "preau account password": ("users",),
    "preau account reopen": ("users",),
    "preau account reset-second-factor": ("second_factors",),
    "preau account take-role": ("role_grants",),
    "preau account token create": ("api_tokens",),
    "preau account token list": "reads",
    "preau account token revoke": ("api_tokens",),
    "preau audit checkpoint": "reads",
    "preau audit export": "reads",
    "preau audit key": "writes a file of its own",
    "preau audit list": "reads",
    "preau audit verify": "reads",
    "preau beat": "starts a process",
    "preau ent assign": ("school_ents",),
    "preau ent examples": ("ent_portals", "ent_links"),
    "preau ent list": "reads",
    "preau filter list": "reads",
    "preau filter publish": ("filter_publications",),
    "preau filter register": ("filter_nodes",),
    "preau filter revoke": ("filter_nodes",),
    "preau import communes": ("collectivities", "former_communes"),
    "preau import epci": ("collectivities", "collectivity_memberships"),
    "preau import schools": ("schools",),
    "preau job cancel": ("jobs",),
    "preau job list": "reads",
    "preau job retry": ("jobs",),
    "preau job show": "reads",
    "preau migrate": "the tables themselves; what a migration changes in rows leaves entries",
    "preau serve": "starts a process",
    "preau token create": ("enrollment_tokens",),
    "preau token list": "reads",
    "preau token revoke": ("enrollment_tokens",),
    "preau up": ("filter_nodes", "filter_profiles", "filter_publications"),
    "preau worker": "starts a process",
}


def commands(command: object, name: str) -> Iterator[str]:
    nested: Mapping[str, object] = getattr(command, "commands", {})
    if not nested:
        yield name
    for word, each in nested.items():
        yield from commands(each, f"{name} {word}")


def test_every_task_is_known(config: FleetConfig) -> None:
    make_celery(config)
    current_app.loader.import_default_modules()
    assert {name.removeprefix("fleet.") for name in current_app.tasks if name.startswith("fleet.")} == set(TASKS)


def test_every_command_is_known() -> None:
    assert set(commands(typer.main.get_command(app), "preau")) == set(COMMANDS)


def test_what_they_change_is_audited() -> None:
    told = {
        table for tables in (*TASKS.values(), *COMMANDS.values()) if not isinstance(tables, str) for table in tables
    }
    assert told - {"audit_entries"} <= set(AUDITED)


def test_exempted_routes_exist(resolved_app: FastAPI) -> None:
    operations = list(audited.mutating_operations(resolved_app))
    assert len(operations) == len(set(operations)) > 100
    assert set(audited.EXEMPT) | set(audited.NAMELESS) <= set(operations)


def test_a_real_task_is_the_actor_of_what_it_changes(session: Session, config: FleetConfig) -> None:
    make_celery(config)
    done = tasks.publish_nightly.apply()
    assert done.successful(), done.traceback
    entry = session.query(AuditEntry).filter_by(table_name="filter_publications").one()
    assert (entry.actor_kind, entry.actor_id) == ("job", done.id)
    assert entry.operation == entry.actor_name == "fleet.filtering.tasks.publish_nightly"


class Terminal:
    """`preau` in a terminal of its own, on a database of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def __call__(self, *arguments: str, status: int = 0, typed: str | None = None) -> Result:
        result = CliRunner().invoke(app, arguments, env=self.environment, input=typed)
        assert result.exit_code == status, (result.output, result.exception)
        return result


@pytest.fixture
def preau(own_database_url: str, tmp_path: Path) -> Iterator[Terminal]:
    bound = SessionFactory.kw.get("bind")
    yield Terminal({
        "PREAU_DATABASE_URL": own_database_url, "PREAU_BROKER_URL": "memory://",
        "PREAU_PUBLIC_URL": "https://preau.example.test", "PREAU_ENV_FILE": str(tmp_path / "none.env"),
        "COLUMNS": "200",  # as wide as what is looked for
    })  # fmt: skip
    SessionFactory.configure(bind=bound)


def create_account(preau: Terminal, email: str) -> None:
    preau("account", "create", email, "--name", "Alix", "--role", "admin", typed="une phrase de passe\n")


def test_a_command_is_the_actor_of_what_it_changes(preau: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["preau", "account", "create", "alix@example.test", "--role", "admin"])
    create_account(preau, "alix@example.test")
    rows = json.loads(preau("audit", "list", "--json", "--table", "users").stdout)["rows"]
    [row] = rows
    assert (row["actor_kind"], row["operation"], row["subject"]) == (
        "command",
        "preau account create",
        "alix@example.test",
    )
    assert row["number"] in {1, 2}, "the account and its role, of one transaction"
    assert "users" in preau("audit", "list").stdout


def test_verify_ends_with_1_when_something_is_wrong(preau: Terminal, tmp_path: Path) -> None:
    """The way an operator goes: a key, a checkpoint kept elsewhere, a log that is intact, then one that is not."""
    create_account(preau, "alix@example.test")
    public = preau("audit", "key", str(tmp_path / "audit.pem")).stdout.strip()
    assert (tmp_path / "audit.pem").stat().st_mode & 0o777 == 0o600
    preau.environment["PREAU_AUDIT_KEY_FILE"] = str(tmp_path / "audit.pem")
    kept = tmp_path / "checkpoints"
    kept.write_text(preau("audit", "checkpoint").stdout)
    create_account(preau, "brice@example.test")
    assert "Journal intact" in preau("audit", "verify", "--checkpoint", str(kept), "--key", public).stdout
    engine = create_engine(preau.environment["PREAU_DATABASE_URL"])
    with engine.begin() as connection:
        tamper(connection, ["UPDATE audit_entries SET actor_name = 'Autre' WHERE table_name = 'users'"])
    engine.dispose()
    found = json.loads(preau("audit", "verify", "--json", "--checkpoint", str(kept), status=1).stdout)
    assert {problem["kind"] for problem in found["problems"]} == {"altered"}
    assert "a été modifiée" in preau("audit", "verify", status=1).stdout


def test_the_log_is_exported(preau: Terminal) -> None:
    create_account(preau, "alix@example.test")
    lines = [json.loads(line) for line in preau("audit", "export", "--search", "alix").stdout.splitlines()]
    assert [line["table"] for line in lines] == ["users"]
    assert lines[0]["after"]["password_hash"] == "***"
    file = preau("audit", "export", "--format", "csv", "--since", "2026-01-01").stdout_bytes
    assert io.StringIO(file.decode("utf-8-sig")).readline().startswith("numero;date;auteur")
    preau("audit", "verify", "--checkpoint", "/nowhere", status=1)


def test_a_role_reads_and_adds_and_no_more(own_database_url: str) -> None:
    engine = create_engine(own_database_url)
    role = "web_of_a_test"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role} BYPASSRLS"))
        connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
        let_read(connection, role)
        connection.execute(text(f"SET LOCAL ROLE {role}"))
        connection.execute(text("INSERT INTO ent_portals (id, slug, name, product, url)"
                                " VALUES (gen_random_uuid(), 'one', 'ONE', 'one', 'https://one.example')"))  # fmt: skip
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        assert connection.scalar(text("SELECT count(*) FROM audit_entries JOIN audit_links ON entry_id = id")) == 1
        connection.execute(text("SELECT audit_event('x', 'users', NULL, NULL, NULL, NULL, NULL)"))
        for statement in (
            "INSERT INTO audit_entries (action, table_name) VALUES ('x', 'x')",
            "UPDATE audit_head SET number = 0",
            "DELETE FROM audit_links",
            "SELECT audit_cut('2001-01-01')",
            "ALTER TABLE users DISABLE TRIGGER audit_note",
        ):
            savepoint = connection.begin_nested()
            with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
                connection.execute(text(statement))
            savepoint.rollback()
    engine.dispose()

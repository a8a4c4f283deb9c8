"""`preau filter`, as people type it."""

import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from typer.testing import CliRunner, Result

from fleet.cli import app
from fleet.db import SessionFactory, transaction
from fleet.doors import Door
from fleet.errors import Conflict, Invalid, NotFound
from fleet.filtering import service, tasks
from fleet.filtering.publishing import publications, signing
from tests.embedded.waiting import until
from tests.factories import make_school
from tests.fleet.publishing import in_catalogue


class Terminal:
    """`preau` in a terminal of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def __call__(self, *arguments: str) -> Result:
        result = CliRunner().invoke(app, ["filter", *arguments], env=self.environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result


@pytest.fixture
def preau(own_database_url: str, tmp_path: Path) -> Iterator[Terminal]:
    bound = SessionFactory.kw.get("bind")
    lists = tmp_path / "ut1" / "gambling"
    lists.mkdir(parents=True)
    (lists / "domains").write_text("casino.example\n")
    yield Terminal({
        "PREAU_DATABASE_URL": own_database_url, "PREAU_BROKER_URL": "memory://",
        "PREAU_PUBLIC_URL": "https://preau.example.test", "PREAU_UT1_DIR": str(lists.parent),
        "PREAU_ENV_FILE": str(tmp_path / "none.env"),
    })  # fmt: skip
    SessionFactory.configure(bind=bound)


def test_a_filter_is_registered_into_a_private_file(preau: Terminal, tmp_path: Path) -> None:
    with Session(create_engine(preau.environment["PREAU_DATABASE_URL"])) as session, session.begin():
        uai = make_school(session).uai
    output = tmp_path / "filter.credential"
    shown = preau("register", "passerelle-laon", "--school", uai.lower(), "--output", str(output))
    assert "passerelle-laon" in shown.output
    credential, key = output.read_text().splitlines()
    assert credential not in shown.output
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    with transaction(Door.OPERATOR) as session:
        node = service.authenticate(session, f"Bearer {credential}")
        assert node.school_id is not None
        assert [key] == [f"ed25519 {public}" for public in signing.public_keys(session)]
    assert "jamais vu" in preau("list").output


def test_without_a_file_it_is_shown_once(preau: Terminal) -> None:
    shown, key = preau("register", "passerelle").stdout.splitlines()
    assert re.fullmatch("ed25519 [0-9a-f]{64}", key)
    with transaction(Door.OPERATOR) as session:
        assert service.authenticate(session, f"Bearer {shown}").name == "passerelle"
    with pytest.raises(Conflict):
        preau("register", "passerelle")
    assert preau("register", "passerelle", "--replace").stdout.splitlines()[0] != shown
    preau("revoke", "passerelle")
    assert "révoqué" in preau("list").output


def test_what_cannot_be_done_is_said_and_registers_nothing(preau: Terminal, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="UAI"):
        preau("register", "a", "--school", "0029999Z")
    with pytest.raises(Invalid, match="Impossible d’écrire"):
        preau("register", "a", "--output", str(tmp_path / "none" / "file"))
    with transaction(Door.OPERATOR) as session:
        assert service.list_filters(session) == []


def compile_what_is_asked() -> None:
    """What a worker does, once."""
    waiting: list[UUID] = []

    def asked() -> bool:
        with transaction(Door.OPERATOR) as session:
            waiting.extend(publications.list_waiting(session))
        return bool(waiting)

    until(asked, "a publication is asked for")
    tasks.compile_publication(str(waiting[0]))


def test_publishing_shows_how_it_went(preau: Terminal, tmp_path: Path) -> None:
    preau("list")  # binds the database
    worker = threading.Thread(target=compile_what_is_asked)
    worker.start()
    names = f"{1 + in_catalogue()} noms"
    assert re.search(rf"Publiée : {names}, \d+,\d Mo, en \d+(,\d+)? s\.", preau("publish").output)
    worker.join()
    worker = threading.Thread(target=compile_what_is_asked)
    worker.start()
    assert "Sans changement" in preau("publish").output
    worker.join()
    (tmp_path / "ut1" / "gambling" / "domains").write_text("# rien\n")
    worker = threading.Thread(target=compile_what_is_asked)
    worker.start()
    with pytest.raises(Conflict, match="aucun nom"):
        preau("publish")
    worker.join()


def test_nobody_waits_for_ever(preau: Terminal) -> None:
    assert "demandée" in preau("publish", "--no-wait").output
    with pytest.raises(Conflict, match="un ouvrier tourne-t-il"):
        preau("publish", "--timeout", "1")


@pytest.mark.parametrize("command", ["register", "list", "revoke", "publish"])
def test_help_needs_no_setting(command: str) -> None:
    result = CliRunner().invoke(app, ["filter", command, "--help"], env={"PREAU_ENV_FILE": "/nowhere"})
    assert result.exit_code == 0

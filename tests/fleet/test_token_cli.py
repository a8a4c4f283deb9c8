"""`preau token`, as a technician types it."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from fleet.cli import app
from fleet.db import connect, transaction
from fleet.doors import Door
from fleet.enrollment.cli import parse_duration
from fleet.enrollment.models import EnrollmentToken
from fleet.enrollment.tokens import read_token
from fleet.errors import Conflict, FleetError, Invalid
from fleet.schools.models import School
from tests.factories import make_school


@pytest.fixture
def database(own_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database that the command finds through the environment, and nothing else of this machine."""
    monkeypatch.setenv("PREAU_DATABASE_URL", own_database_url)
    monkeypatch.setenv("PREAU_BROKER_URL", "memory://")
    monkeypatch.setenv("PREAU_PUBLIC_URL", "https://preau.example.test")
    monkeypatch.setenv("PREAU_ENV_FILE", "/nonexistent")
    engine = connect(own_database_url)
    yield own_database_url
    engine.dispose()


@pytest.fixture
def school(database: str) -> School:
    with transaction(Door.OPERATOR) as session:
        return make_school(session, name="École Jean Zay", uai="0020001F")


def preau(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["token", *arguments], terminal_width=200)


def tokens() -> list[EnrollmentToken]:
    with transaction(Door.OPERATOR) as session:
        return list(session.scalars(select(EnrollmentToken)))


def test_a_token_is_created_for_a_person(school: School) -> None:
    done = preau("create", "--school", " 0020001f ", "--kind", "display", "--uses", "3", "--expires", "2h")
    assert done.exit_code == 0, done.output
    text = re.search(r"Code d’enrôlement : (\S+)", done.output)
    assert text
    assert len(read_token(text[1]).secret) == 12
    assert "3 × Écran interactif (Linux), École Jean Zay" in done.output
    assert f"https://preau.example.test/enroll#{text[1]}" in done.output
    assert f"preau-agent enroll --controller https://preau.example.test --token {text[1]}" in done.output
    [token] = tokens()
    assert (token.max_uses, token.expires_at - token.issued_at) == (3, timedelta(hours=2))


def test_a_token_is_created_for_a_program(school: School) -> None:
    done = preau("create", "--school", school.uai, "--kind", "tablet", "--json")
    document = json.loads(done.output)
    assert (document["school"], document["platform"], document["max_uses"]) == ("0020001F", "ipados", 1)
    assert document["url"].endswith(document["token"])


def test_tokens_are_listed_and_revoked(school: School) -> None:
    preau("create", "--school", school.uai, "--kind", "display")
    [token] = json.loads(preau("list", "--json").output)
    assert (token["school"], token["uses"], token["state"]) == ("0020001F", 0, "valable")
    assert "0/1" in preau("list", "--school", school.uai).output
    done = preau("revoke", token["id"])
    assert done.exit_code == 0
    assert token["hint"] in done.output
    assert json.loads(preau("list", "--json").output)[0]["state"] == "annulé"


@pytest.mark.parametrize("meant_by", ["hint", "hint in a list", "whole code", "short id", "id without dashes"])
def test_a_token_is_revoked_by_what_a_person_has_of_it(school: School, meant_by: str) -> None:
    text = json.loads(preau("create", "--school", school.uai, "--kind", "display", "--json").output)["token"]
    preau("create", "--school", school.uai, "--kind", "display")
    [token] = [t for t in tokens() if t.hint == text[:4]]
    typed = {
        "hint": token.hint.lower(),
        "hint in a list": f"{token.hint}-…",
        "whole code": text.replace("-", " "),
        "short id": str(token.id)[:8],
        "id without dashes": token.id.hex,
    }
    assert preau("revoke", typed[meant_by]).exit_code == 0
    assert [t.id for t in tokens() if t.revoked_at] == [token.id]


def test_of_several_tokens_none_is_revoked_and_all_are_named(school: School) -> None:
    for _ in range(2):
        preau("create", "--school", school.uai, "--kind", "display")
    with transaction(Door.OPERATOR) as session:
        for token in session.scalars(select(EnrollmentToken)):
            token.hint = "7K3M"
    refused = preau("revoke", "7k3m").exception
    assert isinstance(refused, Conflict)
    assert all(str(token.id) in refused.detail for token in tokens())
    assert not any(token.revoked_at for token in tokens())


def test_a_list_of_eighty_columns_cuts_nothing_that_revoke_wants(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    preau("create", "--school", school.uai, "--kind", "display")
    [token] = tokens()
    listed = preau("list").output
    assert token.id.hex[:8] in listed
    assert f"{token.hint}-…" in listed


WRONG = {
    "a UAI with two letters swapped": (("--school", "0020010F", "--kind", "display"), "0020001F (École Jean Zay)"),
    "a UAI of nowhere": (("--school", "9999999Z", "--kind", "display"), "Aucune école d’UAI 9999999Z."),
    "a kit": (("--school", "0020001F", "--kind", "robot_kit"), "inscrivez-le à l’inventaire"),
    "an odd platform": (("--school", "0020001F", "--kind", "gateway", "--platform", "ipados"), "ne va pas avec"),
    "too many": (("--school", "0020001F", "--kind", "display", "--uses", "201"), "de 1 à 200 fois"),
    "too long": (("--school", "0020001F", "--kind", "display", "--expires", "31d"), "30 jours"),
    "no duration": (("--school", "0020001F", "--kind", "display", "--expires", "demain"), "Durée illisible"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(school: School, case: str) -> None:
    arguments, told = WRONG[case]
    done = preau("create", *arguments)
    assert isinstance(done.exception, FleetError)  # run() prints it and exits with 1
    assert told in done.exception.detail
    assert tokens() == []


def test_an_unknown_token_is_not_revoked(school: School) -> None:
    for wrong in ("", "-", "7K3", "7K3M", "é" * 12, "%%%%", "00000000-0000-0000-0000-000000000001"):
        assert isinstance(preau("revoke", wrong).exception, FleetError)


@pytest.mark.parametrize(
    ("typed", "read"),
    [("60m", timedelta(hours=1)), ("90 min", timedelta(minutes=90)), ("12H", timedelta(hours=12)),
     ("7d", timedelta(days=7)), ("7j", timedelta(days=7))],
)  # fmt: skip
def test_durations(typed: str, read: timedelta) -> None:
    assert parse_duration(typed) == read


@pytest.mark.parametrize("typed", ["", "7", "d7", "-7d", "1.5h", "7w"])
def test_no_durations(typed: str) -> None:
    with pytest.raises(Invalid):
        parse_duration(typed)

"""Settings: everything missing is said at once, the process's environment beats the file."""

import base64
from pathlib import Path

import pytest

from fleet.config import FleetConfig, with_driver
from fleet.environment import read_environment
from fleet.errors import ConfigurationError

ENOUGH = {
    "PREAU_DATABASE_URL": "postgresql://preau@db/preau",
    "PREAU_BROKER_URL": "redis://broker/0",
    "PREAU_PUBLIC_URL": "https://preau.example.fr/",
}


def test_everything_missing_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        FleetConfig.from_environ({"PREAU_PUBLIC_URL": "http://preau.example.fr", "PREAU_CA_FILE": "/nowhere/ca.pem"})
    for name in ("DATABASE_URL", "BROKER_URL", "PUBLIC_URL", "CA_FILE"):
        assert f"PREAU_{name}" in str(refused.value)


def test_enough_is_enough() -> None:
    config = FleetConfig.from_environ(ENOUGH | {"PREAU_DNS_ADDRESSES": "10.1.0.53, 10.1.1.53"})
    assert config.database_url == "postgresql+psycopg://preau@db/preau"
    assert config.public_url == "https://preau.example.fr"
    assert config.dns_addresses == ("10.1.0.53", "10.1.1.53")


def test_a_controller_needs_a_key_for_what_it_requires() -> None:
    key = base64.b64encode(bytes(32)).decode()
    FleetConfig.from_environ(ENOUGH | {"PREAU_SECOND_FACTOR": "optional"}).check_serving()
    FleetConfig.from_environ(ENOUGH | {"PREAU_SECRET_KEY": key}).check_serving()
    assert FleetConfig.from_environ(ENOUGH | {"PREAU_SECRET_KEY": f"{key},{key}"}).secret_keys == (bytes(32),) * 2
    with pytest.raises(ConfigurationError, match="PREAU_SECRET_KEY manque"):
        FleetConfig.from_environ(ENOUGH).check_serving()


@pytest.mark.parametrize(
    ("name", "value"), [("SECRET_KEY", "dG9vIHNob3J0"), ("SECOND_FACTOR", "no"), ("OIDC_PROVIDERS", "adica")]
)
def test_settings_of_sign_in_are_checked_and_no_key_is_told(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match="PREAU_") as refused:
        FleetConfig.from_environ(ENOUGH | {f"PREAU_{name}": value})
    assert name != "SECRET_KEY" or value not in str(refused.value)


@pytest.mark.parametrize("url", ["postgres://h/d", "postgresql://h/d", "postgresql+psycopg://h/d"])
def test_the_driver_is_always_named(url: str) -> None:
    assert with_driver(url) == "postgresql+psycopg://h/d"


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "preau.env"
    file.write_text(
        "PREAU_BROKER_URL=redis://of-the-file/0\nPREAU_PUBLIC_URL=https://x=y\n# PREAU_NO=1\nPATH=/nowhere\n"
    )
    file.chmod(0o600)
    values = read_environment({"PREAU_ENV_FILE": str(file), "PREAU_BROKER_URL": "redis://of-the-process/0"})
    assert values["PREAU_BROKER_URL"] == "redis://of-the-process/0"
    assert values["PREAU_PUBLIC_URL"] == "https://x=y"
    assert "PATH" not in values


def test_no_file_is_no_error(tmp_path: Path) -> None:
    assert read_environment({"PREAU_ENV_FILE": str(tmp_path / "none")}) == {"PREAU_ENV_FILE": str(tmp_path / "none")}


def test_a_file_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "preau.env"
    file.write_text("PREAU_DATABASE_URL=postgresql://elsewhere/preau\n")
    file.chmod(0o666)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_environment({"PREAU_ENV_FILE": str(file)})

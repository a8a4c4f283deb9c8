"""What `preau up` makes of its options, of the caller's environment and of this machine."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.config import FleetConfig
from fleet.embedded.certificates import ensure
from fleet.embedded.layout import MARK, Layout
from fleet.embedded.settings import (
    UpOptions,
    child_environment,
    find_upstreams,
    make_settings,
    write_environment,
)
from fleet.environment import read_environment
from fleet.errors import ConfigurationError
from fleet.platforms.service import android_problem, android_trial


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (["192.0.2.1"], ("192.0.2.1:53",)),
        (["192.0.2.1:5353", "dns.example"], ("192.0.2.1:5353", "dns.example:53")),
        (["2001:db8::1"], ("[2001:db8::1]:53",)),
        (["tls://dns.example#2001:db8::1"], ("tls://dns.example#2001:db8::1",)),
        (["[2001:db8::1]", "[2001:db8::1]:853"], ("[2001:db8::1]:53", "[2001:db8::1]:853")),
    ],
)
def test_resolvers_given(chosen: list[str], found: tuple[str, ...]) -> None:
    assert find_upstreams(tuple(chosen)) == found


@pytest.mark.parametrize("wrong", ["", ":53", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:70000", "192.0.2.1,192.0.2.2"])
def test_resolvers_that_are_none(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="--upstream"):
        find_upstreams((wrong,))


def test_resolvers_of_the_machine(tmp_path: Path) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text(
        "# réseau\nsearch example.test\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver\n"
    )
    assert find_upstreams((), resolv_conf) == ("192.0.2.53:53", "[fe80::1]:53")
    with pytest.raises(ConfigurationError, match="--upstream"):
        find_upstreams((), tmp_path / "absent")


def settings_of(tmp_path: Path, host: str = "127.0.0.1", **environ: str) -> dict[str, str]:
    certificates = ensure(tmp_path / "tls", [], datetime.now(UTC))
    options = UpOptions(tmp_path, host=host, port=9443)
    return make_settings(options, certificates, "postgresql://x", "redis://y", environ)


def test_settings_make_a_configuration(tmp_path: Path) -> None:
    config = FleetConfig.from_environ(settings_of(tmp_path))
    assert config.public_url == "https://localhost:9443"
    assert config.ca_file == tmp_path / "tls" / "ca.pem"
    assert config.dns_addresses == ()
    assert android_problem(config) is not None


def test_the_demo_offers_a_trial_qr_for_android_unless_a_controller_was_named(tmp_path: Path) -> None:
    certificates = ensure(tmp_path / "tls", [], datetime.now(UTC))
    options = UpOptions(tmp_path, demo=True)
    trial = FleetConfig.from_environ(make_settings(options, certificates, "postgresql://x", "redis://y", {}))
    assert android_problem(trial) is None
    assert "Test DPC" in (android_trial(trial) or "")

    named = {"PREAU_ANDROID_DPC_COMPONENT": "fr.example.dpc/.AdminReceiver"}
    own = FleetConfig.from_environ(make_settings(options, certificates, "postgresql://x", "redis://y", named))
    assert own.android_dpc_component == "fr.example.dpc/.AdminReceiver"
    assert own.android_dpc_url is None  # nothing of the trial is mixed with a person's own choice
    assert android_trial(own) is None


@pytest.mark.parametrize(
    ("host", "dns_port", "told"),
    [
        ("192.0.2.10", 53, "192.0.2.10"),
        ("192.0.2.10", 5300, None),  # a system asks port 53 and nothing else
        ("127.0.0.1", 53, None),  # another machine's own
        ("0.0.0.0", 53, None),
    ],
)
def test_devices_are_told_of_a_filter_only_where_it_answers(
    tmp_path: Path, host: str, dns_port: int, told: str | None
) -> None:
    options = UpOptions(tmp_path, host=host, dns_port=dns_port)
    certificates = ensure(tmp_path / "tls", [], datetime.now(UTC))
    assert make_settings(options, certificates, "postgresql://x", "redis://y", {}).get("PREAU_DNS_ADDRESSES") == told


def test_the_callers_variables_win(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, PREAU_SMTP_URL="smtp://mail.example", PREAU_PUBLIC_URL="https://preau.example")
    assert settings["PREAU_SMTP_URL"] == "smtp://mail.example"
    assert settings["PREAU_PUBLIC_URL"] == "https://preau.example"


def test_a_certificate_of_ones_own_means_no_pin(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, PREAU_TLS_CERT_FILE="/etc/cert.pem", PREAU_TLS_KEY_FILE="/etc/key.pem")
    assert "PREAU_CA_FILE" not in settings
    assert settings["PREAU_TLS_CERT_FILE"] == "/etc/cert.pem"


def test_variables_of_agents_and_filters_are_not_the_controllers(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, PREAU_AGENT_TOKEN="x", PREAU_FILTER_LISTEN="y", PREAU_ENV_FILE="z")
    assert not {"PREAU_AGENT_TOKEN", "PREAU_FILTER_LISTEN", "PREAU_ENV_FILE"} & set(settings)


@pytest.mark.parametrize(
    ("host", "url"), [("::1", "https://localhost:9443"), ("192.0.2.7", "https://192.0.2.7:9443"),
                      ("2001:db8::7", "https://[2001:db8::7]:9443")],
)  # fmt: skip
def test_the_address_that_people_type(tmp_path: Path, host: str, url: str) -> None:
    assert settings_of(tmp_path, host)["PREAU_PUBLIC_URL"] == url


def test_other_commands_read_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "preau.env"
    write_environment(path, {"PREAU_DATABASE_URL": "postgresql://u:p=a@h/d"})
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_environment({"PREAU_ENV_FILE": str(path)})["PREAU_DATABASE_URL"] == "postgresql://u:p=a@h/d"
    with pytest.raises(ConfigurationError):
        write_environment(path, {"PREAU_MAIL_FROM": "deux\nlignes"})


def test_children_carry_the_mark_and_no_secret(tmp_path: Path) -> None:
    environment = child_environment(Layout(tmp_path), {"PREAU_DATABASE_URL": "secret", "PATH": "/bin"}, MORE="1")
    assert environment[MARK] == str(tmp_path)
    assert environment["PATH"] == "/bin"
    assert environment["MORE"] == "1"
    assert "secret" not in environment.values()

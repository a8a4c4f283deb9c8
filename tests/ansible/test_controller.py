"""The role "controller", applied to a throw-away machine over SSH; then its units' own commands."""

import json
import subprocess

import pytest

from tests.ansible.conftest import Installed
from tests.ansible.site import CONTROLLER, Applied, Site
from tests.requirements import needs

pytestmark = [
    needs("sshd", "nft", "ip", "curl", "pgrep", "systemd-analyze", root=True),
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("site"),
]


def ask(site: Site, path: str, *options: str) -> str:
    """What the controller answers to somebody out there who trusts its CA."""
    ca = str(site.variables["preau_ca"])
    return site.internet.run("curl", "-sS", "--cacert", ca, *options, f"https://{CONTROLLER}{path}")


def test_the_controller_answers_over_tls_on_443(with_controller: Installed) -> None:
    assert json.loads(ask(with_controller.site, "/health/ready")) == {"status": "ok"}


def test_its_metrics_want_the_token_of_the_inventory(with_controller: Installed) -> None:
    assert "metrics.refused" in ask(with_controller.site, "/metrics")
    metrics = ask(with_controller.site, "/metrics", "-H", "Authorization: Bearer jeton-des-mesures")
    assert "fleet_database_up 1.0" in metrics
    assert 'fleet_certificate_expiry_timestamp_seconds{use="ca"}' in metrics


def test_worker_and_clock_work(with_controller: Installed) -> None:
    site = with_controller.site
    site.wait_for_log("preau-worker", "ready.")
    site.wait_for_log("preau-worker", "mails wait")  # every 15 s the clock has the worker look for mails to send


@pytest.mark.parametrize("program", ["serve", "worker", "beat"])
def test_no_program_has_more_rights_than_it_needs(with_controller: Installed, program: str) -> None:
    status = with_controller.site.controller.run(
        "sh", "-c", f"for p in $(pgrep -u preau -f 'preau {program}'); do cat /proc/$p/status; done"
    )
    values = {line.partition(":")[0]: line.partition(":")[2].split() for line in status.splitlines()}
    bind_only = "0000000000000400" if program == "serve" else "0000000000000000"
    assert values["NoNewPrivs"] == ["1"]
    assert values["CapBnd"] == values["CapEff"] == [bind_only]
    assert values["Uid"][0] != "0"


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/etc/preau/controller.env", "640 root preau"),
        ("/etc/preau/tls", "750 root preau"),
        ("/etc/preau/tls/server.key", "640 root preau"),
        ("/var/lib/preau-controller", "750 preau preau"),
        ("/opt/preau/bin/preau", "755 root root"),
    ],
)
def test_nobody_else_reads_its_secrets_nor_writes_its_program(with_controller: Installed, path: str, mode: str) -> None:
    assert with_controller.site.controller.run("stat", "-c", "%a %U %G", path).strip() == mode


def test_what_ansible_prints_holds_no_secret(with_controller: Installed) -> None:
    site = with_controller.site
    settings = dict(line.split("=", 1) for line in site.controller.read("/etc/preau/controller.env").splitlines())
    password = settings["PREAU_DATABASE_URL"].split(":")[2].split("@")[0]
    assert password not in with_controller.applied.output
    assert settings["PREAU_METRICS_TOKEN"] not in with_controller.applied.output


@pytest.mark.parametrize("unit", ["preau-controller", "preau-worker", "preau-beat"])
def test_systemd_accepts_the_unit(with_controller: Installed, unit: str) -> None:
    verify(with_controller.site.controller.inside("systemd-analyze", "verify", f"/etc/systemd/system/{unit}.service"))


def verify(command: list[str]) -> None:
    """systemd-analyze says nothing of a unit that it finds right."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_only_places_of_ours_are_written_in_etc(with_controller: Installed) -> None:
    accounts = {f"/etc/{name}{end}" for name in ("passwd", "shadow", "group", "gshadow") for end in ("", "-")}
    fixture = {"/etc/hosts", "/etc/resolv.conf", "/etc/.pwd.lock", "/etc/subuid", "/etc/subgid"}
    foreign = {
        path
        for path in with_controller.site.controller.written() - accounts - fixture
        if path.startswith("/etc/")
        and not path.startswith(("/etc/preau/", "/etc/systemd/system/", "/etc/ssh/throwaway"))
    }
    assert foreign == set()


def test_the_second_application_changes_nothing(with_controller: Installed, again: Applied) -> None:
    assert with_controller.applied.changed("controller") > 10
    assert again.changed("controller") == 0


def test_a_machine_whose_host_key_is_not_the_pinned_one_is_not_spoken_to(with_controller: Installed) -> None:
    site = with_controller.site
    pinned = (site.directory / "known_hosts").read_text()
    addresses = [line.split()[0] for line in pinned.splitlines()]
    keys = [line.split(maxsplit=1)[1] for line in pinned.splitlines()]
    (site.directory / "known_hosts").write_text(f"{addresses[0]} {keys[1]}\n{addresses[1]} {keys[0]}\n")
    try:
        with pytest.raises(AssertionError, match="Host key verification failed"):
            site.apply("controller.yml", fresh=True)
    finally:
        (site.directory / "known_hosts").write_text(pinned)

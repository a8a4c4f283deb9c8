"""Prometheus' own files, judged by promtool and used by a real Prometheus."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.requirements import needs

PROJECT = Path(__file__).parent.parent.parent
FILES = PROJECT / "dashboards" / "prometheus"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The folder as docs/monitoring.md tells to install it, with the example targets."""
    folder = tmp_path / "prometheus"
    shutil.copytree(FILES, folder)
    for example in (folder / "targets").glob("*.example.yml"):
        example.rename(folder / "targets" / example.name.replace(".example", ""))
    (folder / "targets/alertmanagers.yml").write_text("- targets: ['127.0.0.1:9093']\n")
    (folder / "ca.pem").touch()
    (folder / "metrics-token").touch()
    return folder


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs("promtool")
def test_the_configuration_is_valid_and_finds_all_its_files(installed: Path) -> None:
    told = promtool("check", "config", str(installed / "prometheus.yml"))
    assert "WARNING" not in told
    assert "1 rule files found" in told


@needs("promtool")
def test_every_rule_fires_when_it_must_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", str(Path(__file__).parent / "alerts_test.yml"))


def test_no_rule_is_without_a_test() -> None:
    rules = yaml.safe_load((FILES / "alerts.yml").read_text())
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    tested = (Path(__file__).parent / "alerts_test.yml").read_text()
    assert [name for name in names if name not in tested.replace("CertificateExpires.*", "")] == []


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    rules = yaml.safe_load((FILES / "alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
            assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]


def test_every_alert_is_in_the_documentation() -> None:
    rules = yaml.safe_load((FILES / "alerts.yml").read_text())
    names = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    documented = (PROJECT / "docs" / "monitoring.md").read_text()
    assert {name for name in names if f"`{name}`" not in documented} == set()

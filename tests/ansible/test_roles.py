"""The roles as files: lint, lock files, documentation, the example inventory. No machine is needed."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parent.parent.parent
ANSIBLE = PROJECT / "ansible"
ROLES = ("base", "controller", "gateway")
BIN = Path(sys.executable).parent


def run(*command: str | Path, folder: Path = ANSIBLE) -> str:
    """Run one of Ansible's programs; its output, or a failure with it."""
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg")}
    done = subprocess.run(
        [str(BIN / command[0]), *map(str, command[1:])], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def specification(role: str) -> dict[str, dict[str, object]]:
    """The options that a role declares."""
    text = (ANSIBLE / "roles" / role / "meta/argument_specs.yml").read_text()
    options: dict[str, dict[str, object]] = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return options


def pins(lock: Path) -> dict[str, str]:
    """``name==version`` lines of a lock file, by line, with their hashes."""
    found = re.findall(r"^(\S+==\S+)[^\n]*((?:\n +--hash=\S+[^\n]*)+)", lock.read_text(), re.MULTILINE)
    return {pin: " ".join(sorted(re.findall(r"sha256:\w+", hashes))) for pin, hashes in found}


def names(lock: Path) -> set[str]:
    return {pin.partition("==")[0].lower() for pin in pins(lock)}


@pytest.mark.timeout(300)
def test_lint_finds_nothing_in_profile_production() -> None:
    run("ansible-lint", "--offline", "ansible", folder=PROJECT)


@pytest.mark.parametrize("extra", ["controller", "filter"])
def test_a_machine_gets_the_very_packages_that_the_tests_ran_with(extra: str) -> None:
    """`tools/lock` makes all lock files together; one that was forgotten shows here."""
    locked, tested = pins(ANSIBLE / f"locks/{extra}.lock"), pins(PROJECT / "requirements-dev.lock")
    assert len(locked) > 10
    assert {pin: hashes for pin, hashes in locked.items() if tested.get(pin) != hashes} == {}


@pytest.mark.parametrize("extra", ["controller", "filter"])
def test_a_lock_file_has_all_that_its_extra_asks_for(extra: str) -> None:
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = {match[0].lower() for each in extras[extra] if (match := re.match(r"[\w.-]+", each))} - {"preau"}
    assert wanted <= names(ANSIBLE / f"locks/{extra}.lock")


def test_a_gateway_gets_nothing_that_a_controller_has_not() -> None:
    """So that both may share a machine, and one archive of wheels serves both."""
    assert pins(ANSIBLE / "locks/filter.lock").items() <= pins(ANSIBLE / "locks/controller.lock").items()


@pytest.mark.parametrize("role", ROLES)
def test_every_default_is_declared_and_bears_its_roles_name(role: str) -> None:
    defaults = yaml.safe_load((ANSIBLE / "roles" / role / "defaults/main.yml").read_text())
    options = specification(role)
    assert set(defaults) <= set(options)
    assert [name for name in options if not name.startswith((f"{role}_", "preau_"))] == []
    for name, option in options.items():
        if "default" in option:
            assert defaults[name] == option["default"], name


@pytest.mark.parametrize("role", ["controller", "gateway"])
def test_every_variable_that_must_be_given_is_in_the_documentation_and_the_example(role: str) -> None:
    documented = (PROJECT / "docs/deploy.md").read_text()
    example = "".join(path.read_text() for path in (ANSIBLE / "inventory/example").rglob("*.yml"))
    required = [name for name, option in specification(role).items() if option.get("required")]
    assert [name for name in required if f"`{name}`" not in documented] == []
    assert [name for name in required if f"{name}:" not in example] == []


@pytest.mark.parametrize("playbook", ["site.yml", "controller.yml", "gateway.yml"])
def test_the_example_inventory_fits_the_playbooks(playbook: str) -> None:
    told = run("ansible-playbook", "-i", "inventory/example", playbook, "--list-hosts", "--list-tasks")
    assert ("preau.example.fr" in told) == (playbook != "gateway.yml")
    assert ("passerelle-0020001a.example.fr" in told) == (playbook != "controller.yml")

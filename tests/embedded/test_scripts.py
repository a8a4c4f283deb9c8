"""./run and ./test: what they say, what they ask of the machine, when they install again."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STANDARD = "/usr/bin:/bin"
FAKE_PYTHON = """#!/bin/sh
# Answers like a Python 3.11 whose venv and pip note what they are asked for.
case "$*" in
*"sys.exit"*) exit 0 ;;
*"import ensurepip, venv"*) exit ${NO_VENV:-0} ;;
*"-m venv"*)
    mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
*"-m pip install"*)
    echo "$*" >>pip.log
    [ -z "${PIP_FAILS:-}" ] || exit 1
    printf '#!/bin/sh\\necho "preau $*"\\n' >.venv/bin/preau && chmod +x .venv/bin/preau ;;
*"-m pytest"*) echo "$*"; exit 5 ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The scripts and what they read, with a PATH where Python is ours and uv is absent."""
    for name in ("run", "test", "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "setup.py", tmp_path)
    shutil.copytree(ROOT / "filter" / "plane", tmp_path / "filter" / "plane")
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "setup.sh", tmp_path / "tools")
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3.13"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return tmp_path


def launch(clone: Path, script: str, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": f"{clone / 'bin'}:{STANDARD}", **environ}
    return subprocess.run(
        [str(clone / script), *arguments], env=environment, cwd="/", capture_output=True, text=True, timeout=60
    )


def installs(clone: Path) -> list[str]:
    log = clone / "pip.log"
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize("script", ["run", "test"])
def test_they_explain_themselves_without_installing(clone: Path, script: str) -> None:
    done = launch(clone, script, "--help")
    assert done.returncode == 0
    assert f"./{script}" in done.stdout
    assert "--" in done.stdout
    assert installs(clone) == []


def test_run_installs_by_hash_once_and_passes_its_options_on(clone: Path) -> None:
    first = launch(clone, "run", "--port", "9443", "--var", "un dossier")
    assert first.stdout == "preau up --demo --port 9443 --var un dossier\n"
    assert ["--require-hashes -r requirements.lock" in each for each in installs(clone)] == [True, False]
    assert "--no-deps -e ." in installs(clone)[1]
    launch(clone, "run")
    assert len(installs(clone)) == 2


@pytest.mark.parametrize("changed", ["requirements.lock", "pyproject.toml", "filter/plane/loop.c"])
def test_a_changed_lock_is_installed_again(clone: Path, changed: str) -> None:
    launch(clone, "run")
    with (clone / changed).open("a") as file:
        file.write("# plus neuf\n")
    launch(clone, "run")
    assert len(installs(clone)) == 4


def test_an_installation_cut_short_is_taken_up_again(clone: Path) -> None:
    failed = launch(clone, "run", PIP_FAILS="1")
    assert failed.returncode == 1
    assert "relancez" in failed.stderr
    assert launch(clone, "run").returncode == 0


def test_what_test_installed_serves_run(clone: Path) -> None:
    launch(clone, "test")
    before = len(installs(clone))
    launch(clone, "run")
    assert len(installs(clone)) == before == 2


def test_test_fails_when_a_test_fails_and_leaves_long_ones_out(clone: Path) -> None:
    done = launch(clone, "test", "-k", "enroll")
    assert done.returncode == 5
    assert "-m not long -k enroll" in done.stdout
    assert "-m not long" not in launch(clone, "test", "--long").stdout


def test_no_python_is_said(clone: Path) -> None:
    (clone / "bin" / "python3.13").unlink()
    for tool in ("sh", "dirname", "cksum", "cmp", "rm", "cat"):
        (clone / "bin" / tool).symlink_to(shutil.which(tool, path=STANDARD) or tool)
    environment = {"PATH": str(clone / "bin")}
    done = subprocess.run([str(clone / "run")], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Python 3.11" in done.stderr


def test_a_missing_venv_module_is_said_with_its_package(clone: Path) -> None:
    done = launch(clone, "run", NO_VENV="1")
    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr

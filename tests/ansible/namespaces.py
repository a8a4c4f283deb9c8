"""Network namespaces, and in them throw-away machines: an overlay of this one's files, their own processes, an sshd.

Nothing of this machine is touched: addresses, routes and packet rules live in the namespaces, and what a machine
writes lands in a folder that goes away with it. Names carry our process id, so that several runs live side by side.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeAlias

from tests.requirements import find

Word: TypeAlias = str | Path
"""One word of a command line."""

SSHD_SETTINGS = """
HostKey /etc/ssh/throwaway_key
AuthorizedKeysFile /etc/ssh/throwaway_authorized
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
StrictModes no
Subsystem sftp internal-sftp
"""


def run(*command: Word, check: bool = True) -> str:
    """What a command prints; its error text is in the exception when it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def wait_until(is_true: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Ask again and again; fail naming what did not come."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace."""

    name: str

    @classmethod
    def make(cls, suffix: str) -> Self:
        namespace = cls(f"preau-{os.getpid():x}-{suffix}")
        run("ip", "netns", "add", namespace.name)
        namespace.ip("link", "set", "lo", "up")
        return namespace

    def ip(self, *arguments: str) -> None:
        run("ip", "-n", self.name, *arguments)

    def command(self, *command: Word) -> list[str]:
        """The command as run inside."""
        return ["ip", "netns", "exec", self.name, *map(str, command)]

    def run(self, *command: Word, check: bool = True) -> str:
        return run(*self.command(*command), check=check)

    def start(self, *command: Word, log: Path) -> subprocess.Popen[bytes]:
        """Start a program inside; it ends with the namespace at the latest."""
        with log.open("ab") as output:
            return subprocess.Popen(self.command(*command), stdout=output, stderr=subprocess.STDOUT)

    def link(self, interface: str, other: "Namespace", other_interface: str) -> None:
        """A cable between two namespaces; both ends up. The names exist inside only."""
        end = ["type", "veth", "peer", "name", other_interface, "netns", other.name]
        run("ip", "link", "add", interface, "netns", self.name, *end)
        self.ip("link", "set", interface, "up")
        other.ip("link", "set", other_interface, "up")

    def remove(self) -> None:
        """End every program inside, then the namespace."""
        for pid in run("ip", "netns", "pids", self.name, check=False).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "del", self.name, check=False)


@dataclass(slots=True)
class Machine:
    """A throw-away host: this machine's files below an overlay, in a namespace, reached by SSH only."""

    namespace: Namespace
    directory: Path
    init: subprocess.Popen[bytes] | None = None
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.directory / "root"

    def start(self, authorized_key: str, listen: str) -> None:
        """Mount, then run sshd as the first process of a pid namespace of its own."""
        for name in ("up", "work", "root"):
            (self.directory / name).mkdir(parents=True)
        layers = f"lowerdir=/,upperdir={self.directory / 'up'},workdir={self.directory / 'work'}"
        run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        self.write("/etc/ssh/throwaway_config", SSHD_SETTINGS + f"ListenAddress {listen}\n")
        self.write("/etc/ssh/throwaway_authorized", authorized_key)
        self.write("/etc/resolv.conf", "nameserver 192.0.2.1\n")  # no name resolves by accident
        self.write("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.namespace.name}\n")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.root / "etc/ssh/throwaway_key")
        script = (
            f"mount -t proc proc {self.root}/proc && mount -t tmpfs tmpfs {self.root}/run && mkdir {self.root}/run/sshd"
            f" && mount --bind /dev {self.root}/dev && mount -t tmpfs tmpfs {self.root}/dev/shm"
            f" && mkdir -p {self.root}/dev/pts && hostname {self.namespace.name}"
            f" && exec chroot {self.root} {find('sshd')} -D -e -f /etc/ssh/throwaway_config"
        )
        isolate = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self.init = self.namespace.start(*isolate, "sh", "-c", script, log=self.directory / "sshd.log")

    def is_listening(self) -> bool:
        """True once its sshd accepts connections."""
        return "Server listening" in (self.directory / "sshd.log").read_text()

    @property
    def host_key(self) -> str:
        """The public key that a known_hosts line pins."""
        return self.read("/etc/ssh/throwaway_key.pub")

    def path(self, absolute: str) -> Path:
        return self.root / absolute.lstrip("/")

    def read(self, absolute: str) -> str:
        return self.path(absolute).read_text(encoding="utf-8")

    def write(self, absolute: str, text: str) -> None:
        self.path(absolute).write_text(text, encoding="utf-8")

    def written(self) -> set[str]:
        """Every file that differs from this machine's, as absolute paths inside."""
        top = self.directory / "up"
        return {f"/{p.relative_to(top)}" for p in top.rglob("*") if not p.is_dir()}

    def inside(self, *command: str) -> list[str]:
        """A command as run inside, with the machine's own files, processes and network."""
        assert self.init is not None
        children = Path(f"/proc/{self.init.pid}/task/{self.init.pid}/children").read_text().split()
        return ["nsenter", "--target", children[0], "--mount", "--uts", "--pid", "--net", "--root", "--wd", *command]

    def run(self, *command: str, check: bool = True) -> str:
        return run(*self.inside(*command), check=check)

    def start_program(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a program inside; it ends with the machine at the latest."""
        with log.open("ab") as output:
            program = subprocess.Popen(self.inside(*command), stdout=output, stderr=subprocess.STDOUT)
        self.programs.append(program)
        return program

    def stop(self) -> None:
        """End everything inside and forget every file."""
        if self.init is not None:
            self.init.kill()  # --kill-child: with it goes the first process, and with that the whole pid namespace
            self.init.wait()
        for program in self.programs:
            program.kill()
            program.wait()
        self.namespace.remove()
        wait_until(lambda: not os.path.ismount(self.root) or self._unmounted(), f"unmount {self.root}")
        shutil.rmtree(self.directory)

    def _unmounted(self) -> bool:
        return subprocess.run(["umount", self.root], capture_output=True).returncode == 0

"""Network namespaces, and in them throw-away machines: an overlay of this one's files, their own processes, an sshd.

Nothing of this machine is touched: addresses, routes and packet rules live in the namespaces, and what a machine
writes lands in a folder that goes away with it. Names carry our process id, so that several runs live side by side.
"""

import contextlib
import os
import re
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


SCRIPT = """
set -e
mount -t tmpfs tmpfs "$DIRECTORY" && cd "$DIRECTORY" && mkdir up work root
mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root
cp -r "$SEED"/. root/
mount -t proc proc root/proc && mount -t tmpfs tmpfs root/run && mkdir root/run/sshd
mount --bind /dev root/dev && mount -t tmpfs tmpfs root/dev/shm
hostname "$NAME"
exec chroot root "$SSHD" -D -e -f /etc/ssh/throwaway_config
"""
"""Run in mount, pid, host name and network namespaces of its own: every mount and process goes away with them."""


@dataclass(slots=True)
class Machine:
    """A throw-away host: this machine's files below an overlay in memory, in a namespace, reached by SSH only."""

    namespace: Namespace
    directory: Path
    init: subprocess.Popen[bytes] | None = None
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, authorized_key: str, listen: str) -> None:
        """Mount, then run sshd as the first process of a pid namespace of its own."""
        seed = self.directory / "seed"
        (seed / "etc/ssh").mkdir(parents=True)
        (self.directory / "memory").mkdir()
        (seed / "etc/ssh/throwaway_config").write_text(SSHD_SETTINGS + f"ListenAddress {listen}\n")
        (seed / "etc/ssh/throwaway_authorized").write_text(authorized_key)
        (seed / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")  # no name resolves by accident
        (seed / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.namespace.name}\n")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", seed / "etc/ssh/throwaway_key")
        values = {
            "DIRECTORY": self.directory / "memory",
            "SEED": seed,
            "NAME": self.namespace.name,
            "SSHD": find("sshd"),
        }
        environment = ["env", *(f"{name}={value}" for name, value in values.items())]
        isolate = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self.init = self.namespace.start(*environment, *isolate, "sh", "-c", SCRIPT, log=self.directory / "sshd.log")

    def is_listening(self) -> bool:
        """True once its sshd accepts connections."""
        assert self.init is not None
        told = (self.directory / "sshd.log").read_text()
        assert self.init.poll() is None, told
        return "Server listening" in told

    @property
    def host_key(self) -> str:
        """The public key that a known_hosts line pins."""
        return (self.directory / "seed/etc/ssh/throwaway_key.pub").read_text()

    @property
    def first_process(self) -> str:
        """The pid, as we see it, of its sshd."""
        assert self.init is not None
        return Path(f"/proc/{self.init.pid}/task/{self.init.pid}/children").read_text().split()[0]

    def read(self, absolute: str) -> str:
        """The text of one of its files."""
        return Path(f"/proc/{self.first_process}/root{absolute}").read_text(encoding="utf-8")

    def written(self) -> set[str]:
        """Every file that differs from this machine's, as absolute paths inside."""
        assert self.init is not None
        top = Path(f"/proc/{self.init.pid}/root{self.directory}/memory/up")
        return {f"/{p.relative_to(top)}" for p in top.rglob("*") if not p.is_dir()}

    def inside(self, *command: str) -> list[str]:
        """A command as run inside, with the machine's own files, processes and network."""
        spaces = ["--mount", "--uts", "--pid", "--net", "--root", "--wd"]
        return ["nsenter", "--target", self.first_process, *spaces, *command]

    def run(self, *command: str, check: bool = True) -> str:
        return run(*self.inside(*command), check=check)

    def start_program(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a program inside; it ends with the machine at the latest."""
        with log.open("ab") as output:
            program = subprocess.Popen(self.inside(*command), stdout=output, stderr=subprocess.STDOUT)
        self.programs.append(program)
        return program

    def stop(self) -> None:
        """End everything inside; its files go with it."""
        if self.init is not None:
            self.init.kill()  # --kill-child: with it goes the first process, and with that the whole pid namespace
            self.init.wait()
        for program in self.programs:
            program.kill()
            program.wait()


def remove_leftovers() -> None:
    """End what a killed run left behind: namespaces whose name carries the id of a process that is gone."""
    for line in run("ip", "netns", "list").splitlines():
        found = re.match(r"preau-([0-9a-f]+)-", line)
        if found and not Path(f"/proc/{int(found[1], 16)}").exists():
            Namespace(line.split()[0]).remove()

"""A small site in namespaces: the internet, a controller, a school's gateway and a tablet behind it; and what the
operator does there with ansible-playbook, from the internet's side, over SSH with pinned host keys."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet.embedded.postgres import Postgres, dropped_uid, engine_directory
from fleet.embedded.valkey import Valkey
from tests.ansible.namespaces import Machine, Namespace, Word, remove_leftovers, run, wait_until
from tests.ansible.units import Unit
from tests.certificates import Authority

PROJECT = Path(__file__).parent.parent.parent
KNOCK = Path(__file__).parent / "knock.py"
CONTROLLER, GATEWAY, INTERNET = "10.231.0.10", "10.231.0.20", "10.231.0.1"
SCHOOL_GATEWAY, TABLET = "192.168.10.1", "192.168.10.50"
PUBLIC_RESOLVER = "8.8.8.8"
"""An address that tablets have built in; here it is the internet's namespace that owns it."""
ELSEWHERE = "198.51.100.80"
"""A server out there that no rule closes."""


def build_wheel(target: Path) -> Path:
    """The wheel as the operator makes it, from a copy: building leaves files beside the sources."""
    sources = target / "sources"
    forget = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for part in ("agent", "filter", "fleet", "dashboards"):
        shutil.copytree(PROJECT / part, sources / part, ignore=forget)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, sources)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target / "dist", sources)
    (wheel,) = (target / "dist").glob("preau-*.whl")
    return wheel


def build_wheelhouse(lock: Path, cache: Path) -> Path:
    """A tar of every wheel of a lock file; fetched once for each content of the lock."""
    tar = cache / f"{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}.tar"
    if not tar.exists():
        folder = cache / f"wheels-{os.getpid()}"
        chosen: list[Word] = [
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
            "--requirement",
            lock,
            "--dest",
            folder,
        ]
        run("/usr/bin/python3", "-m", "pip", "download", "--quiet", *chosen)
        with tarfile.open(folder.with_suffix(".tar"), "w") as archive:
            archive.add(folder, arcname=".")
        folder.with_suffix(".tar").rename(tar)
        shutil.rmtree(folder)
    return tar


@dataclass(frozen=True, slots=True)
class Applied:
    """What one run of a playbook did."""

    output: str

    def changed(self, host: str) -> int:
        """Tasks that changed something on that host."""
        (found,) = re.findall(rf"^{host}\s*:.*changed=(\d+)", self.output, re.MULTILINE)
        return int(found)


@dataclass(slots=True)
class Site:
    """Everything of one site; ``variables`` are the inventory's for all hosts."""

    directory: Path
    internet: Namespace
    controller: Machine
    gateway: Machine
    tablet: Namespace
    variables: dict[str, object]

    @property
    def machines(self) -> dict[str, tuple[Machine, str]]:
        return {"controller": (self.controller, CONTROLLER), "gateway": (self.gateway, GATEWAY)}

    def apply(self, playbook: str, *options: str, fresh: bool = False) -> Applied:
        """Run a playbook; fail with its output when a task fails. ``fresh``: over connections of its own."""
        hosts = {
            f"{name}s": {"hosts": {name: {"ansible_host": address, "ansible_user": "root"}}}
            for name, (_, address) in self.machines.items()
        }
        inventory = self.directory / "inventory.json"
        inventory.write_text(json.dumps(hosts | {"all": {"vars": self.variables}}))
        ssh = f"-F none -o UserKnownHostsFile={self.directory}/known_hosts -o StrictHostKeyChecking=yes"
        settings = {
            "ANSIBLE_CONFIG": str(PROJECT / "ansible/ansible.cfg"),
            "ANSIBLE_SSH_ARGS": f"{ssh} -o ControlMaster=auto -o ControlPersist=30",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.directory / ("fresh" if fresh else "c")),
            "ANSIBLE_PRIVATE_KEY_FILE": str(self.directory / "key"),
            "ANSIBLE_LOCAL_TEMP": str(self.directory / "t"),
            "ANSIBLE_NOCOLOR": "1",
        }
        program = Path(sys.executable).parent / "ansible-playbook"
        command: list[Word] = [program, "-i", inventory, PROJECT / "ansible" / playbook, *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")} | settings
        done = subprocess.run(self.internet.command(*command), capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return Applied(done.stdout)

    def start_unit(self, machine: Machine, name: str) -> None:
        """Run a unit's ExecStart as systemd would; its log carries the unit's name."""
        machine.start_program(Unit.read(machine, name).command(machine), self.log(name))

    def preau(self, *arguments: str) -> str:
        """What an operator types on the controller."""
        account = ["runuser", "-u", "preau", "--", "env", "PREAU_ENV_FILE=/etc/preau/controller.env"]
        return self.controller.run(*account, "/opt/preau/bin/preau", *arguments)

    def dig(self, name: str, *options: str) -> str:
        """What kdig on the tablet prints when it asks a public resolver."""
        return self.tablet.run("kdig", f"@{PUBLIC_RESOLVER}", "+retry=0", "+timeout=3", *options, name, check=False)

    def reachable(self) -> dict[str, str]:
        """What the tablet gets from each door out: ``open``, or why not."""
        doors = [("tcp", PUBLIC_RESOLVER, 53), ("tcp", PUBLIC_RESOLVER, 443), ("tcp", ELSEWHERE, 443)]
        doors += [(kind, PUBLIC_RESOLVER, 853) for kind in ("tcp", "udp")]
        return {f"{k} {a} {p}": self.tablet.run(sys.executable, KNOCK, k, a, str(p)).strip() for k, a, p in doors}

    def wait_for_filter(self) -> None:
        """Until the filter answers with a bundle."""
        ready = self.gateway.inside("curl", "-sf", "http://127.0.0.1:9153/health/ready")
        try:
            wait_until(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, "filter ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log('preau-filter').read_text()[-3000:]}") from None

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def wait_for_log(self, name: str, text: str) -> None:
        def is_there() -> bool:
            return self.log(name).exists() and text in self.log(name).read_text(errors="replace")

        try:
            wait_until(is_there, f"{text!r} in the log of {name}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log(name).read_text(errors='replace')[-3000:]}") from None


def connect(internet: Namespace, controller: Namespace, gateway: Namespace, tablet: Namespace) -> None:
    """Cables, addresses and routes: tablet - gateway - internet - controller."""
    internet.ip("link", "add", "br0", "type", "bridge")
    internet.ip("link", "set", "br0", "up")
    for number, (namespace, address) in enumerate(((controller, CONTROLLER), (gateway, GATEWAY))):
        namespace.link("wan0", internet, f"port{number}")
        internet.ip("link", "set", f"port{number}", "master", "br0")
        namespace.ip("addr", "add", f"{address}/24", "dev", "wan0")
        namespace.ip("route", "add", "default", "via", INTERNET)
    internet.ip("addr", "add", f"{INTERNET}/24", "dev", "br0")
    for address in (PUBLIC_RESOLVER, ELSEWHERE):
        internet.ip("addr", "add", f"{address}/32", "dev", "lo")
    tablet.link("eth0", gateway, "school0")
    gateway.ip("addr", "add", f"{SCHOOL_GATEWAY}/24", "dev", "school0")
    tablet.ip("addr", "add", f"{TABLET}/24", "dev", "eth0")
    tablet.ip("route", "add", "default", "via", SCHOOL_GATEWAY)
    internet.ip("route", "add", "192.168.10.0/24", "via", GATEWAY)
    gateway.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")  # the operator's own, as on any router


@contextmanager
def make_site(directory: Path, variables: dict[str, object]) -> Iterator[Site]:
    """Namespaces, machines with their sshd, keys pinned; everything goes away afterwards, whatever happened."""
    remove_leftovers()
    with ExitStack() as stack:
        names = ("internet", "controller", "gateway", "tablet")
        namespaces: dict[str, Namespace] = {}
        for name in names:
            namespaces[name] = Namespace.make(name)
            stack.callback(namespaces[name].remove)
        connect(*(namespaces[name] for name in names))
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / "key")
        machines = {name: Machine(namespaces[name], directory / name) for name in ("controller", "gateway")}
        site = Site(directory, namespaces["internet"], **machines, tablet=namespaces["tablet"], variables=variables)
        pins = []
        for machine, address in site.machines.values():
            stack.callback(machine.stop)
            machine.start((directory / "key.pub").read_text(), listen=address)
            pins.append(f"{address} {machine.host_key}")
        (directory / "known_hosts").write_text("".join(pins))
        for machine, address in site.machines.values():
            wait_until(machine.is_listening, f"sshd of {address}")
        yield site


def start_services(site: Site, state: Path) -> None:
    """PostgreSQL and Valkey, which the operator brings: on the controller's loopback."""
    database, broker = Postgres(state / "postgres", 5432), Valkey(state / "valkey", 6379)
    database.create()
    broker.create()
    inside = site.controller.namespace
    account = ["setpriv", f"--reuid={dropped_uid()}", f"--regid={dropped_uid()}", "--clear-groups"]
    inside.start(*account, *database.command(), "-c", "fsync=off", log=site.log("postgres"))
    inside.start(*broker.command(), log=site.log("valkey"))
    ready: list[Word] = [engine_directory() / "bin/pg_isready", "-q", "-h", "127.0.0.1"]
    wait_until(lambda: subprocess.run(inside.command(*ready), check=False).returncode == 0, "PostgreSQL")
    site.variables["controller_database_url"] = database.url()
    site.variables["controller_broker_url"] = broker.url


def describe(authority: Authority, wheel: Path, wheelhouse: Path) -> dict[str, object]:
    """The inventory's variables, as docs/deploy.md tells an operator to write them."""
    server = authority.issue(CONTROLLER)
    return {
        "preau_wheel": str(wheel),
        "preau_wheelhouse": str(wheelhouse),
        "preau_ca": str(authority.certificate),
        "controller_public_url": f"https://{CONTROLLER}",
        "controller_tls_certificate": str(server.certificate),
        "controller_tls_key": str(server.key),
        "controller_settings": {
            "PREAU_METRICS_TOKEN": "jeton-des-mesures",
            "PREAU_SECRET_KEY": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        },
        "gateway_controller_url": f"https://{CONTROLLER}",
        "gateway_listen_addresses": [SCHOOL_GATEWAY],
        "gateway_school_interfaces": ["school0"],
        "gateway_upstreams": [f"{INTERNET}:53"],
    }

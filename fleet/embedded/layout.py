"""Where `preau up` keeps its state: one folder, and as root a second one that PostgreSQL's own account can reach."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import ConfigurationError

ROOT_STATE = Path("/var/lib/preau")
"""PostgreSQL's place when started as root: it refuses to be root, and its own account may not enter root's home."""
MARK = "PREAU_UP_VAR"
"""Environment variable of every child and of its own children: the state folder it works for.

A pid on disk may have been lost or given to another program; the environment of a live process cannot.
"""
MADE_BY_UP = (
    "preau.env", "children.json", "log", "tls", "postgres", "valkey", "beat", "filter", "demo", "demo-accounts.json",
    "secret.key",
)  # fmt: skip
"""Every entry of the state folder that `preau up` makes; `--reset` removes these and nothing else."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The state folder (absolute) and what lies in it."""

    var: Path

    @property
    def lock(self) -> Path:
        return self.var / "up.lock"

    @property
    def environment(self) -> Path:
        """PREAU_* lines, mode 600, read by every other `preau` command."""
        return self.var / "preau.env"

    @property
    def children(self) -> Path:
        """Name and pid of what runs now (JSON), for people and tests."""
        return self.var / "children.json"

    @property
    def log(self) -> Path:
        return self.var / "log"

    @property
    def tls(self) -> Path:
        return self.var / "tls"

    @property
    def valkey(self) -> Path:
        return self.var / "valkey"

    @property
    def beat(self) -> Path:
        return self.var / "beat"

    @property
    def filter(self) -> Path:
        return self.var / "filter"

    @property
    def agents(self) -> Path:
        return self.var / "demo" / "agents"

    @property
    def demo_accounts(self) -> Path:
        return self.var / "demo-accounts.json"

    @property
    def secret_key(self) -> Path:
        """What seals secrets in the database; without it, second factors must be set up anew."""
        return self.var / "secret.key"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's folder; as root it is outside, under a name made from this one."""
        if os.geteuid() != 0:
            return self.var / "postgres"
        digest = hashlib.sha256(os.fsencode(self.var)).hexdigest()[:10]
        name = re.sub(r"[^A-Za-z0-9]+", "-", str(self.var)).strip("-")[-40:].strip("-")
        return ROOT_STATE / f"{name}-{digest}"

    def make(self) -> None:
        """Make the state folder, closed to others; raise ConfigurationError when it is somebody else's."""
        try:
            self.var.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"Le dossier {self.var} ne peut pas être créé : {error.strerror}.") from error
        owner = self.var.stat().st_uid
        if owner != os.geteuid():
            raise ConfigurationError(
                f"Le dossier {self.var} appartient à un autre compte (uid {owner}) : "
                "lancez la commande avec ce compte, ou choisissez un autre dossier avec --var."
            )
        for folder in (self.log, self.tls, self.valkey, self.beat, self.filter):
            folder.mkdir(mode=0o700, exist_ok=True)

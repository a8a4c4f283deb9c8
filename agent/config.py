"""Settings of the agent: command line, then PREAU_AGENT_*, then ROOT/etc/preau/agent.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from agent import files
from agent.client import split_url
from agent.errors import UsageError

CONFIG = Path("etc/preau/agent.toml")
FACTS = Path("etc/preau/facts.json")
SHORTEST_INTERVAL = 1.0


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What the agent was told at start. Every field but ``root`` may come from the file or PREAU_AGENT_<FIELD>."""

    root: Path
    """The prefix under which everything is written; ``/`` on a real device."""
    controller: str = ""
    """``https://name[:port]``; otherwise the one of the enrolment."""
    token: str = field(default="", repr=False)
    """Used to enrol, and to enrol again when the credential is refused."""
    interval: float | None = None
    """Seconds between two check-ins; None: what the controller says."""
    facts: Path | None = None
    """A JSON file of facts that replace those of the machine; default ROOT/etc/preau/facts.json when it exists."""

    @classmethod
    def read(cls, root: Path, options: Mapping[str, str | None], environ: Mapping[str, str]) -> Self:
        """Put the three sources together; raises UsageError that names everything wrong at once."""
        written = read_file(root / CONFIG)
        chosen = {
            name: options.get(name) or environ.get(f"PREAU_AGENT_{name.upper()}") or written.get(name, "")
            for name in ("controller", "token", "interval", "facts")
        }
        problems = [f"réglage inconnu : {name}" for name in written if name not in chosen]
        interval = read_interval(chosen["interval"], problems)
        controller = chosen["controller"].strip().rstrip("/")
        if controller:
            try:
                split_url(controller)
            except UsageError as error:
                problems.append(str(error))
        if problems:
            raise UsageError("Réglages à corriger : " + " ; ".join(problems))
        return cls(root, controller, chosen["token"].strip(), interval, find_facts(root, chosen["facts"]))


def read_file(path: Path) -> dict[str, str]:
    """The settings of a TOML file as text; empty when there is none."""
    content = files.find_content(path)
    if content is None:
        return {}
    try:
        return {name: str(value) for name, value in tomllib.loads(content.decode()).items()}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} n’est pas un fichier TOML.") from error


def read_interval(text: str, problems: list[str]) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not SHORTEST_INTERVAL <= seconds <= 86400:
        problems.append("l’intervalle est un nombre de secondes, de 1 à 86400")
        return None
    return seconds


def find_facts(root: Path, chosen: str) -> Path | None:
    if chosen:
        return Path(chosen)
    default = root / FACTS
    return default if default.exists() else None

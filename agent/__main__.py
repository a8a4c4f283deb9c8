"""`preau-agent`: reads its settings, builds the Agent, runs it. Each failure is one French sentence and a status."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from agent import facts, log, status
from agent.config import AgentConfig
from agent.enrollment import enroll, is_enrolled_with
from agent.errors import AgentError, Stopped, UsageError
from agent.french import FrenchParser
from agent.identity import DeviceIdentity, find_identity
from agent.lock import exclusive
from agent.loop import Agent, utc_now
from agent.signals import Stop
from agent.tokens import read_token
from agent.version import VERSION

DESCRIPTION = """\
Agent de Préau : enrôle cet appareil auprès du contrôleur de l’école, puis le tient dans l’état voulu
(raccourcis de l’ENT, réglages des navigateurs, DNS) et rend compte. Sans réseau, il garde le dernier état connu.
"""

EXAMPLES = """\
exemples :
  sudo preau-agent enroll --controller https://preau.exemple.fr:8443 --token 7K3M-Q9XT-2BRC-0A1B-2C3D-4E5F-6G7H
  sudo preau-agent run                        reste en service (c’est ce que lance systemd)
  sudo preau-agent run --once                 une seule conversation, pour essayer
  preau-agent run --once --root /tmp/essai    n’écrit rien hors de /tmp/essai
  sudo preau-agent status                     où en est cet appareil

codes de sortie :
   0 tout va bien                    7 horloge fausse, ou certificat hors de ses dates
   2 commande ou réglage incorrect   8 contrôleur injoignable
   3 code illisible ou inconnu       9 appareil non enrôlé, ou identité refusée
   4 code expiré ou révoqué         10 un autre agent travaille sous cette racine
   5 code épuisé                    11 racine où l’on ne peut pas écrire
   6 contrôleur non prouvé          12 trop d’essais de codes depuis ce réseau
  13 autre refus                   130 arrêt demandé pendant l’enrôlement

réglages : la ligne de commande l’emporte sur PREAU_AGENT_CONTROLLER, PREAU_AGENT_TOKEN, PREAU_AGENT_INTERVAL,
PREAU_AGENT_FACTS et PREAU_AGENT_ROOT, qui l’emportent sur le fichier etc/preau/agent.toml de la racine.
"""


def make_parser() -> FrenchParser:
    parser = FrenchParser("preau-agent", description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("--version", action="version", version=f"preau-agent {VERSION}", help="affiche la version")
    commands = parser.add_subparsers(title="commandes", dest="command", metavar="COMMANDE", required=True)
    enrolling = add_command(commands, "enroll", "enrôle cet appareil avec un code")
    enrolling.add_argument("--controller", metavar="URL", help="adresse du contrôleur : https://nom[:port]")
    enrolling.add_argument("--token", metavar="CODE", help="le code ou l’adresse de son QR code ; - : au clavier")
    enrolling.add_argument("--again", action="store_true", help="recommence même si ce code a déjà servi ici")
    running = add_command(commands, "run", "tient l’appareil dans l’état voulu, jusqu’à ce qu’on l’arrête")
    running.add_argument("--once", action="store_true", help="une seule conversation, puis rend la main")
    running.add_argument(
        "--interval", metavar="S", help="secondes entre deux conversations (sinon, le contrôleur décide)"
    )
    showing = add_command(commands, "status", "dit où en est cet appareil, sans rien changer")
    showing.add_argument("--json", action="store_true", help="pour un programme")
    return parser


def add_command(commands: "argparse._SubParsersAction[FrenchParser]", name: str, text: str) -> FrenchParser:
    command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    command.add_argument("--root", metavar="DIR", help="préfixe de tout ce qui est écrit (par défaut : /)")
    return command


def run_enroll(given: argparse.Namespace, config: AgentConfig, stop: Stop) -> None:
    text = sys.stdin.readline() if given.token == "-" else config.token  # noqa: S105 the dash means standard input
    if not text.strip():
        raise UsageError("Il manque le code (--token …).")
    token = read_token(text)
    machine = facts.collect(config.root, config.facts)
    with exclusive(config.root):
        known = find_identity(config.root)
        if known and is_enrolled_with(known, config.controller, token) and not given.again:
            print(f"Déjà enrôlé avec ce code{described(known)}.")
            return
        identity = enroll(config.root, config.controller, token, machine, utc_now, stop)
    print(f"Appareil enrôlé{described(identity)}.")


def described(identity: DeviceIdentity) -> str:
    tag = f" sous l’étiquette {identity.asset_tag}" if identity.asset_tag else ""
    return f"{tag}, {identity.school}" if identity.school else tag


def run_agent(given: argparse.Namespace, config: AgentConfig, stop: Stop) -> None:
    with exclusive(config.root):
        agent = Agent(config, partial(facts.collect, config.root, config.facts), stop)
        if not given.once:
            agent.run()
            return
        agent.tick()
        for line in status.outcome_lines(agent.state):
            print(line)


def show_status(given: argparse.Namespace, config: AgentConfig, _stop: Stop) -> None:
    print(status.as_json(config.root) if given.json else status.as_text(config.root))


COMMANDS: Mapping[str, Callable[[argparse.Namespace, AgentConfig, Stop], None]] = {
    "enroll": run_enroll,
    "run": run_agent,
    "status": show_status,
}


def execute(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command; the exit status, the reason having been told on standard error."""
    given = make_parser().parse_args(arguments)
    log.set_up()
    stop = Stop()
    stop.listen()
    options = {name: getattr(given, name, None) for name in ("controller", "token", "interval")}
    root = Path(given.root or environ.get("PREAU_AGENT_ROOT") or "/")
    try:
        COMMANDS[given.command](given, AgentConfig.read(root, options, environ), stop)
    except AgentError as error:
        print(error, file=sys.stderr)
        return 0 if isinstance(error, Stopped) and given.command == "run" else error.exit_code
    return 0


def main() -> None:
    """Entry of the console command and of the zipapp."""
    sys.exit(execute(sys.argv[1:], os.environ))


if __name__ == "__main__":
    main()

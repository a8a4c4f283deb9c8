"""`preau`: the controller's command line. Each feature brings its own commands; here they come together."""

import gc
import os
import pwd
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from celery.exceptions import SecurityWarning
from sqlalchemy.exc import OperationalError

from fleet import log
from fleet.accounts.cli import app as accounts
from fleet.actors import ActorKind, Work, working
from fleet.audit.cli import app as audit
from fleet.config import FleetConfig
from fleet.embedded import cli as embedded
from fleet.enrollment.cli import app as token
from fleet.ent.cli import app as ent
from fleet.environment import read_environment
from fleet.errors import ConfigurationError, FleetError
from fleet.filtering.cli import app as filters
from fleet.french import run_in_french
from fleet.imports.cli import app as imports
from fleet.jobs.cli import app as jobs
from fleet.migrate import migrate_as_owner
from fleet.worker import make_celery

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Préau : parc, ENT et navigation sûre des écoles.")


def run() -> None:
    """Entry of the console command: a broken rule or setting is one sentence and exit status 1, not a traceback."""
    try:
        sys.exit(run_in_french(app))
    except (FleetError, ConfigurationError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    except OperationalError as error:
        sys.stderr.write(f"La base de données ne répond pas : {str(error.orig).splitlines()[0]}\n")
        sys.exit(1)
    finally:
        gc.freeze()  # the interpreter's last collection would walk through every library: up to two seconds


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"preau {version('preau')}")
        raise typer.Exit


def words_of(context: typer.Context) -> str:
    """``preau account create``: the command that was typed, without its options and arguments."""
    words, command = ["preau"], context.command
    for word in sys.argv[1:]:
        nested = getattr(command, "commands", {}).get(word)
        if nested is None:
            break
        words, command = [*words, word], nested
    return " ".join(words) if len(words) > 1 else f"preau {context.invoked_subcommand}"


@app.callback()
def options(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Affiche la version.")
    ] = False,
) -> None:
    """Préau : parc, ENT et navigation sûre des écoles."""
    name = pwd.getpwuid(os.geteuid()).pw_name
    context.with_resource(working(Work(ActorKind.COMMAND, name=name, operation=words_of(context))))


app.add_typer(accounts, name="account")
app.add_typer(audit, name="audit")
app.add_typer(imports, name="import")
app.add_typer(jobs, name="job")
app.add_typer(token, name="token")
app.add_typer(ent, name="ent")
app.add_typer(filters, name="filter")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Adresse d’écoute.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port d’écoute.")] = 8443,
) -> None:
    """Lance un contrôleur : portail, API, appareils, filtres."""
    config = FleetConfig.from_environ(read_environment())
    config.check_serving()
    log.set_up(config.log_format)
    uvicorn.run(
        "dashboards.portal.app:create_portal",  # by name: the portal stands on the controller, never the reverse
        factory=True,
        host=host,
        port=port,
        ssl_certfile=config.tls_cert_file,
        ssl_keyfile=config.tls_key_file,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=2,
    )


@app.command()
def worker(
    concurrency: Annotated[int, typer.Option(help="Tâches à la fois.", min=1, max=64)] = 2,
) -> None:
    """Lance un ouvrier : compilation des listes, courriels, balayages."""
    config = FleetConfig.from_environ(read_environment())
    log.set_up(config.log_format)
    # Celery warns root because pickled tasks run anything; ours are JSON, the only content accepted.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    make_celery(config).worker_main(
        ["--quiet", "worker", f"--concurrency={concurrency}", "--without-mingle", "--without-gossip"]
    )


@app.command()
def beat(
    schedule: Annotated[Path, typer.Option(help="Fichier où beat note ses derniers passages.")] = Path("beat.db"),
) -> None:
    """Lance l’horloge qui réveille les tâches régulières (une seule par installation)."""
    config = FleetConfig.from_environ(read_environment())
    log.set_up(config.log_format)
    make_celery(config).start(["--quiet", "beat", f"--schedule={schedule}", "--pidfile="])


@app.command()
def migrate() -> None:
    """Met la base de données à la version présente."""
    applied = migrate_as_owner(FleetConfig.from_environ(read_environment()))
    typer.echo(f"Base de données mise à jour : {', '.join(applied)}." if applied else "Base de données déjà à jour.")


app.command(help=embedded.HELP)(embedded.up)

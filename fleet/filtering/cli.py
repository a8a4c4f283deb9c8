"""`preau filter`: register filters, publish what they apply, see how they are."""

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from filter.lists.titles import TITLES
from fleet.clock import utc_now
from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import Conflict, Invalid
from fleet.files import write_private
from fleet.filtering import service
from fleet.filtering.models import FilterNode, Publication, PublicationState
from fleet.filtering.publishing.publications import DONE
from fleet.filtering.publishing.signing import credential_text, public_keys
from fleet.operator import open_fleet
from fleet.schools import service as schools
from fleet.worker import make_celery

app = typer.Typer(no_args_is_help=True, help="Filtres DNS : enregistrer, publier les listes, voir leur état.")
PARIS = ZoneInfo("Europe/Paris")
POLL = 0.5
"""Seconds between two looks at a publication."""
NameArgument = Annotated[str, typer.Argument(help="Nom du filtre, par exemple « passerelle-laon ».")]


def open_database() -> None:
    """Bind the database and the broker; in each command, so that its --help needs no setting."""
    make_celery(open_fleet())


@app.command()
def register(
    name: NameArgument,
    school: Annotated[str | None, typer.Option(help="UAI de l’école où il se trouve.")] = None,
    output: Annotated[Path | None, typer.Option(help="Fichier (mode 600) où écrire l’identifiant secret.")] = None,
    replace: Annotated[bool, typer.Option(help="Remplace le secret d’un filtre déjà enregistré.")] = False,
) -> None:
    """Enregistre un filtre ; donne son identifiant secret, affiché cette seule fois, et la clé à laquelle il se fie."""
    open_database()
    with transaction(Door.OPERATOR) as session:
        place = schools.get_any_school(session, school) if school is not None else None
        node, credential = service.register_filter(session, name, place, utc_now(), replace=replace)
        text = credential_text(credential, public_keys(session))
        if output is not None:  # before the commit: a file that cannot be written registers nothing
            write_credential(output, text)
    if output is None:
        typer.echo(text, nl=False)
        typer.echo("Notez-le : il ne sera plus affiché.", err=True)
    else:
        typer.echo(f"Filtre « {node.name} » enregistré, identifiant secret dans {output}.")


def write_credential(path: Path, text: str) -> None:
    """Raise Invalid when the file cannot be written."""
    try:
        write_private(path, text)
    except OSError as error:
        raise Invalid("filtering.cannot_write", f"Impossible d’écrire {path} : {error.strerror}.") from error


@app.command(name="list")
def list_filters() -> None:
    """Montre les filtres, leur liste et leur dernier signe de vie."""
    open_database()
    with transaction(Door.OPERATOR) as session:
        latest = service.find_latest(session)
        filters = service.list_filters(session)
    table = Table("Nom", "Version", "Liste", "Vu le", "État")
    for node in filters:
        serial = str(node.bundle_serial or "")
        table.add_row(node.name, node.version or "", serial, moment(node.last_seen_at), state_of(node, latest))
    Console().print(table)


def state_of(node: FilterNode, latest: Publication | None) -> str:
    """One or two words on a filter."""
    if node.revoked_at is not None:
        return "révoqué"
    if node.last_seen_at is None:
        return "jamais vu"
    return "en retard" if latest is not None and node.bundle_serial != latest.serial else "à jour"


@app.command()
def revoke(name: NameArgument) -> None:
    """Refuse désormais ce filtre ; il continue avec les listes qu’il a."""
    open_database()
    with transaction(Door.OPERATOR) as session:
        node = service.revoke_filter(session, name, utc_now())
    typer.echo(f"Filtre « {node.name} » révoqué.")


@app.command()
def publish(
    wait: Annotated[bool, typer.Option(help="Attend la fin et montre l’avancement.")] = True,
    timeout: Annotated[float, typer.Option(help="Secondes d’attente au plus.", min=1)] = 900,
) -> None:
    """Compile les listes et les réglages présents, et les publie pour tous les filtres."""
    open_database()
    with transaction(Door.OPERATOR) as session:
        requested = service.request_publication(session, "ligne de commande", utc_now())
    typer.echo(f"Publication {requested.serial} demandée.")
    if wait:
        report(follow(requested.id, timeout))


def follow(publication_id: UUID, timeout: float) -> Publication:
    """Look until it is done, saying each change; raise Conflict when it takes longer."""
    deadline = time.monotonic() + timeout
    shown = PublicationState.REQUESTED
    while time.monotonic() < deadline:
        with transaction(Door.OPERATOR) as session:
            publication = service.get_publication(session, publication_id)
        if publication.state in DONE:
            return publication
        if publication.state is not shown:
            shown = publication.state
            typer.echo(f"{shown.label}…")
        time.sleep(POLL)
    raise Conflict("filtering.still_waiting", f"Toujours « {shown.label} » : un ouvrier tourne-t-il (preau worker) ?")


def report(publication: Publication) -> None:
    """Say how it went; raise Conflict with the reason when it failed."""
    if publication.state is PublicationState.FAILED:
        raise Conflict("filtering.failed", f"Échec : {publication.error}")
    if publication.state is PublicationState.UNCHANGED:
        typer.echo("Sans changement : la publication précédente reste en vigueur.")
        return
    names = f"{publication.report['names']:,}".replace(",", " ")
    size = (publication.size or 0) / 1e6
    plural = "" if publication.report["names"] == 1 else "s"
    figures = f"{size:.1f} Mo, en {publication.report['seconds']} s".replace(".", ",")
    typer.echo(f"Publiée : {names} nom{plural}, {figures}.")
    for category in publication.report["unknown_categories"]:
        typer.echo(f"Aucune liste pour la catégorie « {TITLES.get(category, category)} ».", err=True)


def moment(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(PARIS).strftime("%d/%m/%Y %H:%M")

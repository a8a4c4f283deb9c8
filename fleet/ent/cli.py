"""`preau ent`: the catalogue of portals, and which school uses which."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fleet.db import transaction
from fleet.doors import Door
from fleet.ent import service
from fleet.operator import open_fleet
from fleet.schools import service as schools

app = typer.Typer(no_args_is_help=True, help="ENT : catalogue des portails, et portail de chaque école.")
NONE = "aucun"


@app.command("list")
def list_portals() -> None:
    """Montre les portails, leurs liens et combien d’écoles les utilisent."""
    open_fleet()
    table = Table("Nom court", "Portail", "Adresse", "Écoles")
    with transaction(Door.OPERATOR) as session:
        counted = service.count_schools(session)
        for portal in service.list_portals(session):
            table.add_row(portal.slug, portal.name, portal.url, str(counted.get(portal.id, 0)))
            for link in portal.links:
                table.add_row("", f"  {link.title}", link.url, "")
    Console().print(table)


@app.command()
def assign(
    uai: Annotated[str, typer.Argument(help="UAI de l’école.", show_default=False)],
    portal: Annotated[str, typer.Argument(help=f"Nom court du portail, ou « {NONE} ».", show_default=False)],
) -> None:
    """Donne son portail à une école, ou le lui retire."""
    open_fleet()
    with transaction(Door.OPERATOR) as session:
        school = schools.get_any_school(session, uai)
        chosen = None if portal == NONE else service.get_portal(session, portal)
        service.assign_portal(session, school, chosen)
        typer.echo(f"{school.uai} {school.name} : {chosen.name if chosen else 'plus de portail'}.")


@app.command()
def examples() -> None:
    """Ajoute au catalogue des portails d’exemple (ONE, NEO, Beneylu) : vérifiez leurs adresses avant l’usage."""
    open_fleet()
    with transaction(Door.OPERATOR) as session:
        added = service.add_examples(session)
    typer.echo(f"Ajoutés : {', '.join(portal.slug for portal in added)}." if added else "Rien à ajouter.")

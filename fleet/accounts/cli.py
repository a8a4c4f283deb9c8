"""`preau account`: open an account, change a password, see who has one."""

import secrets
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from fleet.accounts import service
from fleet.collectivities.models import Collectivity
from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import Invalid, NotFound
from fleet.operator import open_fleet
from fleet.schools import service as schools
from fleet.scope import Grant, Role

app = typer.Typer(no_args_is_help=True, help="Comptes : qui se connecte, avec quel rôle, sur quoi.")
EmailArgument = Annotated[str, typer.Argument(help="Adresse électronique : c’est l’identifiant.")]


def read_password() -> tuple[str, bool]:
    """The password from standard input (never an argument: others see those), or a new one; True when made here."""
    if sys.stdin.isatty():
        typed = typer.prompt("Mot de passe (vide : en créer un)", hide_input=True, default="", show_default=False)
    else:
        typed = sys.stdin.readline().rstrip("\n")
    return (typed, False) if typed else (secrets.token_urlsafe(15), True)


@app.command()
def create(
    email: EmailArgument,
    name: Annotated[str, typer.Option(help="Nom de la personne.")],
    role: Annotated[Role, typer.Option(help="Rôle.")],
    insee: Annotated[str | None, typer.Option(help="Code INSEE de la commune dont elle est l’agent.")] = None,
    siren: Annotated[str | None, typer.Option(help="SIREN de la collectivité dont elle est l’agent.")] = None,
    uai: Annotated[str | None, typer.Option(help="UAI de l’école dont elle est la référente.")] = None,
) -> None:
    """Ouvre un compte. Sans --insee, --siren ni --uai : personnel de l’opérateur, qui voit tout.

    Le mot de passe est demandé, ou lu sur l’entrée standard ; vide, il est créé et affiché une fois.
    """
    if sum(node is not None for node in (insee, siren, uai)) > 1:
        raise Invalid("account.one_node", "Un rôle porte sur une seule chose : --insee, --siren ou --uai.")
    if role in {Role.OFFICER, Role.SCHOOL_LEAD} and not (insee or siren or uai):
        raise Invalid("account.node_needed", "Dites sur quoi porte ce rôle : --insee, --siren ou --uai.")
    open_fleet()
    password, made_here = read_password()
    with transaction(Door.OPERATOR) as session:
        collectivity_id = school_id = None
        if insee or siren:
            column = Collectivity.insee_code if insee else Collectivity.siren
            collectivity_id = session.scalar(select(Collectivity.id).where(column == (insee or siren)))
            if collectivity_id is None:
                raise NotFound("collectivity.unknown", f"Aucune collectivité de code {insee or siren}.")
        if uai:
            school_id = schools.get_any_school(session, uai).id
        grant = Grant(role, collectivity_id, school_id)
        service.create_user(session, email=email, name=name, password=password, grants=[grant])
    typer.echo(f"Compte ouvert pour {email} ({role.value}).")
    if made_here:
        typer.echo(f"Mot de passe, affiché une seule fois : {password}")


@app.command()
def password(email: EmailArgument) -> None:
    """Change un mot de passe et ferme les sessions ouvertes."""
    open_fleet()
    new, made_here = read_password()
    with transaction(Door.OPERATOR) as session:
        service.set_password(session, email, new)
    typer.echo(f"Mot de passe changé pour {email}.")
    if made_here:
        typer.echo(f"Mot de passe, affiché une seule fois : {new}")


@app.command("list")
def list_accounts() -> None:
    """Montre les comptes et leurs rôles."""
    open_fleet()
    table = Table("Adresse", "Nom", "Rôles", "Actif")
    with transaction(Door.OPERATOR) as session:
        for user in service.list_users(session):
            roles = ", ".join(sorted(g.role.value for g in user.grants))
            table.add_row(user.email, user.name, roles, "oui" if user.is_active else "non")
    Console().print(table)

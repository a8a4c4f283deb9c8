"""`preau account`: open, invite, close; roles, passwords, second factors, sessions, tokens."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.accounts import administration, service, sessions, tokens
from fleet.accounts.administration import AccountState
from fleet.accounts.models import ApiToken, User
from fleet.clock import utc_now
from fleet.collectivities.models import Collectivity
from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import Invalid, NotFound
from fleet.operator import OPERATOR, open_fleet
from fleet.schools import service as schools
from fleet.scope import Grant, Role
from fleet.worker import make_celery

app = typer.Typer(no_args_is_help=True, help="Comptes : qui se connecte, avec quel rôle, sur quoi.")
token = typer.Typer(no_args_is_help=True, help="Jetons que des programmes présentent à l’API au nom d’une personne.")
app.add_typer(token, name="token")
EmailArgument = Annotated[str, typer.Argument(help="Adresse électronique : c’est l’identifiant.")]
NameOption = Annotated[str, typer.Option(help="Nom de la personne.")]
RoleOption = Annotated[Role, typer.Option(help="Rôle.")]
InseeOption = Annotated[str | None, typer.Option(help="Code INSEE de la commune où s’exerce le rôle.")]
SirenOption = Annotated[str | None, typer.Option(help="SIREN de la collectivité où s’exerce le rôle.")]
UaiOption = Annotated[str | None, typer.Option(help="UAI de l’école où s’exerce le rôle.")]
UntilOption = Annotated[
    datetime | None,
    typer.Option("--until", formats=["%Y-%m-%d"], help="Dernier jour du rôle ; sans elle, pour de bon."),
]
PARIS = ZoneInfo("Europe/Paris")
STATES = {AccountState.OPEN: "ouvert", AccountState.INVITED: "invité", AccountState.CLOSED: "fermé"}


def read_password() -> tuple[str, bool]:
    """The password from standard input (never an argument: others see those), or a new one; True when made here."""
    if sys.stdin.isatty():
        typed = typer.prompt("Mot de passe (vide : en créer un)", hide_input=True, default="", show_default=False)
    else:
        typed = sys.stdin.readline().rstrip("\n")
    return (typed, False) if typed else (secrets.token_urlsafe(15), True)


def read_grant(session: Session, role: Role, insee: str | None, siren: str | None, uai: str | None) -> Grant:
    """The role on its place; raise Invalid for a place too many, or none where there must be one."""
    if sum(node is not None for node in (insee, siren, uai)) > 1:
        raise Invalid("account.one_node", "Un rôle porte sur une seule chose : --insee, --siren ou --uai.")
    if role in {Role.OFFICER, Role.SCHOOL_LEAD} and not (insee or siren or uai):
        raise Invalid("account.node_needed", "Dites sur quoi porte ce rôle : --insee, --siren ou --uai.")
    if uai:
        return Grant(role, school_id=schools.get_any_school(session, uai).id)
    if not insee and not siren:
        return Grant(role)
    column = Collectivity.insee_code if insee else Collectivity.siren
    collectivity_id = session.scalar(select(Collectivity.id).where(column == (insee or siren)))
    if collectivity_id is None:
        raise NotFound("collectivity.unknown", f"Aucune collectivité de code {insee or siren}.")
    return Grant(role, collectivity_id=collectivity_id)


def end_of(day: datetime | None) -> datetime | None:
    """The moment at which a role ends whose last day this is, in France."""
    return None if day is None else (day + timedelta(days=1)).replace(tzinfo=PARIS)


@contextmanager
def changing(email: str) -> Iterator[tuple[Session, User, datetime]]:
    """An account to change, its row locked; what is owed by mail leaves after the commit."""
    make_celery(open_fleet())
    with transaction(Door.OPERATOR) as session:
        user = administration.get_managed(session, OPERATOR, service.find_user(session, email).id)
        yield session, user, utc_now()


@app.command()
def create(
    email: EmailArgument,
    name: NameOption,
    role: RoleOption,
    insee: InseeOption = None,
    siren: SirenOption = None,
    uai: UaiOption = None,
    until: UntilOption = None,
) -> None:
    """Ouvre un compte. Sans --insee, --siren ni --uai : personnel de l’opérateur, qui voit tout.

    Le mot de passe est demandé, ou lu sur l’entrée standard ; vide, il est créé et affiché une fois.
    """
    open_fleet()
    password, made_here = read_password()
    with transaction(Door.OPERATOR) as session:
        grant = read_grant(session, role, insee, siren, uai)
        administration.check_grant(OPERATOR, grant)
        administration.check_end(end_of(until), utc_now())
        service.create_user(session, email=email, name=name, password=password, grants=[grant], ends_at=end_of(until))
    typer.echo(f"Compte ouvert pour {email} ({role.value}).")
    if made_here:
        typer.echo(f"Mot de passe, affiché une seule fois : {password}")


@app.command()
def invite(
    email: EmailArgument,
    name: NameOption,
    role: RoleOption,
    insee: InseeOption = None,
    siren: SirenOption = None,
    uai: UaiOption = None,
    until: UntilOption = None,
) -> None:
    """Ouvre un compte dont la personne choisit le mot de passe, par un lien reçu par courriel."""
    config = open_fleet()
    make_celery(config)
    with transaction(Door.OPERATOR) as session:
        grant = read_grant(session, role, insee, siren, uai)
        administration.invite(
            session, OPERATOR, email=email, name=name, grant=grant, ends_at=end_of(until), now=utc_now()
        )
    waits = "" if config.smtp_url else " Elle attend : aucun serveur d’envoi n’est donné (PREAU_SMTP_URL)."
    typer.echo(f"Invitation demandée pour {email}.{waits}")


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


@app.command("give-role")
def give_role(
    email: EmailArgument,
    role: RoleOption,
    insee: InseeOption = None,
    siren: SirenOption = None,
    uai: UaiOption = None,
    until: UntilOption = None,
) -> None:
    """Donne un rôle de plus."""
    with changing(email) as (session, user, now):
        grant = read_grant(session, role, insee, siren, uai)
        administration.give_role(session, OPERATOR, user, grant, ends_at=end_of(until), now=now)
    typer.echo(f"Rôle {role.value} donné à {email}.")


@app.command("take-role")
def take_role(
    email: EmailArgument, role: RoleOption, insee: InseeOption = None, siren: SirenOption = None, uai: UaiOption = None
) -> None:
    """Retire un rôle ; le dernier ne se retire pas, le compte se ferme."""
    with changing(email) as (session, user, now):
        wanted = read_grant(session, role, insee, siren, uai)
        place = (wanted.collectivity_id, wanted.school_id)
        held = [g.id for g in user.grants if (g.role, g.collectivity_id, g.school_id) == (role, *place)]
        if not held:
            raise NotFound("role.not_found", f"{email} n’a pas ce rôle.")
        administration.take_role(session, user, held[0], now)
    typer.echo(f"Rôle {role.value} retiré à {email}.")


@app.command()
def close(email: EmailArgument) -> None:
    """Ferme un compte : ses sessions et ses jetons se terminent tout de suite."""
    with changing(email) as (session, user, now):
        administration.close(session, user, now)
    typer.echo(f"Compte fermé : {email}.")


@app.command()
def reopen(email: EmailArgument) -> None:
    """Rouvre un compte fermé, avec les rôles qu’il avait."""
    with changing(email) as (_session, user, _now):
        administration.reopen(user)
    typer.echo(f"Compte rouvert : {email}.")


@app.command("reset-second-factor")
def reset_second_factor(email: EmailArgument) -> None:
    """Réinitialise le second facteur d’une personne qui a perdu son téléphone et ses codes de secours."""
    with changing(email) as (session, user, now):
        administration.reset_second_factor(session, user, now)
    typer.echo(f"Second facteur réinitialisé pour {email}.")


@app.command("end-sessions")
def end_sessions(email: EmailArgument) -> None:
    """Déconnecte une personne partout."""
    with changing(email) as (session, user, _now):
        count = sessions.end_all(session, user.id)
    typer.echo(f"Sessions terminées pour {email} : {count}.")


@app.command("list")
def list_accounts() -> None:
    """Montre les comptes et leurs rôles."""
    open_fleet()
    table, now = Table("Adresse", "Nom", "Rôles", "État"), utc_now()
    with transaction(Door.OPERATOR) as session:
        for user in service.list_users(session):
            roles = ", ".join(sorted(g.role.value for g in user.grants if not administration.is_over(g, now)))
            table.add_row(user.email, user.name, roles, STATES[administration.state_of(user)])
    Console().print(table)


@token.command("create")
def create_token(
    email: EmailArgument,
    name: Annotated[str, typer.Option(help="À quoi il sert.")],
    role: RoleOption,
    insee: InseeOption = None,
    siren: SirenOption = None,
    uai: UaiOption = None,
    days: Annotated[int, typer.Option(help="Durée, en jours.", min=1, max=365)] = 90,
) -> None:
    """Crée un jeton, affiché une seule fois ; jamais plus de droits que la personne."""
    open_fleet()
    now = utc_now()
    with transaction(Door.OPERATOR) as session:
        maker = service.get_viewer(session, service.find_user(session, email).id)
        grant = read_grant(session, role, insee, siren, uai)
        _, text = tokens.issue(session, maker, name=name, grant=grant, expires_at=now + timedelta(days=days), now=now)
    typer.echo(text)


@token.command("list")
def list_tokens(email: EmailArgument) -> None:
    """Montre les jetons d’une personne qui ouvrent encore quelque chose."""
    open_fleet()
    table = Table("Début", "Nom", "Rôle", "Jusqu’au", "Dernier usage")
    with transaction(Door.OPERATOR) as session:
        for row in tokens.list_own(session, service.find_user(session, email).id, utc_now()):
            used = f"{row.last_used_at:%d/%m/%Y %H:%M}" if row.last_used_at else "jamais"
            table.add_row(row.prefix, row.name, row.role.value, f"{row.expires_at:%d/%m/%Y}", used)
    Console().print(table)


@token.command("revoke")
def revoke_token(
    email: EmailArgument, prefix: Annotated[str, typer.Argument(help="Début du jeton, comme dans la liste.")]
) -> None:
    """Révoque un jeton, tout de suite."""
    with changing(email) as (session, user, now):
        found = session.scalars(
            select(ApiToken.id).where(
                ApiToken.user_id == user.id, ApiToken.prefix == prefix, ApiToken.revoked_at.is_(None)
            )
        ).all()
        if len(found) != 1:
            raise NotFound("token.not_found", f"{len(found)} jeton de {email} commence par {prefix}.")
        tokens.revoke(session, user.id, found[0], now)
    typer.echo(f"Jeton révoqué : {prefix}…")

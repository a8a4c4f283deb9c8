"""`preau token`: issue, list and revoke enrolment tokens."""

import json
import re
import sys
from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import segno
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.orm import Session

from fleet.clock import utc_now
from fleet.db import transaction
from fleet.devices.labels import KINDS, PLATFORMS
from fleet.devices.models import DeviceKind, Platform
from fleet.doors import Door
from fleet.enrollment import service
from fleet.enrollment.models import EnrollmentToken
from fleet.enrollment.service import IssuedToken
from fleet.errors import Conflict, Invalid, NotFound
from fleet.operator import OPERATOR, open_fleet
from fleet.paging import Page
from fleet.schools import service as schools

app = typer.Typer(no_args_is_help=True, help="Codes d’enrôlement : laisser entrer des appareils dans une école.")
DURATION = re.compile(r"(\d{1,6})\s*(m|min|h|d|j)")
UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "j": "days"}
NEVER_CUT = {"Code", "École", "Identifiant"}
PARIS = ZoneInfo("Europe/Paris")
JsonOption = Annotated[bool, typer.Option("--json", help="Du JSON, pour un programme.")]


def parse_duration(typed: str) -> timedelta:
    """``60m``, ``12h``, ``7d`` (or ``7j``); raise Invalid for anything else."""
    found = DURATION.fullmatch(typed.strip().lower())
    if not found:
        raise Invalid("token.bad_expiry", f"Durée illisible : {typed}. Exemples : 60m, 12h, 7d.")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


@app.command()
def create(
    school: Annotated[str, typer.Option(help="UAI de l’école.", metavar="UAI")],
    kind: Annotated[DeviceKind, typer.Option(help="Type des appareils.")],
    platform: Annotated[
        Platform | None, typer.Option(help="Plateforme ; sans elle, la plus courante pour ce type.")
    ] = None,
    uses: Annotated[int, typer.Option(help=f"Combien d’appareils, {service.MAX_USES} au plus.")] = 1,
    expires: Annotated[str, typer.Option(help="Durée de validité : 60m, 12h, 7d (30 jours au plus).")] = "60m",
    as_json: JsonOption = False,
) -> None:
    """Crée un code. Il n’est affiché qu’ici, une seule fois : seul son condensé est gardé."""
    config = open_fleet()
    with transaction(Door.OPERATOR) as session:
        issued = service.issue_token(
            session,
            OPERATOR,
            school=schools.get_any_school(session, school),
            kind=kind,
            platform=platform,
            max_uses=uses,
            expires_in=parse_duration(expires),
            now=utc_now(),
            config=config,
        )
    command = service.agent_command(issued, config)
    if as_json:
        typer.echo(json.dumps(as_document(issued, command), ensure_ascii=False))
    else:
        show(issued, command)


def as_document(issued: IssuedToken, command: str) -> dict[str, object]:
    """What --json prints."""
    token = issued.token
    return {
        "id": str(token.id),
        "token": issued.text,
        "url": issued.url,
        "command": command,
        "school": token.school.uai,
        "kind": token.kind.value,
        "platform": token.platform.value,
        "max_uses": token.max_uses,
        "expires_at": token.expires_at.isoformat(),
    }


def show(issued: IssuedToken, command: str) -> None:
    """The code for a person, with a QR when a person is there to scan it."""
    token = issued.token
    typer.echo(f"Code d’enrôlement : {issued.text}")
    typer.echo(f"  pour {token.max_uses} × {KINDS[token.kind]} ({PLATFORMS[token.platform]}), {token.school.name}")
    typer.echo(f"  valable jusqu’au {token.expires_at.astimezone(PARIS):%d/%m/%Y à %H:%M}")
    typer.echo(f"Page à ouvrir : {issued.url}")
    if token.platform in {Platform.LINUX, Platform.WINDOWS}:
        typer.echo(f"Sur l’appareil : {command}")
    if sys.stdout.isatty():
        segno.make_qr(issued.url).terminal(compact=True)


@app.command("list")
def list_tokens(
    school: Annotated[str | None, typer.Option(help="UAI d’une école ; sans elle, toutes.", metavar="UAI")] = None,
    as_json: JsonOption = False,
) -> None:
    """Montre les codes, du plus récent au plus ancien (500 au plus)."""
    open_fleet()
    now = utc_now()
    with transaction(Door.OPERATOR) as session:
        school_id = schools.get_any_school(session, school).id if school else None
        tokens = service.list_tokens(session, OPERATOR, school_id=school_id, page=Page(size=500)).rows
    lines = [
        {
            "id": str(t.id),
            "hint": t.hint,
            "school": t.school.uai,
            "kind": t.kind.value,
            "platform": t.platform.value,
            "uses": t.uses,
            "max_uses": t.max_uses,
            "expires_at": t.expires_at.isoformat(),
            "state": service.token_state(t, now),
        }
        for t in tokens
    ]
    if as_json:
        typer.echo(json.dumps(lines, ensure_ascii=False))
        return
    table = Table()
    for heading in ("Code", "École", "Type", "Servi", "Jusqu’au", "État", "Identifiant"):
        table.add_column(heading, no_wrap=heading in NEVER_CUT)
    for token, line in zip(tokens, lines, strict=True):
        until = f"{token.expires_at.astimezone(PARIS):%d/%m/%Y %H:%M}"
        used, state = f"{token.uses}/{token.max_uses}", str(line["state"])
        table.add_row(f"{token.hint}-…", token.school.uai, KINDS[token.kind], used, until, state, short_id(token))
    Console().print(table)


def short_id(token: EnrollmentToken) -> str:
    """The first signs of its id: enough for `revoke`, and never wider than a column."""
    return token.id.hex[:8]


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="Les 4 premiers signes du code, ou le début de son identifiant.")],
) -> None:
    """Annule un code. Les appareils déjà entrés restent."""
    open_fleet()
    with transaction(Door.OPERATOR) as session:
        revoked = service.revoke_token(session, OPERATOR, meant(session, token).id, utc_now())
    typer.echo(f"Le code {revoked.hint}-… ne laisse plus entrer personne.")


def meant(session: Session, typed: str) -> EnrollmentToken:
    """The one token that was typed; raise NotFound for none, and Conflict that names them for several."""
    found = service.find_tokens(session, OPERATOR, typed)
    if not found:
        raise NotFound("token.not_found", f"Aucun code ne commence par « {typed} » : voyez « preau token list ».")
    if len(found) > 1:
        named = "".join(f"\n  {t.id}  {t.hint}-…  {t.school.uai}  {KINDS[t.kind]}" for t in found[:20])
        raise Conflict("token.several", f"« {typed} » désigne {len(found)} codes. Donnez l’identifiant :{named}")
    return found[0]

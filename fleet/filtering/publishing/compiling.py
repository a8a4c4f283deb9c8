"""One compile: what sources sent in, a signed names file in the database out. No transaction is open while it works."""

import logging
import tempfile
from dataclasses import asdict
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from filter.bundle import BundleRefused, ListInfo, NamesFile
from filter.compiler import CompileReport, compile_names, find_unknown_categories
from filter.layout.writer import write_again
from filter.lists.lines import ListRefused
from filter.settings import SERVICE_PREFIX
from filter.signing import SigningKey
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import NotFound
from fleet.filtering.gateways import serials
from fleet.filtering.lists.folder import REPORTED, FolderHeld, check_folder
from fleet.filtering.lists.listing import open_lists
from fleet.filtering.models import Publication
from fleet.filtering.policy import policies, profiles
from fleet.filtering.publishing import deltas, publications, signing
from fleet.filtering.publishing.publications import Order
from fleet.filtering.publishing.turns import COMPILE_LOCK, turn

log = logging.getLogger(__name__)
REFUSALS = (ListRefused, BundleRefused, NotFound)
OTHER = (
    "Les listes ne sont plus celles que l’essai a jugées : rien n’est publié. Demandez un nouvel essai, ou publiez-les "
    "telles qu’elles sont."
)


class OtherThanJudged(Exception):
    """The lists hold something else than the preview of which somebody published the content."""


class NothingToPublish(Exception):
    """The lists hold no name at all: publishing that would open everything."""


def compile_publication(publication_id: UUID, config: FleetConfig, engine: Engine) -> bool:
    """Compile and publish, or note why not; False when it is another process's turn or there is nothing left to do.

    Killed at any moment, it leaves a row that the sweep finds; run twice, it publishes once.
    """
    with turn(engine, COMPILE_LOCK) as is_ours:
        if not is_ours:
            return False
        with transaction(Door.JOBS) as session:
            order = publications.start(session, publication_id, utc_now())
        if order is None:
            return False
        log.info("compile started", extra={"serial": order.serial, "attempt": order.attempt})
        with tempfile.TemporaryDirectory(prefix="preau-compile-") as workspace:
            carry_out(order, config, Path(workspace))
        return True


def carry_out(order: Order, config: FleetConfig, workspace: Path) -> None:
    """Write the file in the workspace, then publish or fail in one transaction."""
    out = workspace / "names"
    try:
        report = write_anew(order, workspace, out) if order.returns_to else compile_lists(order, config, workspace, out)
        finish(order, out, report, workspace)
    except (*REFUSALS, NothingToPublish, FolderHeld, OtherThanJudged) as error:
        give_up(order, str(error))
    except OSError as error:
        give_up(order, f"Fichier illisible ou disque plein : {error}")
    except OperationalError:
        raise  # the database went away: there is nowhere to note it, and the sweep tries again
    except Exception as error:  # whatever one order stumbles over, those behind it have their turn
        log.exception("compile broke", extra={"serial": order.serial})
        give_up(order, f"Erreur imprévue ({type(error).__name__}) : {error}. Voyez le journal de l’ouvrier.")


def compile_lists(order: Order, config: FleetConfig, workspace: Path, out: Path) -> dict[str, object]:
    """Compile, and tell what people read of it; raise FolderHeld for what no person should miss, and
    OtherThanJudged.
    """
    report = summary(compile_order(order, config, workspace, out))
    if order.expects is not None and NamesFile.open(out).digest != order.expects:
        raise OtherThanJudged(OTHER)
    with transaction(Door.JOBS) as session:
        return report | {REPORTED: check_folder(session, NamesFile.open(out), is_accepted=order.accepts_folder)}


def compile_order(
    order: Order, config: FleetConfig, workspace: Path, out: Path, *, accepting: UUID | None = None
) -> CompileReport:
    """Write the names file of an order; raise what the readers and the compiler refuse, or NothingToPublish.

    ``accepting``: a held content that is taken as if somebody had accepted it.
    """
    key = signing_key()
    with open_lists(config, workspace, accepting=accepting) as lists:
        report = compile_names(lists, out, serial=order.serial, compiled_at=utc_now(), sign=key.sign)
    if not any(is_from_source(outcome.info) for outcome in report.lists):
        raise NothingToPublish("Les listes ne contiennent aucun nom : rien n’est publié.")
    return report


def is_from_source(info: ListInfo) -> bool:
    """Whether a list blocks or allows anything, the catalogue of services apart, which is always there."""
    return bool(info.entries or info.rules or info.addresses) and not info.category.startswith(SERVICE_PREFIX)


def write_anew(order: Order, workspace: Path, out: Path) -> dict[str, object]:
    """The content of an earlier publication under this order's serial; raise NotFound when it was pruned."""
    key = signing_key()
    with transaction(Door.JOBS) as session:
        earlier = publications.get_publication(session, order.returns_to) if order.returns_to else None
    if earlier is None:
        raise NotFound("filtering.content_gone", "Le contenu de cette publication n’est plus là.")
    publications.copy_names(earlier.id, workspace / "earlier")
    write_again(workspace / "earlier", out, serial=order.serial, compiled_at=utc_now(), sign=key.sign)
    return earlier.report | {"returns_to": earlier.serial}


def signing_key() -> SigningKey:
    with transaction(Door.JOBS) as session:
        return signing.signing_key(session)


def finish(order: Order, out: Path, report: dict[str, object], workspace: Path) -> None:
    """Publish what differs from what is published, with the deltas that lead to it."""
    digest = NamesFile.open(out).digest  # what does not open here would be refused everywhere
    with transaction(Door.JOBS) as session:
        latest = publications.find_latest(session)
        is_refused = latest is not None and serials.must_go_above(session, latest)
    if is_same(latest, digest) and not is_refused:
        with transaction(Door.JOBS) as session:
            publications.leave_unchanged(session, order, digest, report)
        log.info("compile done: nothing changed", extra={"serial": order.serial})
        return
    found = deltas.make_deltas(out, workspace)
    with transaction(Door.JOBS) as session:
        published = publications.publish(session, order, out, digest, report, utc_now())
        if published is not None:
            deltas.store(session, published, found)
            if policies.find_current(session) is None:  # names are worth nothing without one
                policies.publish(session, None, "Première publication", utc_now())
    done = {"serial": order.serial, "published": published is not None, "names": report.get("names")}
    log.info("compile done", extra=done | {"deltas": [len(each.content) for each in found]})


def is_same(latest: Publication | None, digest: str) -> bool:
    return latest is not None and latest.digest == digest


def give_up(order: Order, reason: str) -> None:
    with transaction(Door.JOBS) as session:
        publications.fail(session, order, reason)
    log.error("compile failed", extra={"serial": order.serial, "reason": reason})


def summary(report: CompileReport) -> dict[str, object]:
    """What people read of a compile, as JSON."""
    with transaction(Door.JOBS) as session:
        settings = profiles.policy_settings(session, utc_now())
    return {
        "names": report.names,
        "rules": report.rules,
        "addresses": report.addresses,
        "sets": report.sets,
        "seconds": round(report.seconds, 3),
        "unknown_categories": list(find_unknown_categories(settings, [outcome.info for outcome in report.lists])),
        "lists": [
            {key: value for key, value in asdict(outcome.info).items() if value}
            | {"warnings": list(outcome.warnings), "examples": outcome.examples}
            for outcome in report.lists
        ],
    }

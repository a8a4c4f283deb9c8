"""One compile: lists and settings in, a bundle in the database out. No transaction is open while it works."""

import contextlib
import logging
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from filter.compiler import CompileReport, compile_bundle
from filter.lists.lines import ListRefused
from filter.lists.ut1 import read_ut1
from filter.settings import SettingsInvalid
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import SessionFactory
from fleet.filtering import publications
from fleet.filtering.publications import Order

log = logging.getLogger(__name__)

SMALL_SET = Path(__file__).parent.parent / "demo" / "data" / "ut1.tar.xz"
"""Some UT1 categories that ship with Préau: see the licence beside it."""


class NothingToPublish(Exception):
    """The lists hold no name at all: publishing that would open everything."""


@contextlib.contextmanager
def list_directory(config: FleetConfig, workspace: Path) -> Iterator[Path]:
    """The UT1 tree to read: the configured one, or the small set unpacked in the workspace."""
    if config.ut1_dir is not None:
        yield config.ut1_dir
        return
    with tarfile.open(SMALL_SET) as archive:
        # The argument filter= is younger (3.11.4) than the Python of Debian 12 (3.11.2), which ignores this.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(workspace)  # noqa: S202 - our own archive
    yield workspace / "ut1"


def compile_publication(publication_id: UUID, config: FleetConfig, engine: Engine) -> bool:
    """Compile and publish, or note why not; False when it is another process's turn or there is nothing left to do.

    Killed at any moment, it leaves a row that the sweep finds; run twice, it publishes once.
    """
    with publications.compile_turn(engine) as is_ours:
        if not is_ours:
            return False
        with SessionFactory.begin() as session:
            order = publications.start(session, publication_id, utc_now())
        if order is None:
            return False
        log.info("compile started", extra={"serial": order.serial, "attempt": order.attempt})
        with tempfile.TemporaryDirectory(prefix="preau-compile-") as workspace:
            carry_out(order, config, Path(workspace))
        return True


def carry_out(order: Order, config: FleetConfig, workspace: Path) -> None:
    """Compile in the workspace, then publish or fail in one transaction."""
    out = workspace / "bundle"
    try:
        report = compile_order(order, config, workspace, out)
    except (ListRefused, SettingsInvalid, NothingToPublish) as error:
        give_up(order, str(error))
    except OSError as error:
        give_up(order, f"Fichier illisible ou disque plein : {error}")
    else:
        with SessionFactory.begin() as session:
            was_ours = publications.publish(session, order, out, summary(report), utc_now())
        log.info("compile done", extra={"serial": order.serial, "published": was_ours, "names": report.names})


def compile_order(order: Order, config: FleetConfig, workspace: Path, out: Path) -> CompileReport:
    """Write the bundle of an order; raise what the readers and the compiler refuse, or NothingToPublish."""
    with list_directory(config, workspace) as directory:
        lists = read_ut1(directory)
        report = compile_bundle(lists, order.policy, out, serial=order.serial, compiled_at=utc_now())
    if report.names == 0:
        raise NothingToPublish("Les listes ne contiennent aucun nom : rien n’est publié.")
    return report


def give_up(order: Order, reason: str) -> None:
    with SessionFactory.begin() as session:
        publications.fail(session, order, reason)
    log.error("compile failed", extra={"serial": order.serial, "reason": reason})


def summary(report: CompileReport) -> dict[str, Any]:
    """What people read of a compile, as JSON."""
    return {
        "names": report.names,
        "sets": report.sets,
        "seconds": round(report.seconds, 3),
        "unknown_categories": list(report.unknown_categories),
        "lists": [
            {key: value for key, value in asdict(outcome.info).items() if value}
            | {"warnings": list(outcome.warnings), "examples": outcome.examples}
            for outcome in report.lists
        ],
    }

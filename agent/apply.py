"""Everything a device can be made to be: one action for each resource, and none hides another's failure."""

import errno
import logging
from collections.abc import Callable
from pathlib import Path

from agent.actions.browser import apply_browser
from agent.actions.dns import apply_dns
from agent.actions.shortcuts import apply_shortcuts
from agent.protocol import DesiredState, Outcome
from agent.resource import Change, Place, ResourceFailed, Unsupported
from agent.state import Record, State

log = logging.getLogger(__name__)

Action = Callable[[DesiredState, Place], Change]

ACTIONS: dict[str, Action] = {
    "shortcuts": lambda desired, place: apply_shortcuts(desired.shortcuts, place),
    "browser": lambda desired, place: apply_browser(desired.browser, place),
    "dns": lambda desired, place: apply_dns(desired.dns, place),  # last: if it goes wrong, the rest is done
}
"""Resource -> action, in the order of application."""

CAUSES = {
    errno.EACCES: "permission refusée",
    errno.EPERM: "permission refusée",
    errno.ENOSPC: "disque plein",
    errno.EROFS: "système de fichiers en lecture seule",
    errno.EISDIR: "un dossier occupe cette place",
    errno.EEXIST: "un fichier occupe la place d’un dossier",
    errno.ENOTDIR: "un fichier occupe la place d’un dossier",
}
LONGEST_DETAIL = 500


def apply(
    desired: DesiredState,
    root: Path,
    state: State,
    save: Callable[[State], None],
    now: str,
    actions: dict[str, Action] = ACTIONS,
) -> State:
    """Bring every resource to its desired state; return the memory, with how each one went.

    Each record is saved in one write with its outcome, so that no change goes unreported.
    """

    def remember(record: Record) -> None:
        nonlocal state
        state = state.with_record(record)
        save(state)

    for resource, action in actions.items():
        place = Place(root, state.record_of(resource), remember)
        change, outcome = attempt(resource, action, desired, place, now)
        after = state.with_record(change.record) if change else state
        after = after.with_outcome(outcome)
        if after.records != state.records or after.queue != state.queue:
            save(after)
        state = after
    return state


def attempt(
    resource: str, action: Action, desired: DesiredState, place: Place, now: str
) -> tuple[Change | None, Outcome]:
    """Run one action; whatever goes wrong is an outcome."""
    try:
        change = action(desired, place)
    except Unsupported as error:
        return None, Outcome(resource, "unsupported", str(error)[:LONGEST_DETAIL], now)
    except ResourceFailed as error:
        return None, Outcome(resource, "failed", str(error)[:LONGEST_DETAIL], now)
    except OSError as error:
        return None, Outcome(resource, "failed", explain(error)[:LONGEST_DETAIL], now)
    except Exception:
        log.exception("action failed", extra={"resource": resource})
        return None, Outcome(resource, "failed", "erreur interne de l’agent, voir son journal", now)
    return change, Outcome(resource, change.status, change.detail[:LONGEST_DETAIL], now)


def explain(error: OSError) -> str:
    """Why a file could not be written, in French."""
    cause = CAUSES.get(error.errno or 0) or error.strerror or "erreur du disque"
    return f"écriture impossible : {error.filename or 'fichier'} ({cause})"

"""Proof by the whole suite's own traffic that every route that changes something leaves entries, and says who did it.

Each test's `api` tells here what its requests left in the log. When every test ran, a mutating route of the API or the
portal that never left an entry, and is not in EXEMPT, fails the run.
"""

from collections.abc import Iterable, Iterator, Mapping

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import text
from sqlalchemy.orm import Session

from fleet.accounts.access import SAFE_METHODS
from fleet.actors import operation_of

EXEMPT: Mapping[str, str] = {
    "filtering.gateways.report": "counts of queries and how a filter is: telemetry",
    "portal.saved_filters.remove_filter": "what a person looks for",
    "portal.saved_filters.save_filter": "what a person looks for",
    "portal.links.ask_reset": "somebody forgot a password: strangers could fill the log",
    "portal.links.open_invitation": "looks whether a link still opens",
    "portal.links.open_reset": "looks whether a link still opens",
    "filtering.previews.answer": "what a filter found for a preview, forgotten after a week",
}
"""Operation -> why it may leave no entry."""
NAMELESS: Mapping[str, str] = {}
"""Operation -> why whoever does it has no name."""
LEFT = text(
    "SELECT operation, bool_or(actor_kind IN ('visitor', 'unknown')) FROM audit_entries"
    " WHERE operation IS NOT NULL AND request_id IS NOT NULL GROUP BY operation"
)
KEY = "audited_operations"
SEEN = pytest.StashKey[set[str]]()


def seen(config: pytest.Config) -> set[str]:
    """Operations that left entries so far."""
    found: set[str] = config.stash.setdefault(SEEN, set())
    return found


def note_traffic(config: pytest.Config, session: Session) -> None:
    """Remember which operations left entries in this test; fail for one that does not know who did it."""
    if session.connection().invalidated:
        return  # the test broke it
    left = {operation: is_nameless for operation, is_nameless in session.connection().execute(LEFT)}  # noqa: C416
    nameless = {operation for operation, is_nameless in left.items() if is_nameless} - set(NAMELESS)
    seen(config).update(left)
    assert nameless == set(), "entries of requests that proved nobody's identity: call fleet.actors.become"


def mutating_operations(app: FastAPI) -> Iterator[str]:
    """Every route of the API and the portal that may change something, as entries name it."""
    for context in iter_route_contexts(app.routes):
        endpoint = getattr(context, "endpoint", None)
        methods = set(getattr(context, "methods", None) or ()) - SAFE_METHODS
        if endpoint is not None and methods:
            operation = operation_of({"endpoint": endpoint})
            assert operation is not None
            yield operation


def told_by_workers(config: pytest.Config, told: Iterable[str]) -> None:
    """What a worker of pytest-xdist saw."""
    seen(config).update(told)


def is_whole_run(config: pytest.Config) -> bool:
    """Whether nothing was left out but long tests: a part of the suite proves nothing about the rest."""
    return list(config.args) == list(config.getini("testpaths")) and not config.option.keyword


def silent_operations(config: pytest.Config, app: FastAPI) -> list[str]:
    """Mutating operations that no test saw leave an entry."""
    return sorted(set(mutating_operations(app)) - seen(config) - set(EXEMPT))

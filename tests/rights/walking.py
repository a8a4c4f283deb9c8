"""Walks routes as people do, with the ids of every node, and tells what an answer says that it should not."""

import asyncio
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID, uuid4

import anyio.to_thread
import httpx2
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import Connection, Engine, Select, event, text

from fleet import errors, scope
from fleet.accounts.access import COOKIE
from fleet.filtering.policy import places
from fleet.row_security import tables
from tests.rights.calling import Call, Who
from tests.rights.expectations import CALLS
from tests.rights.world import COMMON, OPERATOR, RELATION, Kind, Mark, Person, World

PLACEHOLDER = re.compile(r"\{([a-z0-9]+\.)?([a-zA-Z _-]+)\}")
MARK = re.compile(r"zz([ndri])([a-z0-9]+?)zz")
IDENTIFIER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
CHANGES = re.compile(r"\s*(INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
READS = ("GET", "HEAD")
ENDS_SESSION = ("POST /sign-out", "POST /api/v1/accounts/sign-out")
OWN_ACCOUNT = ("/account/", "/api/v1/accounts/", "/saved-filters")
"""Everybody changes their own, readers too, and nobody another's."""
MAKES_WHAT_IS_MISSING = ("GET /filtering/sources",)
"""Pages whose first reader makes a row of nobody's: the controller's own folder of lists."""
READERS = frozenset({"auditor", "node auditor", "anonymous", "expired role"})
"""Who may change nothing but their own account."""
EVERYTHING = ("own", "own1", OPERATOR, COMMON)
"""Whose rows are asked for by who sees all: no node is another to them."""
SAMPLE = (*EVERYTHING, "lapsed1", "foreign")
"""By who sees nothing, or what somebody else here sees."""
WALKED = (*SAMPLE, "own2", "given", "lent1", "lapsed", "sibling", "sibling1", "foreign1")
"""Whose rows are asked for by the others. What hangs on the rest of the world must not show either."""
THOROUGH = ("officer", "school lead", "node technician")
OUTSIDE = ("/static",)


def routes_of(app: FastAPI) -> set[str]:
    """Every route of the OpenAPI document, every page and whatever else answers, as ``METHOD /address``."""
    found = set()
    for context in iter_route_contexts(app.routes):
        path = context.path or ""
        methods = set(getattr(context, "methods", None) or ()) - {"HEAD", "OPTIONS"}
        found |= {f"{method} {path}" for method in methods if not path.startswith(OUTSIDE)}
    documented = app.openapi()["paths"]
    found |= {f"{m.upper()} {path}" for path, methods in documented.items() for m in methods if m != "head"}
    return found


@dataclass(frozen=True, slots=True)
class Case:
    """One request: who, which route, with the rows of which node ("": it names none)."""

    route: str
    call: Call
    person: Person
    node: str
    ids: Mapping[str, UUID]

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    def __str__(self) -> str:
        relation = f" × {RELATION.get(self.node, self.node)} ({self.node})" if self.node else ""
        query = f"?{self.call.query}" if self.call.query else ""
        return f"{self.person.name} × {self.route}{query}{relation}"

    @property
    def is_seen(self) -> bool:
        return self.person.sees_all or self.node in self.person.seen

    @property
    def names_row_in_path(self) -> bool:
        return bool(self.node) and "_id}" in (self.call.path or self.route)


class InProcess:
    """The application called in this thread, without the threads and sockets between: some thousand times a minute."""

    def __init__(self, app: FastAPI, base_url: str) -> None:
        self.runner = asyncio.Runner()
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 443))
        self.client = httpx2.AsyncClient(transport=transport, base_url=base_url, follow_redirects=False)

    def request(self, method: str, url: str, **more: Any) -> httpx2.Response:
        return self.runner.run(self.client.request(method, url, **more))

    def __enter__(self) -> Self:
        self.run_sync = anyio.to_thread.run_sync
        setattr(anyio.to_thread, "run_sync", call_here)  # noqa: B010 - of another signature
        return self

    def __exit__(self, *_: object) -> None:
        setattr(anyio.to_thread, "run_sync", self.run_sync)  # noqa: B010
        self.runner.run(self.client.aclose())
        self.runner.close()


async def call_here(func: Callable[..., Any], *arguments: Any, **_options: Any) -> Any:
    """What anyio.to_thread.run_sync does, but in this thread: all sessions share one connection."""
    return func(*arguments)


@dataclass(slots=True)
class Walk:
    """A populated application, and how to ask it; each change is taken back."""

    app: FastAPI
    api: InProcess
    connection: Connection
    world: World
    written: list[str] = field(default_factory=list)
    """Statements of the last request that write."""
    before: str = ""
    held: list[str] = field(default_factory=list)
    """What only the database held back, at the last request."""
    is_alone: bool = False
    """Whether `visible_to` is forgotten: then that is as it should be."""
    kept: dict[tuple[str, ...], httpx2.Response] = field(default_factory=dict)

    def cases(self, route: str, person: Person, calls: tuple[Call, ...] | None = None) -> Iterator[Case]:
        """Every way to call a route, with every node that has the rows it names."""
        for call in calls or CALLS[route]:
            wanted = needed(route, call)
            if not wanted:
                yield Case(route, call, person, "", {})
                continue
            for node, rows in self.world.rows.items():
                if wanted <= rows.keys() and node in nodes_for(person):
                    yield Case(route, call, person, node, {name: rows[name] for name in wanted})

    def ask(self, case: Case, ids: Mapping[str, UUID] | None = None) -> httpx2.Response:
        """Send it, with other ids if given, and take back what it changed."""
        ids = case.ids if ids is None else ids
        path = self.fill(case.call.path or case.route.partition(" ")[2], ids)
        body = self.filled(case.call.body, ids)
        headers = {"Sec-Fetch-Site": "same-origin"}
        if case.person.cookie:
            headers |= {"Cookie": f"{COOKIE}={case.person.cookie}", "X-CSRF-Token": case.person.csrf}
        more: dict[str, Any] = {"json": body} if path.startswith(("/api/", "/agent/", "/filter/")) else {
            "data": {**(body or {}), "csrf": case.person.csrf}
        }  # fmt: skip
        if case.method in READS or (body is None and "json" in more):
            more = {}
        self.written.clear()
        self.held.clear()
        query = self.fill(case.call.query, ids)
        url = f"{path}?{query}" if query else path
        return self.api.request(case.method, url, headers=headers, **more)

    def fill(self, template: str, ids: Mapping[str, UUID]) -> str:
        def value(found: re.Match[str]) -> str:
            node, name = found[1], found[2].removesuffix("_id")
            return str(self.world.rows[node.rstrip(".")][name] if node else ids[name])

        return PLACEHOLDER.sub(value, template)

    def filled(self, body: object, ids: Mapping[str, UUID]) -> Any:
        if isinstance(body, str):
            return self.fill(body, ids)
        if isinstance(body, Mapping):
            return {key: self.filled(value, ids) for key, value in body.items()}
        return [self.filled(each, ids) for each in body] if isinstance(body, list) else body

    def problems(self, case: Case) -> Iterator[str]:
        """Everything that is wrong with the answer."""
        attempt = self.connection.begin_nested()
        answer = self.ask(case)
        has_changed = bool(self.written) and must_change_nothing(case) and self.fingerprint() != self.before
        attempt.rollback()
        status = answer.status_code
        if status >= 500:
            yield f"{case}: {status} {answer.text[:300]}"
        for leak in sorted(self.leaks(case, answer)):
            yield f"{case}: {status} tells of {leak}"
        is_told = self.is_alone and all(case.person.may_read(self.world.marks[str(i)]) for i in case.ids.values())
        if not is_told:  # by other routes: forgotten here, it is shown here too
            yield from wrong_door(case, status)
        if has_changed:
            yield f"{case}: {status} changed something"
        if self.held and not self.is_alone:
            yield f"{case}: {status}, held back by the database alone"
        if case.node and not (case.is_seen or is_told) and case.call.who is Who.SIGNED_IN and case.person.cookie:
            yield from self.differences(case, answer)

    def leaks(self, case: Case, answer: httpx2.Response) -> set[Mark]:
        """Marks in an answer that the person may not read; the ids that they sent themselves are no news."""
        said = answer.text.lower() + str(answer.headers.get("location", ""))
        found = {(Kind(kind), node) for kind, node in MARK.findall(said)}
        own = set(IDENTIFIER.findall(str(answer.request.url)))
        own |= {str(each) for each in case.ids.values()}
        found |= {self.world.marks[i] for i in IDENTIFIER.findall(said) if i in self.world.marks and i not in own}
        found |= {mark for code, mark in self.world.codes.items() if code.lower() in said}
        return {each for each in found if not case.person.may_read(each)}

    def differences(self, case: Case, answer: httpx2.Response) -> Iterator[str]:
        """What tells a row that may not be seen from one that does not exist."""
        nowhere = self.nowhere(case)
        if answer.status_code != nowhere.status_code:
            yield f"{case}: {answer.status_code}, but {nowhere.status_code} for what does not exist"
        is_json = answer.headers.get("content-type") == "application/json"
        is_named = (Kind.NAME, case.node) in case.person.told  # some of its schools may be seen, and be listed
        if is_json and not is_named and IDENTIFIER.sub("", answer.text) != IDENTIFIER.sub("", nowhere.text):
            yield f"{case}: {answer.text[:200]}, but {nowhere.text[:200]} for what does not exist"

    def nowhere(self, case: Case) -> httpx2.Response:
        """What a call answers about rows that do not exist; asked once for all nodes."""
        key = (case.person.name, case.route, case.call.path, case.call.query, str(case.call.body))
        if key not in self.kept:
            attempt = self.connection.begin_nested()
            self.kept[key] = self.ask(case, {name: uuid4() for name in case.ids})
            attempt.rollback()
        return self.kept[key]

    def fingerprint(self) -> str:
        """Of all rows there are."""
        digests = " || ".join(
            f"(SELECT coalesce(sum(hashtextextended(t::text, 0)), 0)::text || '/' FROM {table.name} t)"
            for table in tables()
        )
        return str(self.connection.execute(text(f"SELECT {digests}")).scalar())


def nodes_for(person: Person) -> tuple[str, ...]:
    """The nodes whose rows a person asks for."""
    if person.sees_all:
        return EVERYTHING
    return WALKED if person.name in THOROUGH else SAMPLE


def needed(route: str, call: Call) -> set[str]:
    """The rows that a call takes from one node."""
    parts = [call.path or route, call.query, str(dict(call.body or {}))]
    return {name.removesuffix("_id") for part in parts for node, name in PLACEHOLDER.findall(part) if not node}


def wrong_door(case: Case, status: int) -> Iterator[str]:
    """Whether the answer suits who calls, before any row is looked at."""
    who, person = case.call.who, case.person
    if who is Who.PROGRAM and not 400 <= status < 500:
        yield f"{case}: {status} for a person"
    elif who in {Who.SIGNED_IN, Who.STAFF} and not person.cookie and status not in {401, 303}:
        yield f"{case}: {status} for nobody"
    elif who is Who.STAFF and person.cookie and not person.sees_all and status not in {403, 404}:
        yield f"{case}: {status} for who is no staff"
    elif who is Who.SIGNED_IN and person.cookie and case.names_row_in_path:
        if not case.is_seen and status not in {403, 404}:
            yield f"{case}: {status} for what is not seen"
        elif not case.is_seen and case.method in READS and status != 404:
            yield f"{case}: {status} instead of 404"
        elif case.is_seen and case.method in READS and case.node != COMMON and status == 404:
            yield f"{case}: 404 for what is seen"


def must_change_nothing(case: Case) -> bool:
    """Whether this person may change nothing by this call: readers, what is not seen, what is only granted."""
    if case.route in (*ENDS_SESSION, *MAKES_WHAT_IS_MISSING) or case.call.who in {Who.PUBLIC, Who.PROGRAM}:
        return False
    is_granted = RELATION.get(case.node) == "granted" and not case.person.sees_all
    is_foreign = bool(case.node) and not case.is_seen
    if case.route.partition(" ")[2].startswith(OWN_ACCOUNT) and case.person.cookie and not is_foreign:
        return case.method in READS or is_granted
    return case.person.name in READERS or case.method in READS or is_granted or is_foreign


@contextmanager
def watching(walk: Walk) -> Iterator[None]:
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if CHANGES.match(statement):
            walk.written.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    held = HeldBack(walk.held)
    errors.log.addHandler(held)
    yield
    errors.log.removeHandler(held)
    event.remove(Engine, "before_cursor_execute", note)


class HeldBack(logging.Handler):
    """Notes each refusal that PostgreSQL alone pronounced."""

    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self.told = told

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


def forgetting(_viewer: object, rows: Select[Any], *_columns: object, **_options: object) -> Select[Any]:
    """`visible_to`, forgotten."""
    return rows


@contextmanager
def without_visible_to(walk: Walk) -> Iterator[None]:
    """Every query as if it had forgotten the door: what is held then is held by PostgreSQL."""
    replaced: list[tuple[Any, str, Callable[..., Any]]] = []
    for door in (scope.visible_to, places.on_visible_node):
        for name, module in list(sys.modules.items()):
            if name.startswith(("fleet", "dashboards")) and getattr(module, door.__name__, None) is door:
                replaced.append((module, door.__name__, door))
                setattr(module, door.__name__, forgetting)
    walk.is_alone = True
    yield
    walk.is_alone = False
    for module, name, door in replaced:
        setattr(module, name, door)

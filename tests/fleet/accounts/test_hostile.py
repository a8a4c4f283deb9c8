"""Five thousand hostile inputs at every way in: each is refused with a 4xx, and nothing in the database changes.

Counts of wrong guesses do, and are meant to.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from uuid import uuid4

import httpx2
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from fleet.accounts import letters, passwords
from fleet.accounts.access import BROWSER_COOKIE, COOKIE, PENDING_COOKIE
from fleet.accounts.models import AccountLetter, LetterKind
from fleet.accounts.oidc import Providers
from fleet.config import FleetConfig
from fleet.db import Base
from fleet.oidc_settings import OidcProvider
from fleet.scope import Role
from tests.factories import NOON, PASSWORD, make_school, make_user
from tests.fleet.accounts.codes import give_second_factor
from tests.sign_in import signed_in

TEXTS = (
    "", " ", "\x00", "\x00\x00admin", "' OR '1'='1", "'; DROP TABLE users; --", '" OR ""="', "admin'--", "{{7*7}}",
    "${jndi:ldap://x/y}", "<script>alert(1)</script>", "../../../../etc/passwd", "%00", "%0d%0aSet-Cookie: a=b",
    "\r\nSet-Cookie: a=b", "\ud7ff\uffff", "\u202e\u0661\u0662\u0663\u0664\u0665\u0666", "１２３４５６",
    "١٢٣٤٥٦", "000000", "-1", "1e309", "0x0", "NaN", "null", "true", "[]", "{}", "a" * 64, "a" * 257, "a" * 5_000,
    "é" * 3_000, "🔑" * 700,
    "a@b", "@", "a@b@c", "preau_", "preau_" + "A" * 43, "Bearer x", "A" * 43, "-" * 43, "ABCD-EFGH-JKMN-PQRS",
    "0" * 16, "$argon2id$v=19$m=8,t=1,p=1$x$y",
)  # fmt: skip
"""What attackers type; none of it is an address, a password, a code, a link or a token of the test."""
VALUES: tuple[object, ...] = (
    None, True, False, 0, -1, 1.5, 10**30, 1e308, [], {}, [[]], {"$ne": None}, {"a": {"b": {}}}, ["a"] * 50, *TEXTS,
)  # fmt: skip
BODIES = (
    b"", b"{", b"[", b"null", b"[]", b'"x"', b"{}", b"\xff\xfe", b"\x00", b'{"email": "a"', b"[" * 20_000,
    b'{"a":' * 5_000, b'{"email": "\\ud800", "password": "\\udfff"}', b'{"email": 1e999}', b"a=b&a=b", b"%",
    b"email=%ff%fe&password=%00", b"x" * 100_000, b'{"__proto__": {}}', b'{"email": NaN}',
)  # fmt: skip
API, FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Door:
    """One way in, and what a good request to it would hold."""

    method: str
    path: str
    good: tuple[tuple[str, object], ...] = ()
    is_api: bool = False
    is_inside: bool = False
    """For somebody who is signed in."""
    open_fields: tuple[str, ...] = ()
    """Fields where any text is allowed."""


CREDENTIALS = (("email", "x@example.test"), ("password", "mauvais mot de passe"))
TOKEN = (("name", "x"), ("role", "auditor"), ("expires_at", (NOON + timedelta(days=9)).isoformat()))
OUTSIDE = (
    Door("POST", "/api/v1/accounts/sign-in", (*CREDENTIALS, ("code", "000000")), is_api=True),
    Door("POST", "/sign-in", (*CREDENTIALS, ("next", "/"))),
    Door("POST", "/sign-in/code", (("code", "000000"), ("next", "/"))),
    Door("POST", "/reset", (("email", "nobody"),)),
    Door("POST", "/invitation", (("secret", "A" * 43),)),
    Door("POST", "/invitation/password", (("secret", "A" * 43), ("password", PASSWORD))),
    Door("POST", "/reset/new", (("secret", "A" * 43),)),
    Door("POST", "/reset/new/password", (("secret", "A" * 43), ("password", PASSWORD))),
)
INSIDE = (
    Door("POST", "/api/v1/accounts/confirm", (("secret", "000000"),), is_api=True, is_inside=True),
    Door("POST", "/api/v1/accounts/tokens", TOKEN, is_api=True, is_inside=True, open_fields=("name",)),
    Door("POST", "/account/confirm", (("secret", "000000"), ("next", "/")), is_inside=True),
    Door("POST", "/account/password", (("current", "faux"), ("password", "faux")), is_inside=True),
    Door("POST", "/account/tokens", (("name", "x"), ("right", "x"), ("days", "x")), is_inside=True),
    Door("POST", "/account/second-factor/on", (("code", "000000"),), is_inside=True),
    Door("POST", "/accounts/new", (("email", "x"), ("name", "x"), ("role", "x"), ("school", "x")), is_inside=True),
)
DOORS = OUTSIDE + INSIDE
ADDRESSES = ("/sign-in/oidc/adica/callback?code={}&state={}", "/sign-in/oidc/{}/callback?code=x&state={}",
             "/sign-in/oidc/adica/callback?state={}&state={}&error={}", "/api/v1/accounts/sessions/{}",
             "/api/v1/accounts/tokens/{}", "/accounts/{}", "/api/v1/schools?access_token=preau_{}")  # fmt: skip
COOKIES = (COOKIE, BROWSER_COOKIE, PENDING_COOKIE, "__Host-preau_oidc")


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Real hashing with the least cost: what is tested is not how long it takes."""
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords.nobody.cache_clear()
    yield
    passwords.nobody.cache_clear()


@pytest.fixture
def inside(api: TestClient, session: Session, app: FastAPI, config: FleetConfig, cheap: None) -> TestClient:
    """An administrator's browser, in an installation where something is there to break."""
    provider = OidcProvider("adica", "ADICA", "http://127.0.0.1:9", "preau", "secret")
    app.state.config = replace(config, oidc_providers=(provider,))
    app.state.oidc = Providers([provider])
    admin, other = make_user(session, Role.ADMIN), make_user(session, Role.SCHOOL_LEAD, school=make_school(session))
    give_second_factor(session, other, NOON)
    letter = session.get_one(AccountLetter, letters.owe(session, LetterKind.RESET, other.email, other.id, "", NOON))
    letter.token_hash, letter.expires_at = uuid4().hex, NOON + timedelta(hours=1)
    session.flush()
    return signed_in(api, admin)


@pytest.fixture
def outside(inside: TestClient) -> Iterator[TestClient]:
    """A stranger's, to the same installation."""
    with TestClient(inside.app, base_url=str(inside.base_url), client=("198.51.100.1", 1)) as client:
        yield client


def picture(session: Session) -> dict[str, str]:
    """Every row of every table but the counts of wrong guesses, as one digest a table."""
    session.flush()
    tables = [table.name for table in Base.metadata.sorted_tables if table.name != "sign_in_failures"]
    query = " UNION ALL ".join(
        f"SELECT '{n}', md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {n} t" for n in tables
    )
    return {row[0]: row[1] for row in session.execute(text(query))}


def send(client: TestClient, door: Door, body: dict[str, object]) -> httpx2.Response:
    """As a browser or a program would; a form's values are text, and a session's forms carry its token."""
    if door.is_api:
        content = json.dumps(body).encode()
        return client.request(door.method, door.path, content=content, headers={"Content-Type": API})
    form = {name: str(value).encode("utf-8", "replace").decode() for name, value in body.items()}
    csrf = {"csrf": client.headers["X-CSRF-Token"]} if door.is_inside else {}
    return client.request(door.method, door.path, data=form | csrf, follow_redirects=False)


def is_refused(answer: httpx2.Response, door: Door | None = None) -> bool:
    """A 4xx; a page whose visitor is led to sign in first is refused as well."""
    led_away = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
    return 400 <= answer.status_code < 500 or (led_away and COOKIE not in str(answer.headers.get("set-cookie")))


def is_harmless(door: Door, field: str, value: object) -> bool:
    """What a field may well hold: any name, where to go on to, an optional code left empty."""
    return (
        (field in door.open_fields and isinstance(value, str) and 0 < len(value.strip()) <= 80)
        or (door.path == "/account/tokens" and field == "name")
        or (field == "code" and door.is_api and value == "")
    )


def hostile_fields(door: Door) -> list[tuple[str, object]]:
    values = VALUES if door.is_api else TEXTS
    return [(f, v) for (f, _), v in product(door.good, values) if not is_harmless(door, f, v)]


RAW = tuple(product(BODIES, (API, FORM, "text/plain")))
QUERIES = tuple(product(ADDRESSES, TEXTS))
HEADERS = tuple(product(("Authorization", *COOKIES), TEXTS))
READ = ("/api/v1/accounts/me", "/api/v1/schools", "/account")
BY_HYPOTHESIS = 1_000
TYPED = st.lists(st.text(max_size=60), min_size=3, max_size=3)


def test_there_are_five_thousand() -> None:
    fields = sum(len(hostile_fields(door)) for door in DOORS)
    written = fields + len(RAW) * len(DOORS) + len(QUERIES) + len(HEADERS) * len(READ)
    assert written + 2 * BY_HYPOTHESIS >= 5_000


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
def test_hostile_fields(inside: TestClient, outside: TestClient, session: Session, door: Door) -> None:
    client = inside if door.is_inside else outside
    before = picture(session)
    for field, value in hostile_fields(door):
        answer = send(client, door, dict(door.good) | {field: value})
        assert is_refused(answer), (field, value, answer.status_code)
    for body, kind in RAW:
        answer = client.post(door.path, content=body, headers={"Content-Type": kind}, follow_redirects=False)
        assert is_refused(answer), (body[:40], kind, answer.status_code)
    assert picture(session) == before


def test_hostile_addresses(inside: TestClient, outside: TestClient, session: Session) -> None:
    before = picture(session)
    for address, value in QUERIES:
        path = address.replace("{}", httpx2.URL("/", params={"x": value[:900]}).query.decode().removeprefix("x="))
        client = outside if "oidc" in address else inside
        method = "DELETE" if "/accounts/sessions" in address or "/accounts/tokens" in address else "GET"
        answer = client.request(method, path, follow_redirects=False)
        assert is_refused(answer) or value in {"", " "}, (path, answer.status_code)
    assert picture(session) == before


def test_hostile_headers(outside: TestClient, session: Session) -> None:
    before = picture(session)
    for name, value in HEADERS:
        raw = value.replace("\r", "").replace("\n", "").replace("\x00", "").encode()[:4_000]
        sent = (b"Authorization", raw) if name == "Authorization" else (b"Cookie", f"{name}=".encode() + raw)
        for path in READ:
            answer = outside.get(path, headers=[sent], follow_redirects=False)
            assert is_refused(answer), (name, value, path, answer.status_code)
    assert picture(session) == before


@settings(
    max_examples=BY_HYPOTHESIS // 20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(st.tuples(st.sampled_from(OUTSIDE), TYPED, st.binary(max_size=80)), min_size=20, max_size=20))
def test_whatever_hypothesis_thinks_of(
    outside: TestClient, session: Session, sent: list[tuple[Door, list[str], bytes]]
) -> None:
    before = picture(session)
    for door, typed, raw in sent:
        body = {field: value for (field, _), value in zip(door.good, typed, strict=False)}
        assert is_refused(send(outside, door, dict(door.good) | body))
        assert is_refused(outside.post(door.path, content=raw, headers={"Content-Type": FORM}, follow_redirects=False))
    assert picture(session) == before

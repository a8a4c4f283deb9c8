"""Signing in through a real OpenID provider: whom it opens to, and every way in which an answer may be wrong."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fleet.accounts import sessions
from fleet.accounts.access import COOKIE
from fleet.accounts.models import OidcFlow, OidcIdentity, User
from fleet.accounts.oidc import Asked, ProviderClient, Providers
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.embedded.ports import free_port
from fleet.errors import NotAllowed
from fleet.oidc_settings import OidcProvider, read_providers
from fleet.scope import Role
from fleet.stored_secrets import new_secret
from tests.conftest import Clock
from tests.factories import make_school, make_user
from tests.fleet.accounts.codes import code_at, give_second_factor, require_second_factor
from tests.oidc_provider import CLIENT, MFA_ACR, PASSWORD_ACR, SECRET, RunningProvider, running_provider
from tests.sign_in import signed_in

CALLBACK = "https://preau.example.test/sign-in/oidc/adica/callback"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProvider]:
    with running_provider(CALLBACK, tmp_path_factory.mktemp("oidc") / "provider.log") as running:
        yield running


@pytest.fixture
def settings(provider: RunningProvider) -> OidcProvider:
    return OidcProvider("adica", "ADICA", provider.issuer, CLIENT, SECRET)


def offer(app: FastAPI, config: FleetConfig, *providers: OidcProvider) -> None:
    """The installation offers these."""
    app.state.config = replace(config, oidc_providers=providers)
    app.state.oidc = Providers(providers)


@pytest.fixture(autouse=True)
def offered(app: FastAPI, config: FleetConfig, settings: OidcProvider, clock: Clock) -> None:
    offer(app, config, settings)
    clock.now = utc_now()  # the provider lives in real time


def leave(api: TestClient, query: str = "") -> httpx2.Response:
    """Off to the provider, which lets its person in: where it sends the browser back to."""
    away = api.get(f"/sign-in/oidc/adica{query}", follow_redirects=False)
    assert away.status_code == 303, away.text
    return httpx2.get(away.headers["location"], follow_redirects=False)


def come_back(api: TestClient, answer: httpx2.Response, **changes: str | None) -> httpx2.Response:
    """What the browser does with the provider's answer; ``changes`` of its query."""
    url = httpx2.URL(answer.headers["location"])
    query = dict(url.params) | changes
    return api.get(url.path, params={k: v for k, v in query.items() if v is not None}, follow_redirects=False)


def who(api: TestClient) -> str | None:
    answer = api.get("/api/v1/accounts/me")
    return answer.json()["email"] if answer.status_code == 200 else None


def test_the_sign_in_page_offers_it(api: TestClient) -> None:
    page = api.get("/sign-in?next=/tickets").text
    assert "Se connecter avec ADICA" in page
    assert "/sign-in/oidc/adica?next=%2Ftickets" in page


def test_a_verified_address_opens_its_account_then_the_identity_does(
    api: TestClient, session: Session, provider: RunningProvider
) -> None:
    user = make_user(session)
    provider.let_in("hugo", user.email.upper())
    back = come_back(api, leave(api, "?next=/tickets"))
    assert (back.status_code, back.headers["location"]) == (303, "/tickets")
    assert who(api) == user.email
    row = session.scalars(select(OidcIdentity)).one()
    assert (row.user_id, row.issuer) == (user.id, provider.issuer)
    api.cookies.clear()
    provider.let_in("hugo", "autre@example.test")  # the provider's name for a person stays; an address may change
    come_back(api, leave(api))
    assert who(api) == user.email


def test_what_is_asked_for_is_code_with_pkce_state_and_nonce(api: TestClient, provider: RunningProvider) -> None:
    provider.let_in("hugo", "x@example.test")
    leave(api)
    asked = provider.control()["asked"]
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert {len(asked[name][0]) for name in ("state", "nonce", "code_challenge")} == {43}
    assert asked["redirect_uri"] == [CALLBACK]


def test_an_invitation_may_be_taken_up_this_way(api: TestClient, session: Session, provider: RunningProvider) -> None:
    school = make_school(session)
    user = make_user(session, Role.SCHOOL_LEAD, school=school, password_hash=None)
    provider.let_in("sophie", user.email)
    assert come_back(api, leave(api)).headers["location"] == f"/schools/{school.id}"
    assert who(api) == user.email


@pytest.mark.parametrize(
    ("person", "email", "verified"),
    [
        ("stranger", "inconnu@example.test", True),
        ("unverified", "KNOWN", False),
        ("unsaid", "KNOWN", "true"),
        ("without", None, True),
        ("closed", "CLOSED", True),
    ],
)
def test_nobody_registers_themselves(
    api: TestClient, session: Session, provider: RunningProvider, person: str, email: str | None, verified: object
) -> None:
    known, closed = make_user(session), make_user(session, is_active=False)
    people = session.scalar(select(func.count()).select_from(User))
    email = {"KNOWN": known.email, "CLOSED": closed.email}.get(email or "", email)
    provider.let_in(person, email, verified=verified)
    assert come_back(api, leave(api)).status_code == 403
    assert who(api) is None
    assert session.scalar(select(func.count()).select_from(User)) == people
    assert session.scalar(select(func.count()).select_from(OidcIdentity)) == 0


@pytest.mark.parametrize("field", ["nonce", "code_verifier", "redirect_uri"])
def test_what_was_asked_is_what_is_answered(
    settings: OidcProvider, provider: RunningProvider, clock: Clock, field: str
) -> None:
    client, asked = ProviderClient(settings), Asked(new_secret(), new_secret(), CALLBACK)
    provider.let_in("hugo", "hugo@example.test")

    def code() -> str:
        url = client.authorization_url(asked, new_secret(), clock.now, confirms=False)
        return httpx2.URL(httpx2.get(url, follow_redirects=False).headers["location"]).params["code"]

    assert client.claims(code(), asked, clock.now).email == "hugo@example.test"
    with pytest.raises(NotAllowed):
        client.claims(code(), replace(asked, **{field: new_secret()}), clock.now)


def test_an_account_that_is_linked_opens_to_nobody_else_of_that_provider(
    api: TestClient, session: Session, provider: RunningProvider
) -> None:
    user = make_user(session)
    provider.let_in("hugo", user.email)
    come_back(api, leave(api))
    api.cookies.clear()
    provider.let_in("mallory", user.email)
    assert come_back(api, leave(api)).status_code == 403


def test_a_provider_vouches_for_its_own_domains_only(
    api: TestClient, session: Session, app: FastAPI, config: FleetConfig, settings: OidcProvider,
    provider: RunningProvider,
) -> None:  # fmt: skip
    offer(app, config, replace(settings, domains=frozenset({"adica.test"})))
    outside, inside = make_user(session), make_user(session, email="hugo@adica.test")
    for user, status in ((outside, 403), (inside, 303)):
        provider.let_in(user.email, user.email)
        assert come_back(api, leave(api)).status_code == status


@pytest.mark.parametrize("acr", [PASSWORD_ACR, MFA_ACR])
@pytest.mark.parametrize("believed", [True, False])
def test_the_provider_s_second_factor_counts_when_the_settings_say_so(
    api: TestClient, session: Session, app: FastAPI, config: FleetConfig, settings: OidcProvider,
    provider: RunningProvider, clock: Clock, acr: str, believed: bool,
) -> None:  # fmt: skip
    offer(app, config, replace(settings, second_factor=frozenset({MFA_ACR} if believed else set())))
    user = make_user(session)
    secret, _ = give_second_factor(session, user, clock.now - timedelta(hours=1))
    provider.let_in("hugo", user.email, acr=acr)
    back = come_back(api, leave(api))
    if believed and acr == MFA_ACR:
        assert who(api) == user.email
        return
    assert back.headers["location"] == "/sign-in/code"
    assert who(api) is None
    api.post("/sign-in/code", data={"code": code_at(secret, clock.now)})
    assert who(api) == user.email


@pytest.mark.parametrize(("acr", "status"), [(PASSWORD_ACR, 403), (MFA_ACR, 200)])
def test_staff_that_the_provider_proved_twice_owe_no_factor_of_ours(
    api: TestClient, session: Session, app: FastAPI, config: FleetConfig, settings: OidcProvider,
    provider: RunningProvider, acr: str, status: int,
) -> None:  # fmt: skip
    require_second_factor(api, config)
    believing = replace(settings, second_factor=frozenset({MFA_ACR}))
    app.state.oidc = Providers([believing])
    user = make_user(session)
    provider.let_in("hugo", user.email, acr=acr)
    come_back(api, leave(api))
    assert api.get("/api/v1/schools").status_code == status


@pytest.mark.parametrize(
    "changes",
    [
        {"state": None},
        {"state": "x" * 43},
        {"code": None},
        {"code": "x" * 43},
        {"code": "x" * 5000},
        {"iss": "https://evil.example"},
        {"code": None, "error": "access_denied"},
    ],
    ids=str,
)
def test_an_altered_answer_opens_nothing(
    api: TestClient, session: Session, provider: RunningProvider, changes: dict[str, str | None]
) -> None:
    provider.let_in("hugo", make_user(session).email)
    assert come_back(api, leave(api), **changes).status_code == 403
    assert who(api) is None


def test_an_answer_counts_once_and_in_the_browser_that_asked(
    api: TestClient, session: Session, provider: RunningProvider, clock: Clock
) -> None:
    provider.let_in("hugo", make_user(session).email)
    planted = leave(api)
    api.cookies.clear()  # a victim's browser, led to the attacker's answer
    assert come_back(api, planted).status_code == 403
    leave(api)
    assert come_back(api, planted).status_code == 403
    own = leave(api)
    assert come_back(api, own).status_code == 303
    assert come_back(api, own).status_code == 403
    late = leave(api)
    clock.advance(minutes=11)
    assert come_back(api, late).status_code == 403
    assert session.scalars(select(OidcFlow)).first() is not None  # what was not taken ends by itself


@pytest.mark.parametrize(("seconds", "status"), [(-30, 303), (-90, 403), (30, 303), (3 * 3600, 403)])
def test_clocks_may_differ_by_a_minute(
    api: TestClient, session: Session, provider: RunningProvider, clock: Clock, seconds: int, status: int
) -> None:
    """Ours is behind, or ahead: a token that was not issued yet, or is over."""
    provider.let_in("hugo", make_user(session).email)
    clock.advance(seconds=seconds)
    assert come_back(api, leave(api)).status_code == status


def test_new_keys_are_fetched_when_an_unknown_one_signs(
    api: TestClient, session: Session, provider: RunningProvider, clock: Clock
) -> None:
    user = make_user(session)
    provider.let_in("hugo", user.email)
    assert come_back(api, leave(api)).status_code == 303
    provider.control(rotate=True)
    clock.advance(seconds=40)
    assert come_back(api, leave(api)).status_code == 303


def test_a_token_signed_by_another_key_is_refused(
    api: TestClient, app: FastAPI, config: FleetConfig, session: Session, provider: RunningProvider
) -> None:
    """Within seconds of the last look no key is asked for again: what is signed otherwise is false."""
    provider.let_in("hugo", make_user(session).email)
    assert come_back(api, leave(api)).status_code == 303
    provider.control(rotate=True)
    assert come_back(api, leave(api)).status_code == 403


def test_another_client_s_secret_or_name_opens_nothing(
    api: TestClient, app: FastAPI, config: FleetConfig, session: Session, settings: OidcProvider,
    provider: RunningProvider,
) -> None:  # fmt: skip
    provider.let_in("hugo", make_user(session).email)
    offer(app, config, replace(settings, client_secret="autre"))
    assert come_back(api, leave(api)).status_code == 403


def test_a_provider_that_is_away_is_a_clear_page(
    api: TestClient, app: FastAPI, config: FleetConfig, session: Session, settings: OidcProvider,
    provider: RunningProvider,
) -> None:  # fmt: skip
    provider.let_in("hugo", make_user(session).email)
    answer = leave(api)
    provider.control(is_down=True)
    broken = come_back(api, answer)
    assert broken.status_code == 503
    assert "« ADICA » ne répond pas" in broken.text.replace("\u00a0", " ")
    offer(app, config, replace(settings, issuer=f"http://127.0.0.1:{free_port()}"))
    away = api.get("/sign-in/oidc/adica")
    assert away.status_code == 503
    assert "connectez-vous avec votre mot de passe" in away.text
    assert api.get("/sign-in/oidc/autre").status_code == 404


def test_a_provider_of_another_name_is_not_believed(
    api: TestClient, app: FastAPI, config: FleetConfig, settings: OidcProvider, provider: RunningProvider
) -> None:
    provider.control(is_down=False)
    offer(app, config, replace(settings, issuer=settings.issuer.replace("127.0.0.1", "localhost")))
    assert api.get("/sign-in/oidc/adica").status_code == 503


def test_to_confirm_means_to_prove_it_anew(
    api: TestClient, session: Session, provider: RunningProvider, clock: Clock
) -> None:
    user = make_user(session)
    provider.let_in("hugo", user.email)
    come_back(api, leave(api))
    clock.advance(minutes=11)
    before = api.cookies[COOKIE]
    assert "Confirmer avec ADICA" in api.get("/account/confirm").text
    clock.now = utc_now()
    provider.control(ago=3600)  # signed in there an hour ago: no proof of now
    assert come_back(api, leave(api, "?confirm=true")).status_code == 403
    provider.let_in("mallory", user.email)
    assert come_back(api, leave(api, "?confirm=true")).status_code == 403
    provider.let_in("hugo", user.email)
    assert come_back(api, leave(api, "?confirm=true&next=/account/tokens")).headers["location"] == "/account/tokens"
    assert provider.control()["asked"]["prompt"] == ["login"]
    assert api.cookies[COOKIE] != before
    assert sessions.find_signed_in(session, before, clock.now) is None


def test_a_confirmation_is_for_the_session_that_asked(
    api: TestClient, session: Session, provider: RunningProvider
) -> None:
    user, other = make_user(session), make_user(session)
    provider.let_in("hugo", user.email)
    come_back(api, leave(api))
    answer = leave(api, "?confirm=true")
    signed_in(api, other)
    assert come_back(api, answer).status_code == 403
    assert who(api) == other.email


def test_settings_name_all_that_is_missing() -> None:
    problems: list[str] = []
    environ = {
        "PREAU_OIDC_PROVIDERS": "adica, Academie",
        "PREAU_OIDC_ADICA_ISSUER": "https://id.adica.test",
        "PREAU_OIDC_ADICA_CLIENT_ID": "preau",
        "PREAU_OIDC_ADICA_CLIENT_SECRET": "s3cret",
        "PREAU_OIDC_ADICA_DOMAINS": "@Adica.test, aisne.test",
        "PREAU_OIDC_ADICA_SECOND_FACTOR": "mfa",
        "PREAU_OIDC_ACADEMIE_ISSUER": "http://id.academie.test",
        "PREAU_OIDC_ACADEMIE_CLIENT_SECRET": "s3cret",
    }
    first, second = read_providers(environ, problems)
    assert (first.domains, first.second_factor) == (frozenset({"adica.test", "aisne.test"}), frozenset({"mfa"}))
    assert second.name == "academie"
    assert len(problems) == 2
    assert "s3cret" not in f"{problems}{first}{second}"
    assert read_providers({"PREAU_OIDC_PROVIDERS": "a b"}, problems) == ()

"""A telephone for tests: it shares a secret with an account and makes its codes."""

from dataclasses import replace
from datetime import datetime

import pyotp
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.accounts import second_factor
from fleet.accounts.models import User
from fleet.config import FleetConfig
from fleet.stored_secrets import SecretBox
from tests.conftest import SECRET_KEY
from tests.factories import PASSWORD

BOX = SecretBox((SECRET_KEY,))


def code_at(secret: str, now: datetime) -> str:
    """What the telephone shows."""
    return pyotp.TOTP(secret).at(now)


def give_second_factor(session: Session, user: User, now: datetime) -> tuple[str, list[str]]:
    """Switch a second factor on with the code of this moment, used up by it: the secret, and recovery codes."""
    secret = second_factor.start(session, user, BOX, now).secret
    codes = second_factor.switch_on(session, user.id, code_at(secret, now), BOX, now)
    session.flush()
    return secret, codes


def require_second_factor(api: TestClient, config: FleetConfig) -> None:
    """From now on the application asks staff for one, as it does unless it is told otherwise."""
    api.app.state.config = replace(config, second_factor_required=True)  # type: ignore[attr-defined]  # an ASGI app


def attempt(api: TestClient, user: User, code: str = "", password: str = PASSWORD) -> tuple[int, str]:
    """Sign in over the API: the status, and the code of a refusal."""
    body = {"email": user.email, "password": password} | ({"code": code} if code else {})
    answer = api.post("/api/v1/accounts/sign-in", json=body)
    if answer.status_code == 200:
        api.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return answer.status_code, answer.json().get("code", "")

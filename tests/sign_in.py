"""Signing in, as tests need it."""

from fastapi.testclient import TestClient

from fleet.accounts.models import User
from tests.factories import PASSWORD


def signed_in(api: TestClient, user: User) -> TestClient:
    """Sign the user in on this client: its cookie is kept, and the header that changes must carry is set."""
    answer = api.post("/api/v1/accounts/sign-in", json={"email": user.email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    api.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return api

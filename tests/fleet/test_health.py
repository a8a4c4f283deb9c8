"""The health and metrics endpoints of the controller."""

from fastapi.testclient import TestClient


def test_a_controller_with_its_database_is_ready(api: TestClient) -> None:
    assert api.get("/health/live").json() == {"status": "ok"}
    assert api.get("/health/ready").json() == {"status": "ok"}

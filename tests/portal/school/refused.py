"""Forms of the school's pages that must come back."""

from fastapi.testclient import TestClient

LESSONS, ROOMS, OVERRIDES, REQUESTS = (f"/filtering/{name}" for name in ("lessons", "rooms", "overrides", "requests"))


def refused(api: TestClient, path: str, status: int, **fields: object) -> str:
    """Post a form that must be refused; return the page that comes back."""
    form = {name: str(value) for name, value in fields.items()}
    answer = api.post(path, data={**form, "csrf": api.headers["X-CSRF-Token"]}, follow_redirects=False)
    assert answer.status_code == status, answer.text
    return answer.text.replace("\u00a0", " ")

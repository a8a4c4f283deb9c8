"""Pages of filtering as people read them, and forms that must come back."""

from fastapi.testclient import TestClient

SOURCE = {
    "title": "Jeux", "slug": "jeux", "url": "https://listes.example/jeux.txt", "format": "", "category": "games",
    "categories": "", "licence": "CC0", "every_hours": 12, "quiet_from": "", "quiet_until": "", "shrink_percent": 40,
    "growth_percent": 300, "popular_limit": 2, "checksum_url": "",
}  # fmt: skip


def read(api: TestClient, path: str, status: int = 200) -> str:
    """A page as people read it, its no-break spaces as plain ones."""
    answer = api.get(path)
    assert answer.status_code == status, answer.text
    return answer.text.replace("\u00a0", " ").replace("\u202f", " ")


def refuse(api: TestClient, path: str, status: int, **fields: object) -> str:
    """Post a form that must come back."""
    form = {name: str(value) for name, value in fields.items()}
    answer = api.post(path, data={**form, "csrf": api.headers["X-CSRF-Token"]}, follow_redirects=False)
    assert answer.status_code == status, answer.text
    return answer.text.replace("\u00a0", " ")

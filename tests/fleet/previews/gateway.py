"""Who asks about a change, and a filter that answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy.orm import Session

from fleet.filtering.gateways import nodes
from fleet.schools.models import School
from tests.factories import NOON
from tests.fleet.deciding import profile_named

BASE = "/api/v1/filtering/previews"
FILTER = "/filter/v1/previews"
POLICY = "/filter/v1/policy"


@dataclass(frozen=True)
class Gateway:
    """A registered filter, as it speaks."""

    api: TestClient
    headers: dict[str, str]

    def get(self, path: str, **headers: str) -> Response:
        return self.api.get(path, headers=self.headers | headers)

    def answer(self, preview: str, **body: Any) -> Response:
        said = {"outcome": "judged", "judged": 40, "withheld": 1} | body
        return self.api.post(f"{FILTER}/{preview}/answer", json=said, headers=self.headers)


def change(name: str = "jeu.example", **facts: Any) -> dict[str, Any]:
    return {
        "name": name, "blocked": True, "queries": 30, "clients": 4, "profiles": ["elementaire"], "rule": "own_deny",
        "category": None, "lists": [], "suffix": name, "layer": "École Jean Macé",
    } | facts  # fmt: skip


def register(api: TestClient, session: Session, name: str, seen_at: datetime | None = NOON) -> Gateway:
    node, credential = nodes.register_filter(session, name, None, NOON)
    node.last_seen_at = seen_at
    session.flush()
    return Gateway(api, {"Authorization": f"Bearer {credential}"})


def edit(session: Session, school: School, name: str = "jeu.example") -> dict[str, Any]:
    """A question: what if this school blocked a name for its pupils?"""
    profile = profile_named(session, "elementaire")
    names = [{"name": name, "verdict": "block"}]
    return {"kind": "layer", "school_id": str(school.id), "profile_id": str(profile.id), "names": names}


def ask(api: TestClient, body: dict[str, Any]) -> dict[str, Any]:
    asked = api.post(BASE, json=body)
    assert asked.status_code == 202, asked.text
    told: dict[str, Any] = asked.json()
    return told


def result(api: TestClient, preview: dict[str, Any]) -> dict[str, Any]:
    answer = api.get(f"{BASE}/{preview['id']}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told

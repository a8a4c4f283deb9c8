"""Previews: what filters are told and may answer, and what people read of it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from filter.deciding.decisions import Action, Decision
from filter.preview import Change
from filter.updates.judging import as_values
from fleet.filtering.gateways import nodes
from fleet.filtering.models import FilterNode
from fleet.filtering.policy.models import FilterEvent
from fleet.filtering.previews import results
from fleet.filtering.previews.models import FilterPreview, PreviewAnswer, PreviewOutcome, PreviewState
from fleet.filtering.previews.schemas import AnswerIn
from fleet.schools.models import School
from tests.conftest import Clock
from tests.factories import NOON
from tests.fleet.previews.gateway import BASE, FILTER, Gateway, ask, change, edit, register, result

LONG = ".".join(["a" * 60] * 4)


def test_answers_of_several_filters_are_put_together(
    staff: TestClient, session: Session, school: School, gateway: Gateway
) -> None:
    other, late = (register(staff, session, name) for name in ("Vervins", "Laon"))
    register(staff, session, "muette", NOON - timedelta(minutes=61))
    preview = ask(staff, edit(session, school))
    own = f"elementaire@{school.uai}"
    opened = change("lecon.example", blocked=False, queries=90, layer="", rule="category", category="gambling")
    first = [change(queries=10, clients=3, profiles=[own]), opened]
    assert gateway.answer(preview["id"], changes=first).status_code == 204
    assert other.answer(preview["id"], changes=[change(queries=25, clients=5, lists=["Jeux"])]).status_code == 204
    told = result(staff, preview)
    assert (told["state"], told["silent"], told["outcomes"]) == ("asking", ["Laon"], {"judged": 2})
    assert told["awaited"] == ["Laon", "Vervins", "passerelle"]
    assert (told["judged"], told["withheld"], told["truncated"]) == (80, 2, False)
    most, merged = told["changes"]
    assert (most["name"], most["blocked"], most["filters"]) == ("lecon.example", False, ["passerelle"])
    assert merged == {
        "name": "jeu.example", "blocked": True, "queries": 35, "devices": 8, "filters": ["Vervins", "passerelle"],
        "profiles": ["Élémentaire", "Élémentaire, École Jean Macé"], "rule": "own_deny", "category": None,
        "lists": ["Jeux"], "suffix": "jeu.example", "layer": "École Jean Macé",
    }  # fmt: skip
    assert late.answer(preview["id"], outcome="no_counts", judged=0, withheld=0).status_code == 204
    assert result(staff, preview)["state"] == "done"
    assert result(staff, preview)["outcomes"] == {"judged": 2, "no_counts": 1}


def test_an_answer_that_comes_twice_is_one(
    staff: TestClient, session: Session, school: School, gateway: Gateway
) -> None:
    register(staff, session, "Laon")
    preview = ask(staff, edit(session, school))
    for _ in range(2):
        assert gateway.answer(preview["id"], changes=[change()]).status_code == 204
    assert session.scalar(select(func.count()).select_from(PreviewAnswer)) == 1
    assert result(staff, preview)["changes"][0]["queries"] == 30


def test_after_its_end_a_preview_is_nobodys(
    staff: TestClient, session: Session, school: School, gateway: Gateway, clock: Clock
) -> None:
    preview = ask(staff, edit(session, school))
    clock.advance(minutes=10)
    for path in ("", "/policy", "/names"):
        assert gateway.get(f"{FILTER}/{preview['id']}{path}").status_code == 404
    assert gateway.answer(preview["id"], changes=[change()]).status_code == 404
    told = result(staff, preview)
    assert (told["state"], told["changes"], told["silent"]) == ("done", [], ["passerelle"])
    assert session.get_one(FilterPreview, UUID(preview["id"])).policy is None, "its files are gone"


def test_an_abandoned_one_is_over_at_once(
    staff: TestClient, session: Session, school: School, gateway: Gateway
) -> None:
    preview = ask(staff, edit(session, school))
    assert staff.post(f"{BASE}/{preview['id']}/abandon").status_code == 204
    assert gateway.answer(preview["id"]).status_code == 404
    assert result(staff, preview)["state"] == "abandoned"
    again = staff.post(f"{BASE}/{preview['id']}/abandon")
    assert (again.status_code, again.json()["code"]) == (409, "filtering.preview_over")
    verbs = select(FilterEvent.verb).where(FilterEvent.subject_id == UUID(preview["id"])).order_by(FilterEvent.verb)
    assert session.scalars(verbs).all() == ["preview.abandon", "preview.ask"]


@pytest.mark.parametrize(
    "said",
    [
        {"outcome": "guessed"},
        {"judged": -1},
        {"judged": True},
        {"changes": [change()] * 501},
        {"changes": [change("10.0.0.1")]},
        {"changes": [change("JEU.example")]},
        {"changes": [change("a b.example")]},
        {"changes": [change(clients=2)]},
        {"changes": [change(profiles=[])]},
        {"changes": [change(lists=["x" * 201])]},
        {"changes": [change(layer="a\u0000b")]},
        {"changes": [change(queries=-1)]},
    ],
)
def test_strange_answers_are_refused_whole(
    staff: TestClient, session: Session, school: School, gateway: Gateway, said: dict[str, Any]
) -> None:
    preview = ask(staff, edit(session, school))
    assert gateway.answer(preview["id"], **said).status_code == 422
    assert result(staff, preview)["answered"] == []


def test_an_answer_may_be_so_long(staff: TestClient, session: Session, school: School, gateway: Gateway) -> None:
    preview = ask(staff, edit(session, school))
    assert gateway.answer(preview["id"], changes=[], note="x" * (2 << 20)).status_code == 413


def test_strangers_learn_nothing(staff: TestClient, session: Session, school: School, gateway: Gateway) -> None:
    preview = ask(staff, edit(session, school))
    stranger = Gateway(staff, {"Authorization": gateway.headers["Authorization"][:-1]})
    for path in ("", "/policy", "/names"):
        assert stranger.get(f"{FILTER}/{preview['id']}{path}").status_code == 401
    assert stranger.answer(preview["id"]).status_code == 401
    session.scalars(select(FilterNode)).one().revoked_at = NOON
    session.flush()
    assert gateway.get(f"{FILTER}/{preview['id']}").status_code == 401


@pytest.mark.parametrize("who", ["a person", "a filter"])
def test_what_somebody_abandons_meanwhile_stays_abandoned(
    staff: TestClient, session: Session, school: School, gateway: Gateway, clock: Clock, who: str
) -> None:
    """Another transaction ends it between our look and our own end of it."""
    preview = session.get_one(FilterPreview, UUID(ask(staff, edit(session, school))["id"]))
    session.add(PreviewAnswer(preview_id=preview.id, filter_id=session.scalars(select(FilterNode.id)).one(),
                              outcome=PreviewOutcome.JUDGED, answered_at=NOON))  # fmt: skip
    session.flush()
    ended = update(FilterPreview).values(state=PreviewState.ABANDONED)
    session.execute(ended, execution_options={"synchronize_session": False})
    if who == "a person":
        assert results.put_together(session, preview, NOON).state is PreviewState.ABANDONED
    else:
        assert gateway.answer(str(preview.id), changes=[change()]).status_code == 404
    session.refresh(preview)
    assert preview.state is PreviewState.ABANDONED


def test_a_filter_that_came_later_was_never_awaited(
    staff: TestClient, session: Session, school: School, gateway: Gateway, clock: Clock
) -> None:
    preview = ask(staff, edit(session, school))
    clock.advance(minutes=11)
    node, _ = nodes.register_filter(session, "nouvelle", None, clock.now)
    node.last_seen_at = clock.now
    session.flush()
    assert result(staff, preview)["silent"] == ["passerelle"]


def test_what_is_told_keeps_to_the_contract() -> None:
    """Titles come from lists that anybody may write: one odd character must not cost the whole answer."""
    lists = ("Jeux\x07 d’\targent", "x" * 300)
    decision = Decision(Action.BLOCKED, "category", lists=lists, suffix=LONG, layer="A\x00")
    change = Change(f"www.{LONG}", True, ("college",), 3, 3, decision)
    told = AnswerIn.model_validate({"outcome": "judged", "changes": [as_values(change)]}, by_name=True).changes[0]
    assert (told.lists[0], told.suffix) == ("Jeux d’ argent", LONG)

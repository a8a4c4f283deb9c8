"""The recorded messages of every protocol version are still understood, and still written as they were."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from agent.protocol import (
    CheckIn,
    CheckInReply,
    DesiredState,
    EnrollmentReply,
    EnrollmentRequest,
    ProtocolError,
    Refusal,
    decode,
    encode,
)
from fleet.configuration.layers import revision_of
from fleet.devices.facts import hash_facts
from fleet.devices.messages import read_message

FOLDER = Path(__file__).parent.parent / "contracts" / "protocol-1"
KINDS: dict[str, type[Any]] = {
    "enrollment_request": EnrollmentRequest,
    "enrollment_reply": EnrollmentReply,
    "check_in": CheckIn,
    "check_in_short": CheckIn,
    "check_in_reply": CheckInReply,
    "check_in_reply_bare": CheckInReply,
    "check_in_reply_up_to_date": CheckInReply,
    "refusal": Refusal,
}
every_message = pytest.mark.parametrize("name", sorted(KINDS))


def recorded(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def read(name: str) -> Any:
    return decode(KINDS[name], json.dumps(recorded(name)).encode())


def objects(document: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object inside a document, itself included."""
    if isinstance(document, dict):
        yield document
        for value in document.values():
            yield from objects(value)
    elif isinstance(document, list):
        for value in document:
            yield from objects(value)


def required(message: Any, document: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every field without a default, with the JSON object that holds it."""
    if is_dataclass(message):
        for each in fields(message):
            if each.default is MISSING and each.default_factory is MISSING:
                yield document, each.name
            yield from required(getattr(message, each.name), document.get(each.name))
    elif isinstance(message, tuple):
        for item, value in zip(message, document or [], strict=True):
            yield from required(item, value)


def test_every_recorded_file_is_read() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(KINDS)


@every_message
def test_a_recorded_message_is_read_and_written_back_with_all_that_it_said(name: str) -> None:
    """Later versions may write more keys, never fewer, and never another value."""
    pairs = zip(objects(json.loads(encode(read(name)))), objects(recorded(name)), strict=True)
    for now, then in pairs:
        assert then.keys() <= now.keys()
        assert {k: v for k, v in then.items() if not isinstance(v, dict | list)}.items() <= now.items()


@every_message
def test_keys_of_later_versions_are_ignored(name: str) -> None:
    later = recorded(name)
    for each in list(objects(later)):
        each["added_in_version_9"] = {"deep": ["anything", None, 1.5]}
    assert decode(KINDS[name], json.dumps(later).encode()) == read(name)


@every_message
def test_a_missing_required_field_is_refused_by_name(name: str) -> None:
    whole = recorded(name)
    for place, field in list(required(read(name), whole)):
        value = place.pop(field)
        with pytest.raises(ProtocolError, match=f"{field}: is missing"):
            decode(KINDS[name], json.dumps(whole).encode())
        place[field] = value
    assert whole == recorded(name)


@pytest.mark.parametrize("name", ["check_in_reply", "check_in_reply_bare"])
def test_the_same_state_still_has_the_same_revision(name: str) -> None:
    """Else every device would apply everything again after an upgrade of the controller."""
    desired: DesiredState = read(name).desired
    assert revision_of(desired) == desired.revision


def test_the_same_facts_still_have_the_same_hash() -> None:
    message: CheckIn = read("check_in")
    assert message.facts is not None
    assert hash_facts(message.facts) == message.facts_hash


@pytest.mark.parametrize("name", ["enrollment_request", "check_in", "check_in_short"])
def test_the_controller_takes_what_an_agent_of_that_version_sends(name: str) -> None:
    assert read_message(KINDS[name], json.dumps(recorded(name)).encode()) == read(name)


def test_a_refusal_has_the_recorded_shape(api: TestClient) -> None:
    answer = api.post("/agent/v1/checkins", content=b"{}")
    assert answer.status_code == 401
    assert set(answer.json()) == set(recorded("refusal"))
    assert decode(Refusal, answer.content).code == "credential.refused"


def test_messages_are_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read("refusal").code = "other"

"""Hostile bytes are a ProtocolError and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.identity import DeviceIdentity
from agent.protocol import CheckInReply, DesiredState, EnrollmentReply, ProtocolError, Refusal, decode, encode
from agent.state import State
from tests.agent.conftest import DESIRED

KINDS: tuple[type[object], ...] = (CheckInReply, EnrollmentReply, Refusal, DesiredState, State, DeviceIdentity)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def read(kind: type[object], body: bytes) -> None:
    try:
        message = decode(kind, body)
    except ProtocolError:
        return
    assert decode(kind, encode(message)) == message


@given(st.sampled_from(KINDS), st.binary(max_size=300))
def test_any_bytes(kind: type[object], body: bytes) -> None:
    read(kind, body)


@given(st.sampled_from(KINDS), JSON)
def test_any_json(kind: type[object], document: object) -> None:
    read(kind, json.dumps(document).encode())


@given(st.sampled_from(["desired", "want_facts", "next_check_in_seconds", "server_time"]), JSON)
def test_any_value_in_a_reply(name: str, value: object) -> None:
    read(CheckInReply, json.dumps({name: value}).encode())


@given(st.sampled_from(["shortcuts", "browser", "dns", "revision"]), JSON)
def test_any_value_in_a_desired_state(name: str, value: object) -> None:
    read(DesiredState, json.dumps({"revision": "0", name: value}).encode())


@given(st.integers(0, 400), st.integers(0, 255))
def test_one_wrong_byte_in_a_real_message(position: int, value: int) -> None:
    body = bytearray(encode(CheckInReply(desired=DESIRED)))
    body[position % len(body)] = value
    read(CheckInReply, bytes(body))


@pytest.mark.parametrize("body", [b"[" * 100_000, b"9" * 5000, b'{"code": "\\ud800"}', b"\xff", b"", b"null"])
def test_bytes_that_break_parsers(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(Refusal, body)


def test_what_is_secret_is_not_shown_by_accident() -> None:
    assert "c0ffee" not in repr(EnrollmentReply("device", "c0ffee"))
    assert "c0ffee" not in repr(DeviceIdentity(credential="c0ffee"))

"""Files that were touched, cut or made by others are refused whole, with a reason."""

import json
import struct
from pathlib import Path

import pytest

from filter.bundle import BundleRefused, NamesFile, PolicyFile
from filter.signing import SigningKey, trust
from tests.filter.bundle.reading import names_of, reason_of
from tests.filter.bundles import KEY, sealed, section

SHOWN = {"altered", "foreign", "newer", "older_format", "truncated", "wrong_kind"}
"""Reasons for which an altered file may be refused, by the byte that was hit."""


@pytest.mark.parametrize("file", ["everything", "signed", "policy"])
def test_every_truncation_is_refused(file: str, request: pytest.FixtureRequest) -> None:
    data: bytes = request.getfixturevalue(file)
    kind = PolicyFile if file == "policy" else NamesFile

    for length in range(len(data)):
        assert reason_of(data[:length], kind=kind) in {"truncated", "foreign"}, length


@pytest.mark.parametrize("file", ["everything", "signed", "policy"])
def test_every_altered_byte_is_refused(file: str, request: pytest.FixtureRequest) -> None:
    """Even without a key to check the signature with."""
    data: bytes = request.getfixturevalue(file)
    kind = PolicyFile if file == "policy" else NamesFile

    for position in range(len(data)):
        altered = bytearray(data)
        altered[position] ^= 1 << position % 8
        assert reason_of(bytes(altered), kind=kind) in SHOWN, position


def test_bytes_behind_the_end_are_refused(everything: bytes) -> None:
    assert reason_of(everything + b"\0") == "altered"


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "foreign"), (b"<!doctype html><p>404", "foreign"), (b"PK\x03\x04" + bytes(300), "foreign")],
)
def test_a_foreign_file_is_named_so(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


def test_an_empty_file_is_named_truncated(tmp_path: Path) -> None:
    (tmp_path / "vide").touch()
    with pytest.raises(BundleRefused) as refusal:
        NamesFile.open(tmp_path / "vide")
    assert refusal.value.reason == "truncated"


@pytest.mark.parametrize(("version", "reason"), [(0, "older_format"), (1, "older_format"), (3, "newer")])
def test_another_layout_is_named_so(everything: bytes, version: int, reason: str) -> None:
    data = bytearray(everything)
    struct.pack_into("<H", data, 8, version)

    assert reason_of(bytes(data)) == reason_of(sealed(bytes(data))) == reason


def test_one_kind_is_not_taken_for_the_other(everything: bytes, policy: bytes) -> None:
    assert reason_of(policy) == "wrong_kind"
    assert reason_of(everything, kind=PolicyFile) == "wrong_kind"


def test_a_signature_is_checked_when_it_is_asked_for(everything: bytes, signed: bytes) -> None:
    stranger = SigningKey.generate()

    assert names_of(signed, trust([stranger.public_hex, KEY.public_hex])).serial == 7
    assert reason_of(everything, trust([KEY.public_hex])) == "unsigned"
    assert reason_of(signed, trust([stranger.public_hex])) == "foreign_signature"
    assert reason_of(signed, trust([])) == "foreign_signature"


def test_what_was_signed_cannot_be_changed_by_another_hand(signed: bytes) -> None:
    """Serial, date, content: each under a digest and a check that fit again."""
    verify = trust([KEY.public_hex])
    for position in (16, 24, 56, 60, len(signed) - 1):
        altered = bytearray(signed)
        altered[position] ^= 1
        assert reason_of(sealed(bytes(altered)), verify) == "foreign_signature", position


def test_an_unknown_flag_or_algorithm_is_refused_even_when_sealed(everything: bytes) -> None:
    for position in (10, 11, 12, 13, 40, 44, 46, 104, 112):
        data = bytearray(everything)
        data[position] ^= 64
        assert reason_of(sealed(bytes(data))) == "altered", position


def test_a_policy_has_no_names(policy: bytes) -> None:
    for position in (11, 44, 46, 48, 56):
        data = bytearray(policy)
        data[position] ^= 1
        assert reason_of(sealed(bytes(data)), kind=PolicyFile) == "altered", position


@pytest.mark.parametrize("wrong", [1, 2, 5, 6, 8, 9])
def test_a_section_that_makes_no_sense_is_invalid_even_when_sealed(everything: bytes, wrong: int) -> None:
    data = bytearray(everything)
    where = section(everything, wrong)
    data[where] = b"\xff" * (where.stop - where.start)

    assert reason_of(sealed(bytes(data))) == "invalid"


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"text": 1},
        {"text": "x", "anchor": 2},
        {"text": "x", "match": 3},
        {"text": "x", "match": True},
        {"text": "x", "types": [None]},
        {"text": "x", "types": 1},
        {"text": "x", "except_below": [[]]},
        {"text": "x", "allows": 1},
        {"text": "x", "reply": []},
        {"text": "x", "reply": {"kind": "explode"}},
        {"text": "x", "reply": {"kind": "cname", "target": 4}},
        {"text": "x", "reply": {"kind": "records", "records": [[1]]}},
        {"text": "x", "reply": {"kind": "records", "records": [["1", "192.0.2.1"]]}},
    ],
)
def test_a_rule_of_the_wrong_shape_is_invalid(everything: bytes, rule: object) -> None:
    where = section(everything, 8)
    content = json.dumps([[0, rule]]).encode().ljust(where.stop - where.start)

    assert reason_of(sealed(everything[: where.start] + content + everything[where.stop :])) == "invalid"


def test_a_section_beyond_the_end_is_invalid_even_when_sealed(everything: bytes) -> None:
    data = bytearray(everything)
    last = 192 + 24 * 7
    struct.pack_into("<Q", data, last + 16, struct.unpack_from("<Q", data, last + 16)[0] + 24)

    assert reason_of(sealed(bytes(data))) == "invalid"

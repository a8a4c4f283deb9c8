"""Tokens as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import TokenWrong
from agent.tokens import ALPHABET, Token, pin_of, read_token

SECRET = "7K3MQ9XT2BRC"
PIN = "0A1B2C3D4E5F6G7H"


@pytest.mark.parametrize(
    "typed",
    [
        "7K3M-Q9XT-2BRC",
        "7k3mq9xt2brc",
        " 7K3M Q9XT 2BRC\n",
        "7K3M–Q9XT—2BRC",  # dashes of word processors
        "7K3M\u00a0Q9XT\u202f2BRC",
        "https://preau.example.test/enroll#7K3M-Q9XT-2BRC",
    ],
)
def test_a_token_is_read_however_it_is_typed(typed: str) -> None:
    assert read_token(typed) == Token(SECRET)


def test_a_pin_follows_the_secret() -> None:
    assert read_token("7K3M-Q9XT-2BRC-0A1B-2C3D-4E5F-6G7H") == Token(SECRET, PIN)


@pytest.mark.parametrize("typed", ["7K3M-Q9XT-2BR", "7K3M-Q9XT-2BRC-0A1B-2C3D-4E5F"])
def test_a_cut_token_is_to_be_copied_whole(typed: str) -> None:
    with pytest.raises(TokenWrong, match="Recopiez le code en entier, tirets ou non"):
        read_token(typed)


def test_letters_that_look_like_digits_are_digits() -> None:
    assert read_token("OIlo-1111-0000") == Token("011011110000")


@pytest.mark.parametrize("typed", ["", "7K3M-Q9XT-2BR", "7K3M-Q9XT-2BRC-0", "U" * 12, "7K3M_Q9XT_2B*C", "é" * 12])
def test_what_is_no_token_is_refused_without_being_repeated(typed: str) -> None:
    with pytest.raises(TokenWrong) as caught:
        read_token(typed)
    assert len(typed) < 2 or typed not in str(caught.value)
    assert caught.value.exit_code == 3


@given(
    st.text(ALPHABET, min_size=12, max_size=12),
    st.one_of(st.just(""), st.text(ALPHABET, min_size=16, max_size=16)),
    st.lists(st.sampled_from(["", "-", " ", "--"]), min_size=28, max_size=28),
    st.booleans(),
)
def test_every_token_survives_being_retyped(secret: str, pin: str, gaps: list[str], lower: bool) -> None:
    typed = "".join(gap + character for gap, character in zip(gaps, secret + pin, strict=False))
    assert read_token(typed.lower() if lower else typed) == Token(secret, pin)


@given(st.text())
def test_any_text_is_read_or_refused(typed: str) -> None:
    try:
        token = read_token(typed)
    except TokenWrong:
        return
    assert set(token.secret + token.pin) <= set(ALPHABET)


def test_a_pin_is_the_first_80_bits_of_the_digest() -> None:
    # RFC 4648 base32 of sha256("")[:10] is 4OYMIQUY7QOBJGX3: the same digits in the other alphabet.
    assert pin_of(b"") == "WERC8GMRZGE196QV"
    assert Token(SECRET, "WERC8GMRZGE196QV").pins(b"")
    assert not Token(SECRET, "WERC8GMRZGE196QW").pins(b"")


def test_a_secret_is_not_shown_by_accident() -> None:
    assert SECRET not in repr(Token(SECRET, PIN))

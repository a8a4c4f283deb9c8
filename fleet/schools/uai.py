"""The UAI: seven digits and a check letter (the number modulo 23, in an alphabet without I, O and Q)."""

import re

LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
SHAPE = re.compile(r"[0-9]{7}[A-Z]")


def fold_uai(text: str) -> str:
    """As directories write it: no blank around, upper case. Says nothing of validity."""
    return text.strip().upper()


def check_letter(digits: str) -> str:
    """The letter that must follow these seven digits."""
    return LETTERS[int(digits) % len(LETTERS)]


def is_valid_uai(text: str) -> bool:
    """Whether ``text`` is a UAI, in either case, with the right letter."""
    uai = fold_uai(text)
    return SHAPE.fullmatch(uai) is not None and uai[7] == check_letter(uai[:7])

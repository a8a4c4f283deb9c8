"""What is typed finds what is stored, whatever the accents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.text import fold, like


@pytest.mark.parametrize(
    ("typed", "folded"),
    [
        ("Étampes-sur-Marne", "etampes sur marne"),
        ("  L’Épine-aux-Bois ", "l epine aux bois"),
        ("Cœuvres-et-Valsery", "coeuvres et valsery"),
        ("ÉCOLE  ÉLÉMENTAIRE", "ecole elementaire"),
        ("0020001R", "0020001r"),
        ("100 %_\\", "100"),
        ("St-Quentin", "saint quentin"),
        ("Écoles Ste Thérèse et St. Joseph", "ecoles sainte therese et saint joseph"),
        ("l’Est, Stade, Poste, Sts", "l est stade poste sts"),
        ("Wi-Fi du préau", "wifi du preau"),
        ("wi wi-fi fi", "wi wifi fi"),
        ("", ""),
    ],
)
def test_fold(typed: str, folded: str) -> None:
    assert fold(typed) == folded


@given(st.text() | st.lists(st.sampled_from(["St", "ste", "wi", "fi", "ﬆ", "-", " ", "saint"])).map("".join))
def test_folding_twice_changes_nothing_and_leaves_no_wildcard(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    assert not set("%_\\") & set(once)
    assert like(text) == f"%{once}%"

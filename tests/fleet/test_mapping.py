"""Which heading holds which column: headings as town halls, inspections and exports write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import Invalid
from fleet.imports.kinds import KINDS, ImportKind
from fleet.imports.mapping import check, guess, shape_of

SCHOOLS, COMMUNES = KINDS[ImportKind.SCHOOLS].columns, KINDS[ImportKind.COMMUNES].columns


@pytest.mark.parametrize(
    ("headings", "found"),
    [
        (["uai", "nom", "type", "code_insee"], {"uai": "uai", "name": "nom", "type": "type", "insee": "code_insee"}),
        (["RNE", "École", "Niveau", "INSEE"], {"uai": "RNE", "name": "École", "type": "Niveau", "insee": "INSEE"}),
        (["Code UAI", "Nom de l'école", "CP", "Ville", "Effectif"],
         {"uai": "Code UAI", "name": "Nom de l'école", "postcode": "CP", "commune": "Ville", "pupils": "Effectif"}),
        (["Appelation officielle"], {"name": "Appelation officielle"}),  # misspelt
        (["code postale", "adrese"], {"postcode": "code postale", "address": "adrese"}),
        (["Remarques", "Téléphone"], {}),
        (["numero uai", "UAI"], {"uai": "UAI"}),  # ours wins
    ],
)  # fmt: skip
def test_headings_are_recognised(headings: list[str], found: dict[str, str]) -> None:
    assert {known: heading for known, heading in guess(headings, SCHOOLS).items() if heading} == found


@given(headings=st.lists(st.text(max_size=12), max_size=12, unique=True))
def test_a_guess_is_always_a_choice_that_could_be_made(headings: list[str]) -> None:
    guessed = guess(headings, COMMUNES)
    assert check(guessed, headings, COMMUNES) == guessed
    assert shape_of(headings) == shape_of(list(reversed(headings)))


@pytest.mark.parametrize(
    ("mapping", "code"),
    [
        ({"insee": "absent"}, "import.unknown_heading"),
        ({"colour": "a"}, "import.unknown_column"),
        ({"insee": "a", "name": "a"}, "import.heading_twice"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(mapping: dict[str, str], code: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(mapping, ["a", "b"], COMMUNES)
    assert refused.value.code == code

"""What a form says when a rule turned it down: a sentence on top, and one beside each field that it is about."""

from collections.abc import Mapping

from dashboards.portal.forms import FormRefused
from fleet.errors import FleetError

INCOMPLETE = "Rien n’est enregistré : le formulaire contient une erreur."


def explained(refused: FleetError | None, fields: Mapping[str, str]) -> dict[str, object]:
    """``refused`` and ``problems`` of a page; ``fields`` says which field a rule's code is about."""
    if refused is None:
        return {"refused": None, "problems": {}}
    if isinstance(refused, FormRefused):
        return {"refused": INCOMPLETE, "problems": refused.problems}
    if refused.code in fields:
        return {"refused": INCOMPLETE, "problems": {fields[refused.code]: refused.detail}}
    return {"refused": refused.detail, "problems": {}}

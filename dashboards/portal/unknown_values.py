"""An address whose filters hold a value that is none: a sentence with the possible ones."""

import re
from collections.abc import Sequence

from pydantic_core import ErrorDetails

FILTERS = {
    "kind": "Type",
    "status": "Statut",
    "silent": "Présence",
    "state": "État",
    "mine": "Confiés à moi",
    "page": "Page",
    "school": "École",
    "collectivity": "Collectivité",
    "device": "Appareil",
    "q": "Recherche",
    "sort": "Tri",
    "live": "Actualisation",
    "again": "Leçon à reprendre",
    "name": "Site",
}
YES_OR_NO = ("true", "false")


def sentence(problems: Sequence[ErrorDetails]) -> str | None:
    """What is wrong with the first query value that FastAPI refused; None when it refused something else."""
    problem = next((p for p in problems if p["loc"][0] == "query"), None)
    if problem is None:
        return None
    name = str(problem["loc"][-1])
    label = FILTERS.get(name, name)
    if problem["type"] == "string_too_long":
        return f"{label} : {problem['ctx']['max_length']} caractères au plus."
    told = f"{label} : « {str(problem['input'])[:60]} » n’est pas une valeur connue."
    values = possible_values(problem)
    return f"{told} Valeurs possibles : {', '.join(values)}." if values else told


def possible_values(problem: ErrorDetails) -> list[str]:
    """The values that a filter takes, as pydantic tells them: of an enumeration, a pattern of words, or a yes or no."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "enum":
        return re.findall(r"'([^']*)'", str(context["expected"]))
    if kind == "string_pattern_mismatch":
        return [word for word in re.sub(r"[\^$()]", "", str(context["pattern"])).split("|") if word]
    if kind == "bool_parsing":
        return list(YES_OR_NO)
    if kind in {"int_parsing", "greater_than_equal", "less_than_equal"}:
        return ["un nombre à partir de 1"]
    return []

"""Who answers over UDP: the compiled plane, or Python."""

from enum import StrEnum
from importlib.util import find_spec


class Choice(StrEnum):
    """What --plane says."""

    AUTO = "auto"
    """The compiled plane where there is one."""
    COMPILED = "compiled"
    PYTHON = "python"


def is_compiled() -> bool:
    """Whether there was a C compiler where this was installed."""
    return find_spec("filter.plane._plane") is not None


def is_wanted(choice: Choice) -> bool:
    """Whether the compiled plane answers."""
    return choice is not Choice.PYTHON and is_compiled()


def read_choice(text: str, problems: list[str]) -> Choice:
    """What --plane says; what cannot be is added to ``problems``."""
    try:
        choice = Choice(text.strip().lower())
    except ValueError:
        problems.append(f"--plane vaut auto, compiled ou python (reçu : {text})")
        return Choice.AUTO
    if choice is Choice.COMPILED and not is_compiled():
        problems.append("--plane compiled : ce module manque ici, il n’y avait pas de compilateur C à l’installation")
    return choice


def describe(choice: Choice) -> str:
    """Which path answers, for people."""
    return Choice.COMPILED if is_wanted(choice) else Choice.PYTHON

"""argparse in French: its own words are English, whatever LANG says."""

import argparse
import re
from collections.abc import Iterable
from typing import NoReturn

COMPLAINTS: tuple[tuple[str, str], ...] = (
    (r"argument (?P<where>.+?): (?P<rest>.+)", r"\g<where> : "),
    (r"unrecognized arguments: (.+)", r"argument inconnu : \1"),
    (r"the following arguments are required: (.+)", r"il manque : \1"),
    (r"invalid choice: '?(.+?)'? \(choose from (.+)\)", r"« \1 » n’existe pas ; au choix : \2"),
    (r"expected one argument", r"une valeur est attendue"),
    (r"expected at least one argument", r"au moins une valeur est attendue"),
    (r"ignored explicit argument (.+)", r"aucune valeur n’est attendue (reçu : \1)"),
    (r"ambiguous option: (.+) could match (.+)", r"\1 est ambigu : \2"),
)


class FrenchFormatter(argparse.RawDescriptionHelpFormatter):
    """Help whose texts keep their lines, under a French first word."""

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        super().add_usage(usage, actions, groups, "Usage : " if prefix is None else prefix)


class FrenchParser(argparse.ArgumentParser):
    """A parser whose -h, titles and complaints are French."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs = {"formatter_class": FrenchFormatter, "add_help": False} | kwargs
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed on as given
        self.add_argument("-h", "--help", action="help", help="affiche cette aide")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"Commande incorrecte : {in_french(message)}. Voir « {self.prog} --help ».\n")


def in_french(message: str) -> str:
    """One of argparse's complaints; as it came when it is none that we know."""
    for pattern, french in COMPLAINTS:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            rest = found.groupdict().get("rest")
            return (found.expand(french) + (in_french(rest) if rest else "")).replace("'", "")
    return message


def spaced(number: int) -> str:
    """1234567 as French people write it."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")

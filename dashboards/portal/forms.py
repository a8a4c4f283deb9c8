"""What people typed, read field by field: each wrong field gets its own sentence, and nothing typed is lost."""

from datetime import datetime
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from starlette.datastructures import FormData

from dashboards.portal.words import PARIS
from fleet.errors import Invalid

Choice = TypeVar("Choice", bound=StrEnum)
NO_ROW = UUID(int=0)


class FormRefused(Invalid):
    """Some fields are wrong; ``problems`` says which and why."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("form.invalid", "Le formulaire est incomplet ou contient une erreur.")
        self.problems = problems


def host_of(typed: str) -> str:
    """The host of a pasted address (``https://exemple.fr/page``); what is no address as it is."""
    if not any(sign in typed for sign in "/:?"):
        return typed
    try:
        return urlsplit(typed if "://" in typed else f"//{typed}").hostname or typed
    except ValueError:  # half an IPv6 address
        return typed


class Reader:
    """Reads a form; problems are collected, and ``check`` raises them all at once."""

    def __init__(self, form: FormData) -> None:
        self.form = form
        self.problems: dict[str, str] = {}

    def raw(self, name: str) -> str:
        value = self.form.get(name)
        return value.strip() if isinstance(value, str) else ""

    def text(self, name: str, *, maximum: int, missing: str | None = None) -> str:
        """The text of a field; with ``missing``, that sentence is said when it is empty."""
        value = self.raw(name).replace("\r\n", "\n")
        if "\x00" in value:
            self.problems[name] = "Ce texte contient un caractère interdit."
        elif len(value) > maximum:
            self.problems[name] = f"{maximum} caractères au plus (il y en a {len(value)})."
        elif missing and not value:
            self.problems[name] = missing
        return value

    def choice(self, name: str, kind: type[Choice], missing: str) -> Choice:
        """One of an enumeration's values; when it is none, any member, with a problem noted."""
        value = self.raw(name)
        if value not in set(kind):
            self.problems[name] = missing
            return next(iter(kind))
        return kind(value)

    def integer(self, name: str, *, minimum: int, maximum: int) -> int:
        value = self.raw(name)
        if not value.isascii() or not value.isdigit() or len(value) > 9 or not minimum <= int(value) <= maximum:
            self.problems[name] = f"Un nombre de {minimum} à {maximum}."
            return minimum
        return int(value)

    def identifier(self, name: str, missing: str | None = None) -> UUID | None:
        """A row's id from a list or a hidden field."""
        value = self.raw(name)
        try:
            return UUID(value)
        except ValueError:
            if value or missing:
                self.problems[name] = missing or "Ce choix n’existe pas."
            return None

    def row(self, name: str, missing: str) -> UUID:
        """The id of a row that must be chosen; when there is none, an id that no row has, with a problem noted."""
        return self.identifier(name, missing) or NO_ROW

    def local_moment(self, name: str, missing: str) -> datetime | None:
        """A datetime-local field: what a clock in Paris shows."""
        try:
            return datetime.fromisoformat(self.raw(name)).replace(tzinfo=PARIS)
        except ValueError:
            self.problems[name] = missing
            return None

    def lines(self, name: str, *, maximum: int) -> list[str]:
        """One entry a line, blank ones dropped."""
        value = self.text(name, maximum=maximum)
        return [line.strip() for line in value.splitlines() if line.strip()]

    def domains(self, name: str, *, maximum: int) -> list[str]:
        """One domain name a line; of a pasted address, its host."""
        return [host_of(line) for line in self.lines(name, maximum=maximum)]

    def check(self) -> None:
        """Raise FormRefused when anything was wrong."""
        if self.problems:
            raise FormRefused(self.problems)

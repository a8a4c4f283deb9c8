"""The typed resources that a layer may set, checked when they are written. Pure."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from fleet.bodies import STRICT
from fleet.errors import Invalid

KEY = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
HOST = re.compile(r"(?=.{1,253}$)([a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def check_url(text: str) -> str:
    """An absolute http or https address with a host, nothing that could break out of a file it is written to."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("ce n’est pas une adresse web") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("une adresse web complète est attendue : https://…")
    if parts.username is not None or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError("ni espace, ni caractère de contrôle, ni identifiant dans une adresse web")
    return text


def check_title(text: str) -> str:
    text = " ".join(text.split())
    if not text or not text.isprintable():
        raise ValueError("un titre lisible est attendu")
    return text


def check_key(text: str) -> str:
    if not KEY.fullmatch(text):
        raise ValueError("une clé tient en 40 minuscules, chiffres ou tirets")
    return text


def check_server(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"« {text} » n’est pas une adresse IP") from None
    if address.is_unspecified or address.is_multicast:
        raise ValueError(f"« {text} » n’est l’adresse d’aucun serveur")
    return str(address)


def check_domain(text: str) -> str:
    text = text.lower().rstrip(".")
    if not HOST.fullmatch(text):
        raise ValueError(f"« {text} » n’est pas un nom de domaine")
    return text


Url = Annotated[str, StringConstraints(max_length=2000), AfterValidator(check_url)]
Title = Annotated[str, StringConstraints(max_length=80), AfterValidator(check_title)]
Key = Annotated[str, AfterValidator(check_key)]
Server = Annotated[str, StringConstraints(max_length=45), AfterValidator(check_server)]
Domain = Annotated[str, StringConstraints(max_length=253), AfterValidator(check_domain)]


class Resource(BaseModel):
    """What one layer says of one resource. A field left out says nothing: the layer below speaks."""

    model_config = STRICT


class ShortcutItem(Resource):
    key: Key
    title: Title
    url: Url


class Shortcuts(Resource):
    """Icons to add or replace (same key), and keys of lower layers to take away."""

    items: list[ShortcutItem] = Field(default=[], max_length=40)
    hidden: list[Key] = Field(default=[], max_length=40)


class BookmarkItem(Resource):
    title: Title
    url: Url


class Browser(Resource):
    """Home page ("" for none), bookmarks to add, whether browsers are managed and use our DNS over HTTPS."""

    managed: bool | None = None
    home_page: Url | Annotated[str, StringConstraints(max_length=0)] | None = None
    bookmarks: list[BookmarkItem] = Field(default=[], max_length=100)
    doh: bool | None = None


class Dns(Resource):
    """The resolvers to ask ([] : those of the network), search domains, whether the system's DNS is managed."""

    managed: bool | None = None
    servers: list[Server] | None = Field(default=None, max_length=3)
    search: list[Domain] | None = Field(default=None, max_length=6)


RESOURCES: Mapping[str, type[Resource]] = {"shortcuts": Shortcuts, "browser": Browser, "dns": Dns}
FRENCH = {
    "missing": "champ manquant",
    "extra_forbidden": "champ inconnu",
    "string_type": "un texte est attendu",
    "string_too_long": "texte trop long",
    "bool_type": "vrai ou faux est attendu",
    "list_type": "une liste est attendue",
    "too_long": "trop d’éléments",
    "model_type": "un objet est attendu",
}


def kind_of(resource: str) -> type[Resource]:
    """The shape of a resource; raise Invalid that lists the known ones."""
    kind = RESOURCES.get(resource)
    if kind is None:
        known = ", ".join(RESOURCES)
        raise Invalid("configuration.unknown_resource", f"Réglage inconnu : {resource}. Réglages possibles : {known}.")
    return kind


def parse(resource: str, value: object) -> Resource:
    """Read what somebody wants to set; raise Invalid that names every wrong field, in French."""
    try:
        return kind_of(resource).model_validate(value)
    except ValidationError as error:
        told = " ; ".join(_tell(each) for each in error.errors(include_url=False))
        raise Invalid("configuration.invalid", f"Réglage refusé : {told}.") from error


def _tell(error: ErrorDetails) -> str:
    place = ".".join(str(part) for part in error["loc"] if "[" not in str(part)) or "valeur"
    words = error["msg"].removeprefix("Value error, ") if error["type"] == "value_error" else None
    return f"{place} : {words or FRENCH.get(error['type'], 'valeur refusée')}"

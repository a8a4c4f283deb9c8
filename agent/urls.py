"""Addresses that may end on a desktop or in a browser's policy: http and https, nothing to run."""

import re
from urllib.parse import urlsplit

ALLOWED = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,2000}")
"""The characters of RFC 3986; all others travel percent-encoded."""


class InvalidUrl(ValueError):
    """The text is not an address we put on a device; the message is French."""


def checked_url(text: str, schemes: frozenset[str] = frozenset({"http", "https"})) -> str:
    """The address as it is, once it is known to be one; raises InvalidUrl."""
    if not ALLOWED.fullmatch(text):
        raise InvalidUrl("adresse avec un caractère interdit, vide ou trop longue")
    try:
        parts = urlsplit(text)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise InvalidUrl("adresse mal formée") from None
    if parts.scheme not in schemes or not host:
        raise InvalidUrl(f"une adresse commence par {' ou '.join(sorted(schemes))}://")
    if parts.username is not None:
        raise InvalidUrl("une adresse ne contient ni compte ni mot de passe")
    return text


def checked_template(text: str) -> str:
    """A DNS over HTTPS template: an https address that may end in ``{?dns}``; raises InvalidUrl."""
    checked_url(without_variable(text), frozenset({"https"}))
    return text


def without_variable(template: str) -> str:
    """The template for software that always POSTs, or adds ``?dns=`` itself."""
    return template.replace("{?dns}", "")

"""Why is it blocked? The live decision code, run on the current bundle."""

import functools
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from uuid import UUID

from dnslib import QTYPE
from sqlalchemy.orm import Session

from filter import policy
from filter.bundle import Bundle
from filter.names import NameRefused, clean_name
from filter.policy import Explanation, Policy, Query
from fleet.errors import Invalid, NotFound
from fleet.filtering import publications
from fleet.filtering.models import Publication


@dataclass(frozen=True, slots=True)
class Explained:
    """What the current bundle says of a query, and which bundle that is."""

    serial: int
    explanation: Explanation


def explain(session: Session, name: str, qtype: str, client: str | None, now: datetime) -> Explained:
    """Decide as the filters do. ``qtype`` is "A", "AAAA", "HTTPS"… or a number; ``client`` an address or None.

    Raise Invalid for what is no name, type or address, NotFound when nothing was published yet.
    """
    query = Query(clean(name), type_number(qtype))
    if client is not None:
        client = clean_address(client)
    publication = publications.find_latest(session)
    if publication is None or publication.digest is None:
        raise NotFound("filtering.none_published", "Aucune liste n’est encore publiée.")
    return Explained(publication.serial, policy.explain(open_policy(session, publication), query, client, now))


def clean(name: str) -> str:
    """The name as the filter compares it; also what a person copies: an address of a page, a dot at the end."""
    host = name.strip().removeprefix("https://").removeprefix("http://").partition("/")[0]
    try:
        return clean_name(host)
    except NameRefused as error:
        raise Invalid("filtering.bad_name", f"« {name[:80]} » n’est pas un nom de domaine.") from error


def type_number(qtype: str) -> int:
    """The number of a record type."""
    text = qtype.strip().upper()
    number = int(text) if text.isdecimal() and len(text) <= 5 else QTYPE.reverse.get(text)
    if number is None or not 0 < number <= 65535:
        raise Invalid("filtering.bad_type", f"« {qtype[:20]} » n’est pas un type d’enregistrement (A, AAAA, HTTPS…).")
    return int(number)


def clean_address(client: str) -> str:
    try:
        return str(ip_address(client.strip()))
    except ValueError as error:
        raise Invalid("filtering.bad_address", f"« {client[:60]} » n’est pas une adresse.") from error


@functools.cache
def cache_directory() -> tempfile.TemporaryDirectory[str]:
    """A folder of this process alone, removed when it ends."""
    return tempfile.TemporaryDirectory(prefix="preau-explain-")


@dataclass(frozen=True, slots=True)
class OpenPolicy:
    digest: str
    policy: Policy


_last: OpenPolicy | None = None


def open_policy(session: Session, publication: Publication) -> Policy:
    """The bundle of a publication, mapped. The last one stays open: most questions are about the same bundle."""
    global _last
    last = _last
    if last is None or last.digest != publication.digest:
        path = copy_bundle(session, publication)
        last = _last = OpenPolicy(publication.digest or "", Policy(Bundle.open(path)))
        path.unlink()  # the mapping keeps the file alive as long as somebody reads it
    return last.policy


def copy_bundle(session: Session, publication: Publication) -> Path:
    """Write the pieces of a bundle to a file of our own; raise NotFound when they are not all there."""
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=cache_directory().name, delete=False) as file:
        for content in pieces(session, publication.id):
            digest.update(content)
            file.write(content)
    if digest.hexdigest() != publication.digest:
        Path(file.name).unlink()
        raise NotFound("filtering.content_gone", "Le contenu de cette publication n’est plus là.")
    return Path(file.name)


def pieces(session: Session, publication_id: UUID) -> Iterator[bytes]:
    """The content of a bundle, one mebibyte at a time."""
    position = 0
    while (content := publications.read_chunk(session, publication_id, position)) is not None:
        yield content
        position += 1

"""Why is it blocked? The live decision code, run on the current names and policy; and who set the line that decided."""

import functools
import tempfile
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from dnslib import QTYPE
from sqlalchemy.orm import Session

from filter import explaining
from filter.bundle import NamesFile, PolicyFile
from filter.explaining import Explanation
from filter.policy import Decision, Policy, Query
from fleet.errors import Invalid, NotFound
from fleet.filtering import decisions, policies, publications
from fleet.filtering.cleaning import clean_host
from fleet.filtering.layers import Mark
from fleet.filtering.models import Publication
from fleet.filtering.resolving import Tree


@dataclass(frozen=True, slots=True)
class Author:
    """Who set the line that decided, and when; at the operator's, of the ready-made profiles: nobody."""

    layer: str
    by: str
    at: datetime | None
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Explained:
    """What the current files say of a query, which files these are, and who decided."""

    serial: int
    policy_serial: int
    explanation: Explanation
    author: Author | None


def explain(
    session: Session, name: str, qtype: str, client: str | None, now: datetime, label: str | None = None
) -> Explained:
    """Decide as the filters do. ``qtype`` is "A", "AAAA", "HTTPS"… or a number; ``client`` an address or None,
    ``label`` a device's.

    Raise Invalid for what is no name, type or address, NotFound when nothing was published yet.
    """
    query = Query(clean_host(name), type_number(qtype))
    if client is not None:
        client = clean_address(client)
    latest, current = publications.find_latest(session), policies.current_policy(session)
    if latest is None or current is None:
        raise NotFound("filtering.none_published", "Aucune liste n’est encore publiée.")
    content, tag = current
    policy = open_policy(latest, content, tag)
    explanation = explaining.explain(policy, query, client, now, label)
    author = find_author(decisions.read_tree(session, now), explanation.profile.slug, explanation.decision)
    return Explained(latest.serial, policy.file.serial, explanation, author)


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


def find_author(tree: Tree, slug: str, decision: Decision) -> Author | None:
    """Who set what decided for a flat profile; None when no line of a person did."""
    where = tree.find_node(slug)
    if where is None:
        return None
    merged = tree.merged_for(*where)
    if decision.rule == "override" or (decision.until is not None and decision.rule != "lesson"):
        for override in merged.overrides:
            if decision.suffix in override.names or decision.category in override.categories:
                return Author(override.layer, override.by, override.starts)
    said = merged.names.get(decision.suffix or "") if decision.rule.startswith("own_") else None
    if said is not None:
        return _author(said.layer, said.line.mark)
    category = merged.categories.get(decision.category or "")
    return None if category is None else _author(category.layer, category.line.mark)


def _author(layer: str, mark: Mark) -> Author:
    return Author(layer, mark.by, mark.at, mark.locked)


@functools.cache
def cache_directory() -> tempfile.TemporaryDirectory[str]:
    """A folder of this process alone, removed when it ends."""
    return tempfile.TemporaryDirectory(prefix="preau-explain-")


@dataclass(frozen=True, slots=True)
class OpenNames:
    etag: str
    names: NamesFile


@dataclass(frozen=True, slots=True)
class OpenPolicy:
    etags: tuple[str, str]
    policy: Policy


_names: OpenNames | None = None
_policy: OpenPolicy | None = None


def open_policy(publication: Publication, content: bytes, tag: str) -> Policy:
    """The current pair, mapped. The last one stays open: most questions are about the same files."""
    global _policy
    last, etags = _policy, (publication.etag, tag)
    if last is None or last.etags != etags:
        with tempfile.TemporaryDirectory(dir=cache_directory().name) as directory:
            path = Path(directory) / "policy"
            path.write_bytes(content)
            policy = Policy(open_names(publication), PolicyFile.open(path))
        last = _policy = OpenPolicy(etags, policy)
    return last.policy


def open_names(publication: Publication) -> NamesFile:
    """The names file of a publication, mapped; raise NotFound when its content was pruned."""
    global _names
    last = _names
    if last is None or last.etag != publication.etag:
        with tempfile.TemporaryDirectory(dir=cache_directory().name) as directory:
            path = Path(directory) / "names"
            publications.copy_names(publication.id, path)
            names = NamesFile.open(path)  # the mapping keeps the file alive as long as somebody reads it
        last = _names = OpenNames(publication.etag, names)
    return last.names

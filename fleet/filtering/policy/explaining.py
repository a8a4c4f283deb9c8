"""Why is it blocked? The live decision code, run on the current names and policy; and who set the line that decided."""

import functools
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from uuid import UUID

from dnslib import QTYPE
from sqlalchemy.orm import Session

from filter import explaining
from filter.bundle import NamesFile, PolicyFile
from filter.explaining import Explanation
from filter.policy import Decision, Policy, Query
from filter.settings import NetworkSettings, PolicySettings
from fleet.doors import Door, for_a_while
from fleet.errors import Invalid, NotFound
from fleet.filtering.models import Publication
from fleet.filtering.policy import decisions, networks, policies
from fleet.filtering.policy.cleaning import clean_host
from fleet.filtering.policy.layers import Mark
from fleet.filtering.policy.resolving import Tree
from fleet.filtering.publishing import publications


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
    session: Session,
    name: str,
    qtype: str,
    client: str | None,
    now: datetime,
    label: str | None = None,
    school_id: UUID | None = None,
) -> Explained:
    """Decide as the filters do. ``qtype`` is "A", "AAAA", "HTTPS"… or a number; ``client`` an address or None,
    ``label`` a device's, ``school_id`` the school whose filter is asked, should several have that address.

    Raise Invalid for what is no name, type or address, and for an address that is not one client's; NotFound when
    nothing was published yet.
    """
    query = Query(clean_host(name), type_number(qtype))
    if client is not None:
        client = clean_address(client)
    latest, current = publications.find_latest(session), policies.current_policy(session)
    if latest is None or current is None:
        raise NotFound("filtering.none_published", "Aucune liste n’est encore publiée.")
    content, tag = current
    pair = open_pair(latest, content, tag)
    policy = pair.judging(filter_asked(session, pair.everybodys, client, school_id))
    explanation = explaining.explain(policy, query, client, now, label)
    author = find_author(decisions.read_tree(session, now), explanation.profile.slug, explanation.decision)
    return Explained(latest.serial, policy.file.serial, explanation, author)


def filter_asked(session: Session, policy: Policy, client: str | None, school_id: UUID | None) -> str:
    """The id of the filter that this client asks; "" for one that has no networks of its own.

    Without a school it is the one whose network is the smallest with that address. Raise Invalid when that is several.
    """
    if school_id is not None:
        with for_a_while(session, Door.JOBS):
            return next(iter(networks.own_filters(session).of(school_id)), "")
    if client is None:
        return ""
    settings = PolicySettings.from_json(policy.file.settings)
    found = smallest_with(client, settings.networks)
    if len({(each.profile, each.room) for each in found}) > 1:
        raise Invalid("filtering.which_school", f"Plusieurs écoles ont l’adresse {client} : dites laquelle.")
    return found[0].filter if found else ""


def smallest_with(client: str, known: Iterable[NetworkSettings]) -> list[NetworkSettings]:
    """The networks of the longest prefix that holds this address; of every filter."""
    given = ip_address(client)
    address = given.ipv4_mapped or given if isinstance(given, IPv6Address) else given
    holding = [(ip_network(each.cidr), each) for each in known]
    holding = [(network, each) for network, each in holding if address in network]
    longest = max((network.prefixlen for network, _ in holding), default=0)
    return [each for network, each in holding if network.prefixlen == longest]


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
class OpenPair:
    """The current pair, as filters without networks of their own have it, and as one of the others does."""

    etags: tuple[str, str]
    everybodys: Policy
    others: dict[str, Policy] = field(default_factory=dict)
    """Filter -> how it judges; the last one asked for."""

    def judging(self, filter_id: str) -> Policy:
        """The policy as this filter has it."""
        if not filter_id:
            return self.everybodys
        if (known := self.others.get(filter_id)) is None:
            known = Policy(self.everybodys.names, self.everybodys.file, filter_id)
            self.others.clear()
            self.others[filter_id] = known
        return known


_names: OpenNames | None = None
_pair: OpenPair | None = None


def open_pair(publication: Publication, content: bytes, tag: str) -> OpenPair:
    """The current pair, mapped. The last one stays open: most questions are about the same files."""
    global _pair
    last, etags = _pair, (publication.etag, tag)
    if last is None or last.etags != etags:
        with tempfile.TemporaryDirectory(dir=cache_directory().name) as directory:
            path = Path(directory) / "policy"
            path.write_bytes(content)
            last = _pair = OpenPair(etags, Policy(open_names(publication), PolicyFile.open(path)))
    return last


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

"""The product as a gateway runs it, for one case: lists compiled, pair opened, queries answered by the live path."""

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype

from filter.bundle import NamesFile, PolicyFile
from filter.compiler import compile_names, compile_policy
from filter.deciding.special import LOCAL_NAMES
from filter.explaining import Explanation, explain
from filter.lists.entries import Entry
from filter.lists.formats import FORMATS
from filter.lists.source import ListReport, ListSource
from filter.metrics import Metrics
from filter.policy import Decision, Policy, Query, decide
from filter.serving import wire
from filter.serving.handler import Handler
from filter.serving.resolving.cache import Cache
from filter.serving.resolving.lookup import Lookup
from filter.serving.resolving.upstream import EDE_NO_REACHABLE_AUTHORITY, UpstreamFailed
from filter.serving.wire import Question, UpstreamAnswer
from filter.settings import (
    BlockMode,
    NetworkSettings,
    PolicySettings,
    ProfileSettings,
    category_rules,
)
from tests.filter.asking import Told

NOON = datetime(2026, 9, 7, 10, tzinfo=UTC)
FORMAT_NAMES = {
    "adblock": "adblock",
    "adblock+hosts": "adblock",
    "regex": "adblock",
    "mixed": "adblock",
    "hosts": "hosts",
    "hosts-strict": "hosts",
    "domains-exact": "hosts",  # our hosts reader takes bare names, and takes them alone
    "domains": "domains",
    "domains-strict": "domains",
    "domains-suffix": "domains",
    "list-entry": "domains",
    "wildcard": "wildcards",
    "rpz": "rpz",
    "dnsmasq": "dnsmasq",
}
"""Format as case files call it -> reader."""
Script = Callable[[Question], bytes | None]
"""The resolver behind the filter: a whole message, or None when it cannot be reached."""
MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ListText:
    """One list as a case gives it."""

    text: str
    format: str
    category: str = "liste"
    title: str = ""


@dataclass(slots=True)
class Engine:
    """A pair of files, opened, and a handler over it. Time is what the case says."""

    policy: Policy
    handler: Handler
    asked: list[tuple[str, str]]
    """(name, type) of what went to the upstream."""
    metrics: Metrics
    clock: list[float] = field(default_factory=lambda: [0.0])

    @property
    def crashes(self) -> float:
        """Exceptions that the handler had to catch."""
        labels = {"action": "failed", "rule": "error", "category": ""}
        return self.metrics.registry.get_sample_value("filter_queries_total", labels) or 0.0

    def decide(self, name: str, qtype: str, client: str | None = None) -> Decision:
        """The decision on a query as it comes from the wire."""
        question = wire.read_query(pack(name, qtype)).question
        return decide(Query(question.name, question.qtype), self.policy.profile_for(client), NOON)

    def explain(self, name: str, qtype: str, client: str | None = None) -> Explanation:
        """The same decision, with every entry that speaks of the name."""
        question = wire.read_query(pack(name, qtype)).question
        return explain(self.policy, Query(question.name, question.qtype), client, NOON)

    def answer(self, data: bytes, client: str = "192.0.2.99", over_udp: bool = True) -> bytes | None:
        """One query's bytes in, one reply's bytes out."""
        return asyncio.run(self.handler.answer(data, client, over_udp))

    def ask(
        self, name: str, qtype: str, client: str | None = None, *, tcp: bool = False, flags: Iterable[str] = ("RD",)
    ) -> dns.message.Message | None:
        """A query and its reply, read by another library; None: no reply."""
        reply = self.answer(pack(name, qtype, flags), client or "192.0.2.99", not tcp)
        return None if reply is None else dns.message.from_wire(reply)


def start(
    lists: Sequence[ListText] = (),
    settings: PolicySettings | None = None,
    script: Script = lambda _question: None,
    block_addresses: Sequence[IPv4Address | IPv6Address] = (),
) -> Engine:
    """Compile, open, and stand ready."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        sources = [make_source(directory, number, each) for number, each in enumerate(lists)]
        names, policy = directory / "names", directory / "policy"
        compile_names(sources, names, serial=1, compiled_at=NOON)
        compile_policy(settings or one_profile(lists), policy, serial=1, compiled_at=NOON)
        opened = Policy(NamesFile.open(names), PolicyFile.open(policy))
    clock, asked = [0.0], list[tuple[str, str]]()
    metrics = Metrics()
    lookup = Lookup(Told(partial(forward, script, asked)), Cache(MOST_BYTES), lambda _outcome: None, lambda: clock[0])
    handler = Handler(lookup, metrics, lambda: NOON, block_addresses)
    handler.policy = opened
    return Engine(opened, handler, asked, metrics, clock)


def make_source(directory: Path, number: int, given: ListText) -> ListSource:
    path = directory / f"{number}.txt"
    path.write_bytes(given.text.encode("utf-8", "surrogateescape"))
    read = partial(FORMATS[FORMAT_NAMES[given.format]], path)
    title = given.title or f"Liste {number}"
    return ListSource(f"liste-{number:02}", title, given.category, read, trusts_replies=True)


def read_list(text: str, form: str) -> tuple[list[Entry], ListReport]:
    """What the product's reader makes of a text; raises ListRefused."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "liste.txt"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        report = ListReport()
        return list(FORMATS[FORMAT_NAMES[form]](path, report)), report


def one_profile(
    lists: Iterable[ListText] = (), allowed: Iterable[str] = (), private: Iterable[str] = (), **fields: object
) -> PolicySettings:
    """Everybody gets one profile that blocks every category but those allowed."""
    allowed = set(allowed)
    blocked = sorted({each.category for each in lists} - allowed)
    values: dict[str, object] = {
        "categories": category_rules(blocked, sorted(allowed)),
        "block_mode": BlockMode.NXDOMAIN,
        "closes_bypass": False,
        **fields,
    }
    profile = ProfileSettings("ecole", "École", **values)  # type: ignore[arg-type]  # keyword overrides
    return PolicySettings((profile,), "ecole", private_names=tuple(sorted(set(private))))


def one_network(profile: str, address: str) -> NetworkSettings:
    return NetworkSettings(f"{address}/{32 if '.' in address else 128}", profile)


def local_top(*names: str) -> set[str]:
    """Local names (``test``, ``lan``…) that a case uses as if they were public: its policy must say that they exist."""
    cleaned = {name.rstrip(".").lower() for name in names}
    return {local for local in LOCAL_NAMES for name in cleaned if name == local or name.endswith(f".{local}")}


async def forward(
    script: Script, asked: list[tuple[str, str]], question: Question, _dnssec_ok: bool, _checking_disabled: bool
) -> UpstreamAnswer:
    """What Lookup asks of an upstream, answered by the case's own."""
    asked.append((question.name, dns.rdatatype.to_text(dns.rdatatype.RdataType.make(question.qtype))))
    if (data := script(question)) is None:
        raise UpstreamFailed(EDE_NO_REACHABLE_AUTHORITY, "no answer in the case")
    return wire.read_answer(data)


def pack(name: str, qtype: str, flags: Iterable[str] = ("RD",), opcode: str = "QUERY") -> bytes:
    """A query with EDNS, as clients send it."""
    wanted = {flag.upper() for flag in flags}
    query = dns.message.make_query(
        name if name.endswith(".") else f"{name}.", qtype, use_edns=0, want_dnssec="DO" in wanted, payload=1232
    )
    query.flags = dns.flags.from_text(" ".join(sorted(wanted & {"RD", "CD", "AD"})))
    query.set_opcode(dns.opcode.from_text(opcode))
    return query.to_wire()

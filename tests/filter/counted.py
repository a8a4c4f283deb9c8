"""Queries of every kind, what each is to be counted as, and what was."""

import urllib.request
from collections import Counter
from dataclasses import dataclass, replace

import dns.message
from prometheus_client.parser import text_string_to_metric_families

from filter.lists.entries import ReplyKind, RuleEntry, RuleReply
from filter.settings import NetworkSettings, PolicySettings, RewriteSettings
from tests.filter.conftest import SCHOOL, make_list
from tests.filter.running import RunningFilter

UAI = "0020000A"
PUPIL, TEACHER, CROWD = "127.0.0.1", "127.0.0.3", "127.0.0.9"
"""One of the school's profile; one of a profile that several schools share; one that nobody knows, asking too often."""
WITHOUT_REPLY = (
    make_list("muette", RuleEntry("muette", anchor="muet.example", reply=RuleReply(ReplyKind.DROP))),
    make_list("tcp", RuleEntry("tcp", anchor="tcp.example", reply=RuleReply(ReplyKind.TRUNCATE))),
)
Class = tuple[str, str, str]
"""(action, rule, category)"""


def settings() -> PolicySettings:
    ours, theirs = SCHOOL.profiles
    rules = (*ours.categories, *(replace(ours.categories[0], category=each) for each in ("muette", "tcp")))
    rewrites = (RewriteSettings("local.example", ("cible.example",)),)
    ours = replace(ours, school=UAI, categories=rules, rewrites=rewrites)
    theirs = replace(ours, slug=theirs.slug, name=theirs.name, school="")
    return replace(SCHOOL, profiles=(ours, theirs), networks=(NetworkSettings(f"{TEACHER}/32", theirs.slug),))


@dataclass(frozen=True)
class Case:
    """A query, what it counts as, and whether its answer is looked up."""

    packet: bytes
    counts: Class | None
    """None: it is no query."""
    name: str = ""
    """Under which it is counted; nothing when it is not."""
    group: str = "address"
    is_looked_up: bool = False
    over_tcp: Class | None = None
    """When that is another."""
    is_silent: bool = False
    """It gets no reply."""


def asks(name: str, qtype: str = "A", **how: object) -> bytes:
    return dns.message.make_query(name, qtype, **{"use_edns": 0, "payload": 1232, **how}).to_wire()  # type: ignore[arg-type]


ALLOWED: Class = ("allowed", "default", "")
BLOCKED: Class = ("blocked", "category_deny", "jeux")
CASES = (
    Case(asks("www.jeu.example"), BLOCKED, "www.jeu.example"),
    Case(asks("WWW.jeu.Example", "HTTPS"), BLOCKED, "www.jeu.example", "service"),
    Case(asks("journal.example"), ALLOWED, "journal.example", is_looked_up=True),
    Case(asks("journal.example", want_dnssec=True), ALLOWED, "journal.example", is_looked_up=True),
    Case(asks("absent.example", "TXT"), ALLOWED, "absent.example", "other", is_looked_up=True),
    Case(asks("moyen.example", use_edns=False), ALLOWED, "moyen.example", is_looked_up=True),  # cut over UDP only
    Case(asks("gros.example"), ALLOWED, "gros.example", is_looked_up=True),  # the resolver itself cuts it
    Case(asks("suivi.example"), BLOCKED, "suivi.example", is_looked_up=True),
    Case(asks("local.example"), ("rewritten", "rewrite", ""), "local.example", is_looked_up=True),
    Case(asks("bloque.example"), ("blocked", "own_deny", ""), "bloque.example"),
    Case(asks("panne.example"), ("failed", "upstream", ""), "panne.example"),
    Case(asks("a.onion"), ("nxdomain", "special_name", ""), "a.onion"),
    Case(asks("muet.example"), ("dropped", "category_deny", "muette"), "muet.example", is_silent=True),
    Case(
        asks("tcp.example"), ("truncated", "category_deny", "tcp"), "tcp.example",
        over_tcp=("allowed", "category_deny", "tcp"),
    ),
    Case(asks("journal.example", "ANY"), ("minimal", "any", ""), "journal.example", "other"),
    Case(asks("journal.example", options=[]), ALLOWED, "journal.example", is_looked_up=True),
    Case(asks("version.bind", "TXT", rdclass="CH"), ("refused", "kind", "")),
    Case(asks("journal.example", use_edns=1), ("refused", "edns_version", "")),
    Case(asks("journal.example")[:20], ("refused", "malformed", "")),
    Case(bytes(2) + b"\x10\0" + asks("journal.example")[4:], ("refused", "opcode", "")),
    Case(bytes(2) + b"\x81\0" + asks("journal.example")[4:], None, is_silent=True),
)  # fmt: skip


@dataclass
class Told:
    """What was counted, by whoever tells it."""

    queries: Counter[Class]
    dropped: Counter[str]
    lookups: Counter[str]
    replies: int = 0
    """Of which the seconds are known."""


def read_metrics(running: RunningFilter) -> Told:
    with urllib.request.urlopen(f"http://127.0.0.1:{running.metrics}/metrics", timeout=10) as page:
        text = page.read().decode()
    told = Told(Counter(), Counter(), Counter())
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            assert not {PUPIL, TEACHER, CROWD, UAI, *(case.name for case in CASES if case.name)} & set(labels.values())
            match name:
                case "filter_queries_total":
                    told.queries[labels["action"], labels["rule"], labels["category"]] += int(value)
                case "filter_dropped_total":
                    told.dropped[labels["reason"]] += int(value)
                case "filter_cache_lookups_total":
                    told.lookups[labels["outcome"]] += int(value)
                case "filter_answer_seconds_count":
                    told.replies = int(value)
    return told


@dataclass
class Expected:
    """What is to be counted."""

    queries: Counter[Class]
    by_school: Counter[tuple[str, str]]
    names: Counter[tuple[str, str, str]]
    no_queries: int = 0
    lookups: int = 0

    def add(self, case: Case, client: str, *, over_tcp: bool = False) -> None:
        if case.counts is None:
            self.no_queries += 1
            return
        counts = case.over_tcp if over_tcp and case.over_tcp else case.counts
        self.queries[counts] += 1
        self.lookups += case.is_looked_up or counts == case.over_tcp
        if client != TEACHER and case.name:
            self.by_school[counts[0], counts[2]] += 1
        if case.name:
            self.names[case.name, case.group, "maitres" if client == TEACHER else "ecole"] += 1

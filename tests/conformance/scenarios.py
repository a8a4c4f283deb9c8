"""Kinds rpz, resolver: scenarios with zones, a scripted upstream and steps in time, replayed in order."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from filter.serving.wire import Question
from filter.settings import PolicySettings
from tests.conformance.cases import CRASHED, Case, Json, Outcome, compare, first_of, guarded, mapping, texts
from tests.conformance.engine import ListText, Script, one_profile
from tests.conformance.served import Served
from tests.conformance.transfers import moment_of, transferred
from tests.conformance.upstream import absolute, parse_records, question_message, respond

OPTION = re.compile(r"\s*([a-z-]+):\s*\"?([^\"]*)\"?\s*")
MOST_ALIASES = 16
PASSTHRU = "passthru"
RCODES = {"NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP", "YXDOMAIN", "NOTAUTH"}


@dataclass(slots=True)
class Step:
    """Where a scenario stands: its upstream speaks by steps."""

    number: int = 0


def run_scenarios(cases: Sequence[Case]) -> Iterator[Outcome]:
    """Each scenario has one filter; its cases come in the order of their steps."""
    ordered = sorted(cases, key=lambda case: (case.text("scenario"), step_of(case)))
    for name, group in groupby(ordered, key=lambda case: case.text("scenario")):
        own = list(group)
        try:
            served, step, scenario = open_scenario(own[0], name)
            with served:
                outcomes = list(replay(served, step, scenario, own))
        except Exception as error:  # noqa: BLE001  # a scenario that cannot be built fails its own cases only
            outcomes = [Outcome(case, f"{CRASHED}: {type(error).__name__}: {error}") for case in own]
        yield from outcomes


def replay(served: Served, step: Step, scenario: Json, cases: Sequence[Case]) -> Iterator[Outcome]:
    """The cases of a scenario, and what happens between them: time passes, zones are transferred."""
    past, transfer = 0, moment_of([step_of(case) for case in cases])
    for case in cases:
        if transfer is not None and past <= transfer < step_of(case):
            transfer_zones(served, scenario)
        past = pass_time(served, scenario, past, step_of(case))
        step.number = step_of(case)
        yield Outcome(case, guarded(partial(check, served), case))


def transfer_zones(served: Served, scenario: Json) -> None:
    """Serve, from now on, by the zones as they come from their sources, if some do."""
    before = [zone_of(scenario, block) for block in zones_of(scenario)]
    entries = list(Upstream(scenario, Step()).entries(None))
    news = [transferred(block, each.text, entries) for block, each in zip(zones_of(scenario), before, strict=True)]
    if any(text is not None for text in news):
        served.replace([replace(e, text=e.text if t is None else t) for e, t in zip(before, news, strict=True)])


def step_of(case: Case) -> int:
    value = case.data.get("step")
    return value if isinstance(value, int) else 0


def open_scenario(case: Case, name: str) -> tuple[Served, Step, Json]:
    """A serving process with the scenario's zones as lists, in front of its upstream."""
    scenario = mapping(read_scenarios(case.file).get(name))
    step = Step()
    config = texts(scenario.get("config"))
    lists = [zone_of(scenario, block) for block in zones_of(scenario)]
    upstream = Upstream(scenario, step)
    settings = settings_of(config, lists, upstream.names())
    is_clocked = "TIME_PASSES" in json.dumps(scenario.get("controls"))
    return Served(lists, settings, upstream.script, is_clocked=is_clocked), step, scenario


@lru_cache(maxsize=4)
def read_scenarios(file: Path) -> Json:
    return mapping(json.loads(file.with_suffix("").with_suffix(".scenarios.json").read_text("utf-8")))


def blocks_of(config: Iterable[str], kind: str) -> Iterator[dict[str, str]]:
    """The options of each ``kind:`` clause of an unbound configuration; ``@FILE:x`` is the zone file's name."""
    block: dict[str, str] | None = None
    for line in config:
        if line.strip() in {"server:", "rpz:", "stub-zone:", "forward-zone:", "auth-zone:", "view:", "remote-control:"}:
            if block is not None:
                yield block
            block = {} if line.strip() == f"{kind}:" else None
        elif block is not None and line.startswith("@FILE:"):
            block["file"] = line.removeprefix("@FILE:").strip()
        elif block is not None and (option := OPTION.fullmatch(line)):
            block[option[1]] = option[2]
    if block is not None:
        yield block


def zones_of(scenario: Json) -> list[dict[str, str]]:
    """The options of each response policy zone that counts."""
    blocks = blocks_of(texts(scenario.get("config")), "rpz")
    return [block for block in blocks if block.get("rpz-action-override") != "disabled"]


def zone_of(scenario: Json, block: Mapping[str, str]) -> ListText:
    """A response policy zone as a list. One whose every action is « passthru » is a category that is allowed.

    A zone without a file is empty until it is transferred.
    """
    text = str(mapping(scenario.get("files")).get(block.get("file", ""), ""))
    category = PASSTHRU if block.get("rpz-action-override") == PASSTHRU else "zone"
    return ListText(text, "rpz", category, block.get("name", ""))


def settings_of(config: Sequence[str], lists: Sequence[ListText], known: Iterable[str]) -> PolicySettings:
    """Private addresses are let through unless the scenario is about them: the upstream's names are private ones."""
    guards = any("private-address" in line for line in config)
    tops = set() if guards else {name.rstrip(".").rpartition(".")[2] for name in known}
    allowed = {each.category for each in lists} & {PASSTHRU}
    return one_profile(lists, allowed, {top for top in tops if top})


def pass_time(served: Served, scenario: Json, after: int, until: int) -> int:
    """Advance the clock by the scenario's ``TIME_PASSES`` steps since the last case."""
    controls = scenario.get("controls")
    for control in controls if isinstance(controls, list) else []:
        given = mapping(control)
        number, text = given.get("step"), json.dumps(control)
        if isinstance(number, int) and after < number < until and "TIME_PASSES" in text:
            served.advance(float(next(iter(re.findall(r"ELAPSE\D*([0-9.]+)", text)), 0)))
    return until


def is_referral(entry: Json) -> bool:
    """An answer with nothing but name servers: a resolver goes on from there, and so to another entry."""
    authority = [line.upper().split() for line in texts(entry.get("AUTHORITY"))]
    return not texts(entry.get("ANSWER")) and any("NS" in words[1:-1] for words in authority)


class Upstream:
    """The scenario's servers taken together, as the one resolver that a forwarder asks: it follows aliases itself."""

    def __init__(self, scenario: Json, step: Step) -> None:
        ranges = scenario.get("upstream")
        self.ranges = [mapping(each) for each in ranges] if isinstance(ranges, list) else []
        self.step = step

    def names(self) -> Iterator[str]:
        for entry in self.entries(None):
            for key in ("QUESTION", "ANSWER"):
                for line in texts(entry.get(key)):
                    yield line.split()[0]

    def entries(self, step: int | None) -> Iterator[Json]:
        for each in self.ranges:
            first, last = each.get("from"), each.get("to")
            if step is None or (isinstance(first, int) and isinstance(last, int) and first <= step <= last):
                found = each.get("entries")
                yield from (mapping(entry) for entry in (found if isinstance(found, list) else []))

    @property
    def script(self) -> Script:
        return self.answer

    def answer(self, question: Question) -> bytes | None:
        asked = question_message(question).question[0]
        name, found, entry = asked.name, list[dns.rrset.RRset](), None
        for _ in range(MOST_ALIASES):
            entry = self.find(name.to_text(), dns.rdatatype.to_text(asked.rdtype))
            if entry is None:
                break
            here = parse_records(texts(entry.get("ANSWER")))
            found += here
            alias = next((each for each in here if each.rdtype == dns.rdatatype.CNAME and each.name == name), None)
            if alias is None or asked.rdtype == dns.rdatatype.CNAME or any(e.rdtype == asked.rdtype for e in here):
                break
            name = alias[0].target
        if entry is None and not found:
            return None
        reply = {word.upper() for word in texts((entry or {}).get("reply"))}
        rcode = dns.rcode.from_text(next(iter(reply & RCODES), "NOERROR"))
        authority = parse_records(texts((entry or {}).get("AUTHORITY")))
        return respond(question, found, authority, rcode, authenticated="AD" in reply)

    def find(self, name: str, qtype: str) -> Json | None:
        """The entry whose question this is; one with an answer before a referral."""
        fitting = [entry for entry in self.entries(self.step.number) if self.fits(entry, name, qtype)]
        return min(fitting, key=is_referral, default=None)

    def fits(self, entry: Json, name: str, qtype: str) -> bool:
        matching = texts(entry.get("match"))
        for line in texts(entry.get("QUESTION")):
            words = line.split()
            same_type = "qtype" not in matching or words[-1].upper() == qtype
            if "subdomain" in matching:
                return same_type and f".{name}".lower().endswith(f".{absolute(words[0])}".lower())
            return same_type and ("qname" not in matching or absolute(words[0]).lower() == name.lower())
        return False


def check(served: Served, case: Case) -> str:
    """Response code, TC, and the answer section without TTLs. The rest is the engine's own: we cut authority and
    additional records down, set no AA, and say why by an extended error."""
    flags, query, expect = set(texts(case.expect.get("flags"))), case.query, case.expect
    client = query.get("client_ip")
    reply = served.ask(
        str(query["qname"]),
        str(query["qtype"]),
        str(client) if client else None,
        tcp=bool(query.get("tcp")),
        flags=texts(query.get("flags")),
    )
    return first_of(
        compare("rcode", dns.rcode.to_text(reply.rcode()), expect["rcode"]),
        compare("TC", bool(reply.flags & dns.flags.TC), "TC" in flags),
        compare("answer", text_of(reply.answer), text_of(parse_records(texts(expect.get("answer"))))),
        compare("AD", bool(reply.flags & dns.flags.AD), True) if "AD" in flags else "",
    )


def text_of(records: Iterable[dns.rrset.RRset]) -> list[str]:
    return sorted(
        f"{rrset.name.to_text().lower()} {dns.rdatatype.to_text(rrset.rdtype)} {rdata.to_text().lower()}"
        for rrset in records
        for rdata in rrset
    )

"""The RULES section of filter.bundle: filter.lists.entries.RuleEntry as JSON, read back without trusting its types."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from ipaddress import ip_network
from typing import TypeAlias

from filter.layout.sections import canonical_json
from filter.lists.entries import Match, ReplyKind, ReplyRecord, RuleEntry, RuleReply

Values: TypeAlias = Mapping[str, object]


def write_rules(rules: Iterable[tuple[int, RuleEntry]]) -> bytes:
    """The section for (position of the list, rule)."""
    return canonical_json([[position, shorten(rule)] for position, rule in rules])


def shorten(rule: RuleEntry) -> Values:
    """The fields that are not the default, as JSON can say them."""
    short = {f.name: getattr(rule, f.name) for f in fields(rule) if getattr(rule, f.name) != f.default}
    if rule.reply is not None:
        records = [[record.qtype, record.value] for record in rule.reply.records]
        reply = {"kind": rule.reply.kind, "target": rule.reply.target, "records": records}
        short["reply"] = {name: value for name, value in reply.items() if value}
    return short


def read_rules(section: memoryview, lists: int) -> tuple[tuple[int, RuleEntry], ...]:
    """(position of the list, rule), in their order; raise ValueError, TypeError, KeyError for anything else."""
    rules = []
    for place, values in json.loads(bytes(section)):
        position = number(place)
        if not 0 <= position < lists:
            raise ValueError("une règle nomme une liste absente")
        rules.append((position, read_rule(mapping(values))))
    return tuple(rules)


def read_rule(values: Values) -> RuleEntry:
    """One rule; fields that it does not know are ignored: what changes a rule's meaning comes with a new version."""
    get = values.get
    return RuleEntry(
        text=text(values["text"]),
        anchor=text(values["anchor"]) if "anchor" in values else None,
        match=Match(number(get("match", Match.WITH_BELOW))),
        pattern=text(values["pattern"]) if "pattern" in values else None,
        types=tuple(map(number, sequence(get("types", [])))),
        not_types=tuple(map(number, sequence(get("not_types", [])))),
        except_below=tuple(map(text, sequence(get("except_below", [])))),
        allows=flag(get("allows", False)),
        important=flag(get("important", False)),
        reply=read_reply(mapping(values["reply"])) if "reply" in values else None,
        lifts_replies=flag(get("lifts_replies", False)),
        network=read_network(values) if "network" in values else None,
    )


def read_network(values: Values) -> str:
    """The ``network`` of a rule about answers; raise ValueError for one that is about names as well."""
    if not values.keys().isdisjoint(("anchor", "pattern", "except_below")):
        raise ValueError("une règle parle de noms et de réponses")
    return str(ip_network(text(values["network"])))


def read_reply(values: Values) -> RuleReply:
    """The ``reply`` of a rule."""
    pairs = [sequence(pair) for pair in sequence(values.get("records", []))]
    records = tuple(ReplyRecord(number(qtype), text(value)) for qtype, value in pairs)
    return RuleReply(ReplyKind(text(values["kind"])), text(values.get("target", "")), records)


def text(value: object) -> str:
    """Raise TypeError for anything but text; so do the others for what they are named after."""
    if not isinstance(value, str):
        raise TypeError("texte attendu")
    return value


def number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("nombre attendu")
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("vrai ou faux attendu")
    return value


def sequence(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("suite attendue")
    return value


def mapping(value: object) -> Values:
    if not isinstance(value, dict):
        raise TypeError("objet attendu")
    return value

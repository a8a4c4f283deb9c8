"""Kinds parse, list_parse(_full), hostname_validation, parse_client, parse_ctag: lines through the readers."""

from collections.abc import Iterable

from filter.lists.adblock_syntax import split_rule
from filter.lists.entries import AddressEntry, Entry, Match, NameEntry, RuleEntry, RuleReply
from filter.lists.lines import ListRefused
from filter.lists.refused import RuleRefused
from tests.conformance.cases import Case, compare, first_of, mapping, texts
from tests.conformance.engine import read_list

REFUSED_WHOLE = "refused"


def names_of(entries: Iterable[Entry]) -> list[str]:
    """Entries in the notation of case files."""
    found = []
    for entry in entries:
        match entry:
            case str():
                found.append(entry)
            case NameEntry(name, Match.BELOW):
                found.append(f"*.{name}")
            case NameEntry(name):
                found.append(name)
            case AddressEntry(network):
                found.append(network.removesuffix("/32").removesuffix("/128"))
            case RuleEntry(anchor=str(name), reply=RuleReply()) if not entry.text.startswith(("|", "@", "/")):
                found.append(name)  # a line of a hosts file with an address to answer
            case RuleEntry():
                found.append(entry.text)
    return found


def read(text: str, form: str) -> tuple[list[Entry], str]:
    """The entries, and the first reason why something was left out."""
    try:
        entries, report = read_list(text, form)
    except ListRefused as refusal:
        return [], f"{REFUSED_WHOLE}: {refusal}"
    return entries, next(iter(report.skipped), "")


def check_parse(case: Case) -> str:
    """A line is an error when the report names it; it says nothing when it gives no entry and no report."""
    expect, text, form = case.expect, case.text("line"), case.text("format")
    if "pattern" in expect:
        return check_syntax(case)
    entries, refused = read(f"{text}\n", form)
    found = sorted({name.removeprefix("*.") for name in names_of(entries)})
    wanted = sorted({canonical(name).removeprefix("*.") for name in texts(expect.get("names"))})
    if "dns_applicable" in expect:
        return check_applicable(case, bool(entries) and not refused)
    if "ignored" in expect:
        silent = not entries and not refused
        return compare("ignored", silent, expect["ignored"])
    if expect.get("error"):
        return "" if not entries else f"read as {found}, expected an error"
    if "names" in expect:
        return compare_names(found, wanted)
    return compare("refused", refused, "")


def compare_names(found: list[str], wanted: list[str]) -> str:
    missing, added = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    return "" if not missing and not added else f"names: missing {missing}, added {added}"


def canonical(name: str) -> str:
    return name if name.startswith("/") else name.lower()


def check_applicable(case: Case, applicable: bool) -> str:
    """A ``$badfilter`` gives no entry by itself; it is applicable when the reader takes it for one."""
    if "badfilter" in case.text("line"):
        applicable = split_rule(case.text("line")).disables
    return compare("applicable", applicable, case.expect["dns_applicable"])


def check_syntax(case: Case) -> str:
    """The parts of a rule: exception, mask, modifiers."""
    try:
        rule = split_rule(case.text("line"))
    except RuleRefused as refusal:
        return f"refused: {refusal.reason}"
    options = ",".join(name if not value else f"{name}={value}" for name, value in rule.options)
    return first_of(
        compare("exception", rule.exception, case.expect["exception"]),
        compare("pattern", rule.mask, case.expect["pattern"]),
        compare("options", options, case.expect["options"]),
    )


def check_list(case: Case) -> str:
    """A whole list: how many rules, whether it is refused, or its entries."""
    entries, refused = read(case.text("list"), case.text("format"))
    if "entries" in case.expect:
        wanted = sorted({canonical(name) for name in texts(case.expect["entries"])})
        return compare("entries", sorted(set(names_of(entries))), wanted)
    is_error = refused.startswith(REFUSED_WHOLE)
    if case.expect.get("error"):
        return "" if is_error or not entries else f"{len(entries)} entries, expected a refusal"
    return first_of(
        compare("refused", refused if is_error else "", ""),
        compare("rules", len(entries), case.expect["rules"]) if case.expect.get("rules") is not None else "",
    )


def check_list_full(case: Case) -> str:
    """A golden file: every entry by type."""
    entries, _ = read(case.text("list"), case.text("format"))
    found = {name.removeprefix("*.") for name in names_of(entries)}
    given = case.expect.get("entries")
    wanted = {plain(mapping(each)) for each in (given if isinstance(given, list) else [])}
    missing, added = sorted(wanted - found), sorted(found - wanted)
    return first_of(compare("missing", missing, []), compare("added", added, []))


def plain(entry: object) -> str:
    """``{"type": "regex", "value": …}`` in the notation of names_of(); a dot at the end is no part of a name."""
    given = mapping(entry)
    value = str(given.get("value"))
    return f"/{value}/" if given.get("type") == "regex" else value.removeprefix("*.").removesuffix(".")


def check_hostname(case: Case) -> str:
    """Whether a text is a name: of a list's line, or where a rule's ``$dnsrewrite`` leads."""
    text = case.text("line")
    if case.text("format") == "list-entry":
        entries, refused = read(f"{text}\n", "list-entry")
        named = any(isinstance(entry, str | NameEntry) for entry in entries)
        return compare(f"valid ({refused})", named, case.expect["valid"])
    entries, refused = read(f"||example.org^$dnsrewrite=NOERROR;CNAME;{text}\n", "adblock")
    return compare(f"valid ({refused})", bool(entries), case.expect["valid"])


def check_clients(case: Case) -> str:
    """``$client`` and ``$ctag``: the reader reports the rule as not applicable, whatever their value; so it refuses
    wrong ones too."""
    option = "ctag" if case.kind == "parse_ctag" else "client"
    entries, refused = read(f"||example.org^${option}={case.text('line')}\n", "adblock")
    if case.expect.get("error"):
        return compare("entries", len(entries), 0)
    return f"not applicable here ({refused}), {len(entries)} entries"

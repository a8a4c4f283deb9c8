"""The conformance harness: its verdicts on small cases of our own, then the cases of other engines where they are."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conformance.__main__ import KINDS, main
from tests.conformance.cases import Case, run_file
from tests.conformance.differences import Difference, find_difference, read_differences

SHARED = Path(__file__).parents[3] / "shared" / "conformance" / "dns"
LIST = (
    "||jeux.example^\n@@||utile.jeux.example^\n||types.example^$dnstype=AAAA\n|redirige.example^$dnsrewrite=192.0.2.1\n"
)
REWRITES = [
    {"domain": "*.ent.example", "answer": "portail.ent.example", "enabled": True},
    {"domain": "portail.ent.example", "answer": "192.0.2.8", "enabled": True},
    {"domain": "ancien.example", "answer": "192.0.2.9", "enabled": False},
]
ZONE = """\
$ORIGIN rpz.example.
@ SOA ns. host. 1 2 3 4 5
bloque.example CNAME .
vide.example CNAME *.
local.example A 192.0.2.5
"""
POLICY = {
    "gravity": ["suivi.ftl"],
    "exact_allow": ["permis.ftl"],
    "regex_deny": ["^pub[0-9].ftl$", "^refus$;reply=REFUSED"],
    "upstream": {"permis.ftl": "192.0.2.4", "alias.ftl": "CNAME suivi.ftl"},
}


def match(name: str, qtype: str, action: str) -> Mapping[str, object]:
    query = {"qname": name, "qtype": qtype}
    return {"kind": "match", "format": "adblock", "list": LIST, "query": query, "expect": {"action": action}}


def live(name: str, client: str, **expect: object) -> Mapping[str, object]:
    return {
        "kind": "live_dns",
        "policy": "pihole.policy.json",
        "query": {"qname": name, "qtype": "A", "client_ip": client},
        "expect": expect,
    }


def rebinding(address: str, **rest: object) -> Mapping[str, object]:
    return {
        "kind": "rebinding",
        "query": {"qname": "www.ailleurs.example.", "qtype": "A"},
        "upstream_answer": [f"www.ailleurs.example. 300 IN A {address}"],
        **rest,
    }


def rewrite(name: str, **expect: object) -> Mapping[str, object]:
    return {"kind": "rewrite", "rewrites": REWRITES, "query": {"qname": name, "qtype": "A"}, "expect": expect}


def rpz(step: int, name: str, rcode: str, *answer: str) -> Mapping[str, object]:
    return {
        "kind": "rpz",
        "scenario": "zone",
        "step": step,
        "query": {"qname": name, "qtype": "A", "client_ip": None, "flags": ["RD"], "tcp": False},
        "expect": {"flags": ["QR"], "rcode": rcode, "answer": list(answer)},
    }


def parse(form: str, line: str, **expect: object) -> Mapping[str, object]:
    return {"kind": "parse", "format": form, "line": line, "expect": expect}


RIGHT: list[Mapping[str, object]] = [
    match("www.jeux.example", "HTTPS", "block"),
    match("utile.jeux.example", "A", "allow"),
    match("autre.example", "A", "none"),
    match("types.example", "AAAA", "block"),
    match("types.example", "A", "none"),
    {
        "kind": "dnsrewrite",
        "list": LIST,
        "query": {"qname": "redirige.example", "qtype": "A"},
        "expect": {"rcode": "NOERROR", "records": [{"type": "A", "value": "192.0.2.1"}]},
    },
    {"kind": "dnsrewrite_parse", "rule": "||a.example^$dnsrewrite=NOERROR;A;nul", "expect": {"valid": False}},
    {
        "kind": "badfilter_pair",
        "rule": "||a.example^",
        "badfilter": "||a.example^$badfilter",
        "expect": {"negated": True},
    },
    {
        "kind": "badfilter_pair",
        "rule": "||a.example^",
        "badfilter": "||b.example^$badfilter",
        "expect": {"negated": False},
    },
    parse("hosts", "0.0.0.0 a.example b.example # deux", error=False, names=["a.example", "b.example"]),
    parse("wildcard", "exemple.*.com", error=True),
    parse("mixed", "10.0.0.1 a.example b.example", error=False, names=["a.example", "b.example"]),
    parse("mixed", "2001:db8::7", error=False, names=["2001:db8::7"]),
    parse("adblock", "! commentaire", ignored=True, error=False),
    {
        "kind": "list_parse",
        "format": "adblock",
        "list": "<!DOCTYPE html>\n<p>\n",
        "expect": {"rules": 0, "error": True},
    },
    {"kind": "list_parse", "format": "domains", "list": "a.example\n", "expect": {"entries": ["a.example"]}},
    {"kind": "hostname_validation", "format": "list-entry", "line": "a..example", "expect": {"valid": False}},
    rewrite("www.ent.example", rewritten=True, cname="portail.ent.example", ips=["192.0.2.8"]),
    rewrite("ancien.example", rewritten=False, ips=None),
    {
        "kind": "safesearch",
        "query": {"qname": "www.google.fr", "qtype": "A"},
        "expect": {"type": "CNAME", "value": "forcesafesearch.google.com"},
    },
    {"kind": "safesearch", "query": {"qname": "www.google.fr", "qtype": "HTTPS"}, "expect": {"nodata": True}},
    {
        "kind": "schedule",
        "schedule": {"tz": "Europe/Paris", "mon": ["22:00", "06:00"]},
        "at": "2026-09-08T03:30:00Z",
        "expect": {"active": True},
    },
    {"kind": "schedule_validate", "range": ["08:00", "24:00"], "expect": {"valid": True}},
    rebinding("192.168.7.1", expect={"blocked": True, "rcode": "NOERROR", "answers": []}),
    rebinding("192.168.7.1", config={"allowed_domains": ["ailleurs.example."]}, expect={"blocked": False}),
    rebinding("198.51.100.1", expect={"blocked": False}),
    {
        "kind": "special_use",
        "query": {"qname": "imprimante.lan.", "qtype": "A"},
        "expect": {"rcode": "NXDOMAIN", "answers": [], "not_forwarded": True},
    },
    {"kind": "wire", "hex": "abcd0100000100000000000000", "expect": {"no_crash": True}},
    {"kind": "wire", "hex": "abcd", "expect": {"no_crash": True}},
    live("suivi.ftl", "127.0.0.1", answers=["0.0.0.0"]),
    live("suivi.ftl", "127.0.0.3", answers=[]),
    live("alias.ftl", "127.0.0.1", answers=["0.0.0.0"]),
    live("permis.ftl", "127.0.0.1", answers=["192.0.2.4"]),
    live("pub7.ftl", "127.0.0.1", answers=["0.0.0.0"]),
    live("refus", "127.0.0.1", rcode="REFUSED"),
    {"kind": "regex", "regex": "^ADS[0-9]", "subject": "ads7.example", "expect": {"match": True, "invalid": False}},
    rpz(1, "bloque.example.", "NXDOMAIN"),
    rpz(2, "vide.example.", "NOERROR"),
    rpz(3, "local.example.", "NOERROR", "local.example. IN A 192.0.2.5"),
    rpz(4, "ailleurs.example.", "NOERROR", "ailleurs.example. IN A 198.51.100.3"),
    {
        "kind": "group_policy",
        "groups": {"classe": "JEUX.example\n", "defaut": "autre.example\n"},
        "client_groups": {"10.2.0.0/24": ["classe"], "poste[0-9]": ["defaut"], "default": ["defaut"]},
        "query": {"qname": "jeux.example", "qtype": "AAAA", "client_ip": "10.2.0.7", "client_names": ["inconnu"]},
        "expect": {"action": "block", "answers": ["::"]},
    },
]
SCENARIOS = {
    "zone": {
        "config": ["rpz:", '\tname: "rpz.example."', "\tzonefile:", "@FILE:rpz"],
        "files": {"rpz": ZONE},
        "upstream": [
            {
                "from": 0,
                "to": 9,
                "entries": [
                    {
                        "match": ["qname", "qtype"],
                        "reply": ["QR", "NOERROR"],
                        "QUESTION": ["ailleurs.example. IN A"],
                        "ANSWER": ["ailleurs.example. IN A 198.51.100.3"],
                    }
                ],
            }
        ],
    }
}


def write(directory: Path, cases: list[Mapping[str, object]]) -> Path:
    path = directory / "cas.jsonl"
    lines = [json.dumps({"id": f"cas-{number}", **case}) for number, case in enumerate(cases)]
    path.write_text("\n".join(lines), "utf-8")
    (directory / "cas.scenarios.json").write_text(json.dumps(SCENARIOS), "utf-8")
    (directory / "pihole.policy.json").write_text(json.dumps(POLICY), "utf-8")
    return path


def contradict(value: object) -> object:
    """Another expectation of the same form."""
    if isinstance(value, dict):
        return {key: contradict(each) for key, each in value.items()}
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if value is None or isinstance(value, list):
        return ["203.0.113.99"]
    return {"block": "none", "none": "block", "allow": "block", "NOERROR": "SERVFAIL", "CNAME": "CNAME"}.get(
        str(value), "NOERROR"
    )


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: str(case["kind"]))
def test_what_the_filter_does_right_passes(case: Mapping[str, object], tmp_path: Path) -> None:
    result = run_file(write(tmp_path, [case]), KINDS)
    assert [outcome.why for outcome in result.outcomes] == [""]


@pytest.mark.parametrize("case", [case for case in RIGHT if case["kind"] != "wire"], ids=lambda case: str(case["kind"]))
def test_the_contrary_fails(case: Mapping[str, object], tmp_path: Path) -> None:
    contrary = {**case, "expect": contradict(case["expect"])}
    result = run_file(write(tmp_path, [contrary]), KINDS)
    assert result.failed


def test_every_kind_is_tried_here() -> None:
    untried = {"list_parse_full", "parse_client", "parse_ctag", "resolver"}
    assert {str(case["kind"]) for case in RIGHT} == KINDS.keys() - untried


def test_a_failure_without_a_reason_is_named_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [match("autre.example", "A", "none"), match("autre.example", "A", "block")])
    table = tmp_path / "table.md"
    table.write_text("| cas | raison |\n|---|---|\n", "utf-8")
    assert main([str(tmp_path), "--differences", str(table)]) == 1
    out = capsys.readouterr().out
    assert "cas.jsonl: 1 / 2" in out
    assert "FAILED     cas-1" in out
    table.write_text("| `id=cas-*` `expect.action=block` | voulu |\n", "utf-8")
    assert main([str(tmp_path), "--differences", str(table)]) == 0
    assert "difference cas-1" in capsys.readouterr().out


def test_an_unknown_kind_is_said_and_a_broken_line_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, [{"kind": "carrier_pigeon", "expect": {}}])
    assert main([str(tmp_path)]) == 0
    assert "unknown kind 'carrier_pigeon': 1" in capsys.readouterr().out
    path.write_text('{"kind": "match"\n[]\n', "utf-8")
    assert main([str(tmp_path)]) == 1
    assert "cas.jsonl:1" in capsys.readouterr().out


def test_a_case_of_an_unknown_form_fails_alone(tmp_path: Path) -> None:
    result = run_file(write(tmp_path, [{"kind": "match"}, match("autre.example", "A", "none")]), KINDS)
    assert [outcome.passed for outcome in result.outcomes] == [False, True]


def test_a_folder_without_cases_is_said(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 2


def test_every_row_of_the_table_has_a_reason() -> None:
    differences = read_differences()
    assert len(differences) > 20
    assert all(difference.reason for difference in differences)


def test_all_selectors_of_a_row_must_fit() -> None:
    case = Case(Path("x.jsonl"), 1, {"id": "a-1", "kind": "match", "expect": {"action": "block"}})
    both = Difference((("kind", "=", "match"), ("expect.action", "=", "none")), "raison")
    one = Difference((("id", "=", "a-*"),), "later: plus tard")
    assert find_difference(case, [both]) is None
    assert find_difference(case, [both, one]) is one
    assert one.is_later
    because = Difference((("kind", "=", "match"), ("why", "=", "action: *")), "raison")
    assert find_difference(case, [because], "action: 'none'") is because
    assert find_difference(case, [because], "no reply") is None
    exactly = Difference((("why", "~", r"action: '(none|allow)'"),), "raison")
    assert find_difference(case, [exactly], "action: 'allow'") is exactly
    assert find_difference(case, [exactly], "action: 'allow' after all") is None


def test_no_row_excuses_a_crash(tmp_path: Path) -> None:
    (outcome,) = run_file(write(tmp_path, [{"kind": "match"}]), KINDS).outcomes
    assert outcome.why.startswith("crash: KeyError")
    assert find_difference(outcome.case, [Difference((("kind", "=", "*"),), "raison")], outcome.why) is None


def test_a_row_of_the_table_is_read_with_both_signs(tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    table.write_text("| `kind=match` `why~a\\|b [(]c[)]` | l’un ou l’autre |\n", "utf-8")
    (row,) = read_differences(table)
    assert row == Difference((("kind", "=", "match"), ("why", "~", "a|b [(]c[)]")), "l’un ou l’autre")


def test_a_line_end_is_a_line_feed_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "cas.jsonl"
    case = {
        "kind": "parse",
        "format": "domains",
        "line": "a.example # \u2028\u0085",
        "expect": {"names": ["a.example"]},
    }
    path.write_text(json.dumps(case, ensure_ascii=False) + "\r\n", "utf-8")
    result = run_file(path, KINDS)
    assert (result.passed, result.total) == (1, 1)


def test_the_cases_of_other_engines(capsys: pytest.CaptureFixture[str]) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"the conformance cases are not here: {SHARED}")
    assert main([str(SHARED), "--quiet"]) == 0, capsys.readouterr().out

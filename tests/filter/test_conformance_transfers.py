"""Zones of scenarios that come by transfer: the lists are replaced, and answers that were kept are judged anew."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conformance.__main__ import KINDS
from tests.conformance.cases import run_file
from tests.conformance.transfers import moment_of

SOA = "rpz.example. 60 IN SOA ns.rpz.example. root.rpz.example. {} 3600 900 86400 60"
FILE = "$ORIGIN rpz.example.\na CNAME *.\nb A 192.0.2.1\nb A 192.0.2.2\n32.9.100.51.198.rpz-ip CNAME *.\n"
WHOLE = [SOA.format(1), "a.rpz.example. 60 IN CNAME .", "c.rpz.example. 60 IN CNAME *.", SOA.format(1)]
CHANGES = [
    SOA.format(3), SOA.format(1), "a.rpz.example. 60 IN CNAME *.", SOA.format(2), "c.rpz.example. 60 IN CNAME *.",
    SOA.format(2), "b.rpz.example. 60 IN A 192.0.2.1", SOA.format(3), "a.rpz.example. 60 IN CNAME .", SOA.format(3),
]  # fmt: skip
CASES: dict[int, dict[str, tuple[str, list[str]]]] = {
    1: {"a.": ("NOERROR", []), "b.": ("NOERROR", ["b. A 192.0.2.1", "b. A 192.0.2.2"]),
        "c.": ("NOERROR", ["c. A 198.51.100.7"]), "d.": ("NOERROR", [])},
    40: {"a.": ("NXDOMAIN", []), "c.": ("NOERROR", [])},
}  # fmt: skip
AFTER: dict[str, dict[str, tuple[str, list[str]]]] = {
    "AXFR": {"b.": ("NOERROR", ["b. A 198.51.100.8"]), "d.": ("NOERROR", ["d. A 198.51.100.9"])},
    "IXFR": {"b.": ("NOERROR", ["b. A 192.0.2.2"]), "d.": ("NOERROR", [])},
}


def entry(question: str, *answers: str) -> Mapping[str, object]:
    return {"match": ["qname", "qtype"], "reply": ["NOERROR"], "QUESTION": [question], "ANSWER": list(answers)}


def write(folder: Path, kind: str, news: list[str]) -> Path:
    addresses = {"b.": 8, "c.": 7, "d.": 9}
    entries = [entry(f"{name} IN A", f"{name} 3600 IN A 198.51.100.{last}") for name, last in addresses.items()]
    scenario = {
        "config": ["rpz:", '\tname: "rpz.example."', "\tprimary: 192.0.2.53", "@FILE:rpz"],
        "files": {"rpz": FILE},
        "upstream": [{"from": 0, "to": 99, "entries": [*entries, entry(f"rpz.example. IN {kind}", *news)]}],
    }
    lines = []
    for first, expected in ((1, CASES[1]), (40, {**CASES[40], **AFTER[kind]})):
        for step, (name, (rcode, answer)) in enumerate(expected.items(), first):
            query = {"qname": name, "qtype": "A", "flags": ["RD"]}
            expect = {"rcode": rcode, "answer": answer, "flags": ["QR"]}
            case = {
                "kind": "rpz",
                "scenario": "z",
                "step": step,
                "query": query,
                "expect": expect,
                "id": f"{step}{name}",
            }
            lines.append(json.dumps(case))
    (folder / "cas.scenarios.json").write_text(json.dumps({"z": scenario}), "utf-8")
    path = folder / "cas.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    return path


@pytest.mark.parametrize(("kind", "news"), [("AXFR", WHOLE), ("IXFR", CHANGES)])
def test_a_zone_comes_while_the_filter_serves(tmp_path: Path, kind: str, news: list[str]) -> None:
    result = run_file(write(tmp_path, kind, news), KINDS)
    assert [(outcome.case.id, outcome.why) for outcome in result.failed] == []


def test_one_that_brings_nothing_new_is_told_apart(tmp_path: Path) -> None:
    assert {outcome.case.id for outcome in run_file(write(tmp_path, "IXFR", CHANGES[:1]), KINDS).failed} >= {"40a."}


@pytest.mark.parametrize(
    ("steps", "moment"), [([1, 3, 13, 50, 52], 13), ([1, 2, 3], None), ([], None), ([10, 20, 30], None), ([1, 40], 1)]
)
def test_the_moment_is_where_most_steps_are_left_out(steps: list[int], moment: int | None) -> None:
    assert moment_of(steps) == moment

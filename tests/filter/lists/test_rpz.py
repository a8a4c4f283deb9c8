"""Policy zones come to names, addresses and rules of which one at most speaks of a name, as zones have it."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.lists import rpz
from filter.lists.entries import (
    AddressEntry,
    Entry,
    Match,
    NameEntry,
    ReplyKind,
    ReplyRecord,
    RuleEntry,
    RuleReply,
)
from filter.lists.rpz import read_rpz
from filter.lists.source import REASONS, ListReport
from filter.rules import RuleTable
from tests.filter.lists.files import exact, read_with

A, MX, TXT, AAAA = 1, 15, 16, 28
HEADER = """$TTL 1h
$ORIGIN policy.example.
@  IN SOA ns.policy.example. admin.policy.example. (
        2026112201 ; serial
        1h 15m 30d 2h )
   IN NS  ns.policy.example.
"""


def below(name: str, *, allows: bool = False) -> NameEntry:
    return NameEntry(name, Match.BELOW, allows)


def replies(name: str, kind: ReplyKind, target: str = "", match: Match = Match.EXACT) -> RuleEntry:
    return RuleEntry("", anchor=name, match=match, reply=RuleReply(kind, target))


def leading_to(network: str, kind: ReplyKind, target: str = "", *records: ReplyRecord) -> RuleEntry:
    return RuleEntry("", reply=RuleReply(kind, target, records), network=network)


def without_text(entries: list[Entry]) -> list[Entry]:
    """Rules show the line they come from; here what they do is looked at."""
    return [
        RuleEntry("", *(getattr(entry, field) for field in RuleEntry.__slots__[1:]))
        if isinstance(entry, RuleEntry)
        else entry
        for entry in entries
    ]


@pytest.mark.parametrize(
    ("record", "entry"),
    [
        ("bad.example CNAME .", exact("bad.example")),
        ("BAD.Example 300 IN CNAME .", exact("bad.example")),
        ("bad.example IN 300 CNAME . ; why", exact("bad.example")),
        ("bad.example.policy.example. CNAME .", exact("bad.example")),
        ("*.bad.example CNAME .", below("bad.example")),
        ("*.bad.example.policy.example. IN CNAME .", below("bad.example")),
        ("good.example CNAME rpz-passthru.", NameEntry("good.example", Match.EXACT, allows=True)),
        ("*.good.example CNAME RPZ-PASSTHRU.", below("good.example", allows=True)),
        ("good.example CNAME good.example.", NameEntry("good.example", Match.EXACT, allows=True)),
        ("odd.example CNAME *.", replies("odd.example", ReplyKind.NODATA)),
        ("odd.example CNAME rpz-drop.", replies("odd.example", ReplyKind.DROP)),
        ("odd.example CNAME rpz-tcp-only.", replies("odd.example", ReplyKind.TRUNCATE)),
        ("odd.example CNAME wall.example.net.", replies("odd.example", ReplyKind.CNAME, "wall.example.net")),
        ("odd.example CNAME wall", replies("odd.example", ReplyKind.CNAME, "wall.policy.example")),
        ("*.odd.example CNAME *.wall.net.", replies("odd.example", ReplyKind.CNAME, "*.wall.net", Match.BELOW)),
        ("32.1.2.0.192.rpz-ip CNAME .", AddressEntry("192.0.2.1/32")),
        ("24.0.2.0.192.rpz-ip CNAME .", AddressEntry("192.0.2.0/24")),
        ("24.0.2.0.192.rpz-ip CNAME *.", leading_to("192.0.2.0/24", ReplyKind.NODATA)),
        ("32.1.2.0.192.rpz-ip CNAME rpz-tcp-only.", leading_to("192.0.2.1/32", ReplyKind.TRUNCATE)),
        ("32.1.2.0.192.rpz-ip CNAME wall", leading_to("192.0.2.1/32", ReplyKind.CNAME, "wall.policy.example")),
        ("24.0.2.0.192.rpz-ip.policy.example. CNAME rpz-passthru.", AddressEntry("192.0.2.0/24", allows=True)),
        ("48.zz.1.db8.2001.rpz-ip CNAME .", AddressEntry("2001:db8:1::/48")),
        ("128.1.zz.rpz-ip CNAME .", AddressEntry("::1/128")),
        ("128.57.zz.db8.2001.rpz-ip CNAME rpz-drop.", leading_to("2001:db8::57/128", ReplyKind.DROP)),
        (
            "128.7.6.5.4.3.2.db8.2001.rpz-ip A 192.0.2.9",
            leading_to("2001:db8:2:3:4:5:6:7/128", ReplyKind.RECORDS, "", ReplyRecord(A, "192.0.2.9")),
        ),
        ("localhost-like CNAME .", exact("localhost-like")),
        (
            "dot.example TXT .",
            RuleEntry(
                "",
                anchor="dot.example",
                match=Match.EXACT,
                reply=RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(TXT, '"."'),)),
            ),
        ),
    ],
)
def test_a_record_comes_to_one_entry(record: str, entry: Entry, tmp_path: Path) -> None:
    entries, report = read_with(read_rpz, tmp_path, f"{HEADER}{record}\n")

    assert without_text(entries) == [entry]
    assert (report.lines, dict(report.skipped)) == (1, {})


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("24.0.2.0.192.rpz-client-ip CNAME .", "not_enforceable_trigger"),
        ("24.0.2.0.192.rpz-nsip CNAME .", "not_enforceable_trigger"),
        ("ns.bad.example.rpz-nsdname CNAME .", "not_enforceable_trigger"),
        ("bad.example.net. CNAME .", "out_of_zone"),
        ("com CNAME .", "public_suffix"),
        ("*.gouv.fr CNAME .", "public_suffix"),
        ("* CNAME .", "too_wide"),
        ("4.0.0.0.192.rpz-ip CNAME .", "too_wide"),
        ("24.1.2.0.192.rpz-ip CNAME .", "bad_address"),
        ("33.1.2.0.192.rpz-ip CNAME .", "bad_address"),
        ("x.1.2.0.192.rpz-ip CNAME .", "bad_address"),
        ("48.zz.1.zz.2001.rpz-ip CNAME .", "bad_address"),
        ("192.0.2.1 CNAME .", "ip_address"),
        ("a..b CNAME .", "invalid_name"),
        (r"a\.b.example CNAME .", "invalid_name"),
        ("bad.example CNAME", "bad_record"),
        ("bad.example CNAME . .", "bad_record"),
        ("bad.example CNAME rpz-passthru", "bad_record"),
        ("bad.example CNAME rpz-log.", "bad_record"),
        ("bad.example A 192.0.2", "bad_record"),
        ("bad.example AAAA 192.0.2.1", "bad_record"),
        ("bad.example NOPE x", "bad_record"),
        ("bad.example CAA 0 issue x", "bad_record"),
        (r'bad.example TXT "\999"', "bad_record"),
        ('bad.example TXT "open', "bad_record"),
        ("bad.example )", "bad_record"),
        ("bad.example", "bad_record"),
        ("$INCLUDE /etc/passwd", "unsupported_syntax"),
        ("$GENERATE 1-9 a$ CNAME .", "unsupported_syntax"),
        (f"bad.example TXT {'x' * 5000}", "too_long"),
    ],
)
def test_a_record_is_refused_with_its_line(record: str, reason: str, tmp_path: Path) -> None:
    entries, report = read_with(read_rpz, tmp_path, f"{HEADER}{record}\nlast.example CNAME .\n")

    assert entries == [exact("last.example")]
    assert dict(report.skipped) == {reason: 1}
    assert report.examples[reason][0][0] == 7
    assert reason in REASONS


def test_triggers_that_cannot_be_enforced_are_counted_by_kind(tmp_path: Path) -> None:
    _, report = read_with(
        read_rpz,
        tmp_path,
        f"{HEADER}24.0.2.0.192.rpz-client-ip CNAME .\n24.0.3.0.192.rpz-client-ip CNAME .\nns.x.rpz-nsdname CNAME .\n",
    )

    assert report.not_enforceable == {"rpz-client-ip": 2, "rpz-nsdname": 1}


def test_local_data_is_gathered_by_name(tmp_path: Path) -> None:
    entries, report = read_with(
        read_rpz,
        tmp_path,
        f'{HEADER}one.example A 192.0.2.1\n\n  ; note\n\tA 192.0.2.2\n  300 IN TXT ( "two; words" ; note\n'
        '  plain \\034q\\" ) ; end\ntwo.example CNAME .\none.example MX 10 mail\none.example CNAME .\n',
    )

    assert entries == [
        exact("two.example"),
        RuleEntry(
            "one.example A 192.0.2.1",
            anchor="one.example",
            match=Match.EXACT,
            reply=RuleReply(
                ReplyKind.RECORDS,
                records=(
                    ReplyRecord(A, "192.0.2.1"),
                    ReplyRecord(A, "192.0.2.2"),
                    ReplyRecord(TXT, r'"two; words" "plain" "\"q\""'),
                    ReplyRecord(MX, "10 mail.policy.example."),
                ),
            ),
        ),
    ]
    assert report.examples == {"duplicate": [(15, "one.example CNAME .")]}


def test_a_plain_line_hands_its_name_down_too(tmp_path: Path) -> None:
    entries, report = read_with(
        read_rpz, tmp_path, f"{HEADER}one.example A 192.0.2.1\ntwo.example CNAME .\n\n; note\n  A 192.0.2.2\n"
    )

    assert entries[0] == exact("two.example")
    assert [entry.reply for entry in entries[1:] if isinstance(entry, RuleEntry)] == [
        RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(A, "192.0.2.1"),))
    ]
    assert [number for number, _ in report.examples["duplicate"]] == [11]


def test_the_first_of_two_actions_for_a_name_counts(tmp_path: Path) -> None:
    entries, report = read_with(
        read_rpz,
        tmp_path,
        f"{HEADER}one.example CNAME .\none.example CNAME *.\ntwo.example CNAME *.\ntwo.example CNAME .\n"
        "three.example CNAME rpz-drop.\nthree.example TXT x\n32.1.2.0.192.rpz-ip CNAME .\n"
        "32.1.2.0.192.rpz-ip CNAME rpz-passthru.\n",
    )

    assert without_text(entries) == [
        exact("one.example"),
        AddressEntry("192.0.2.1/32"),
        replies("two.example", ReplyKind.NODATA),
        replies("three.example", ReplyKind.DROP),
    ]
    assert sorted(number for number, _ in report.examples["duplicate"]) == [8, 10, 12, 14]


@pytest.mark.parametrize(
    ("header", "record", "names"),
    [
        ("$ORIGIN policy.example.\n", "bad.example CNAME .", ["bad.example"]),
        ("", "bad.example CNAME .", ["bad.example"]),
        ("@ SOA a b 1 2 3 4 5\n", "bad.example CNAME .", ["bad.example"]),
        ("policy.example. SOA a b 1 2 3 4 5\n", "bad.example.policy.example. CNAME .", ["bad.example"]),
        ("policy.example. SOA a b 1 2 3 4 5\n", "bad.example CNAME .", ["bad.example"]),
        (
            "$ORIGIN example.\npolicy SOA a b 1 2 3 4 5\n$ORIGIN policy.example.\n",
            "bad.example CNAME .",
            ["bad.example"],
        ),
        ("$ORIGIN example.\npolicy SOA a b 1 2 3 4 5\n$ORIGIN x.policy\n", "bad CNAME .", ["bad.x"]),
        ("$ORIGIN example.\npolicy SOA a b 1 2 3 4 5\n", "bad CNAME .", []),
        ("$ORIGIN example.\npolicy SOA a b 1 2 3 4 5\nbad.policy NS x\n$ORIGIN x.example.\n", " CNAME .", ["bad"]),
        ("", "bad.example. CNAME .", []),
    ],
)
def test_names_hang_where_the_zone_does(header: str, record: str, names: list[str], tmp_path: Path) -> None:
    entries, report = read_with(read_rpz, tmp_path, f"{header}{record}\n")

    assert entries == [exact(name) for name in names]
    assert report.skipped["out_of_zone"] == 1 - len(names)


def test_a_wildcard_spares_what_has_a_trigger_of_its_own(tmp_path: Path) -> None:
    entries, _ = read_with(
        read_rpz,
        tmp_path,
        f"{HEADER}*.a.example TXT wild\nb.a.example CNAME *.\nc.a.example CNAME .\n*.d.a.example CNAME .\n"
        "*.f.example CNAME .\ng.f.example CNAME rpz-passthru.\n*.g.f.example CNAME .\n",
    )

    assert [
        (entry.anchor, entry.except_below)
        for entry in entries
        if isinstance(entry, RuleEntry) and entry.match is Match.BELOW
    ] == [("f.example", ("g.f.example",)), ("a.example", ("b.a.example", "c.a.example", "d.a.example"))]
    assert [entry for entry in entries if isinstance(entry, NameEntry)] == [
        exact("c.a.example"),
        below("d.a.example"),
        below("g.f.example"),
        NameEntry("g.f.example", Match.EXACT, allows=True),
    ]


def test_more_replies_than_a_gateway_holds_become_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpz, "MOST_NODES", 1)

    entries, report = read_with(
        read_rpz,
        tmp_path,
        f"{HEADER}a.example CNAME wall.example.\nb.example CNAME wall.example.\n*.c.example CNAME rpz-passthru.\n"
        "d.example CNAME rpz-tcp-only.\n",
    )

    assert without_text(entries) == [
        exact("b.example"),
        below("c.example", allows=True),
        replies("a.example", ReplyKind.CNAME, "wall.example"),
    ]
    assert report.warnings == [rpz.TOO_MANY]
    assert dict(report.skipped) == {"too_many_rules": 1}


def test_a_wildcard_that_spares_too_much_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpz, "MOST_EXCEPTIONS", 1)

    entries, report = read_with(
        read_rpz, tmp_path, f"{HEADER}*.a.example CNAME rpz-passthru.\nb.a.example CNAME .\nc.a.example CNAME .\n"
    )

    assert entries == [exact("b.a.example"), exact("c.a.example")]
    assert dict(report.skipped) == {"too_many_rules": 1}


def test_of_one_network_the_first_record_counts_and_its_records_add_up(tmp_path: Path) -> None:
    zone = """\
32.1.2.0.192.rpz-ip A 198.51.100.1
32.1.2.0.192.rpz-ip A 198.51.100.2
32.1.2.0.192.rpz-ip CNAME rpz-passthru.
32.2.2.0.192.rpz-ip CNAME rpz-passthru.
32.2.2.0.192.rpz-ip A 198.51.100.3
32.3.2.0.192.rpz-ip CNAME .
32.3.2.0.192.rpz-ip CNAME *.
"""
    entries, report = read_with(read_rpz, tmp_path, HEADER + zone)

    records = (ReplyRecord(A, "198.51.100.1"), ReplyRecord(A, "198.51.100.2"))
    assert without_text(entries) == [
        AddressEntry("192.0.2.2/32", allows=True),
        AddressEntry("192.0.2.3/32"),
        leading_to("192.0.2.1/32", ReplyKind.RECORDS, "", *records),
    ]
    assert (report.addresses, report.rules, dict(report.skipped)) == (2, 1, {"duplicate": 3})


BLOCK, PASS, NODATA, DROP = ".", "rpz-passthru.", "*.", "rpz-drop."
LABELS = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
ZONES = st.dictionaries(st.tuples(PATHS, st.booleans()), st.sampled_from([BLOCK, PASS, NODATA, DROP]), max_size=10)


def as_zones_have_it(zone: dict[tuple[str, bool], str], name: str) -> str:
    """The action of the exact name, else of the wildcard of the nearest name that has a trigger; "" for none."""
    owners = {owner for owner, _ in zone}
    if name in owners:
        return zone.get((name, False), "")
    labels = name.split(".")
    parents = (".".join(labels[start:]) for start in range(1, len(labels)))
    nearest = next((parent for parent in parents if parent in owners), "")
    return zone.get((nearest, True), "")


def as_entries_have_it(entries: list[Entry], name: str) -> set[str]:
    """The actions of all entries that speak of the name."""
    actions: set[str] = set()
    for entry in entries:
        assert isinstance(entry, NameEntry | RuleEntry)
        rule = entry if isinstance(entry, RuleEntry) else RuleEntry("", entry.name, entry.match, allows=entry.allows)
        if RuleTable([(0, rule)]).matching(name, A):
            kinds = {ReplyKind.NODATA: NODATA, ReplyKind.DROP: DROP, ReplyKind.NXDOMAIN: BLOCK}
            actions.add(PASS if rule.allows else kinds[rule.reply.kind] if rule.reply else BLOCK)
    return actions


@settings(max_examples=500)
@given(ZONES, st.lists(st.lists(LABELS, min_size=1, max_size=4).map(".".join), min_size=1, max_size=10))
def test_random_zones_agree_with_the_nearest_trigger(
    tmp_path_factory: pytest.TempPathFactory, zone: dict[tuple[str, bool], str], names: list[str]
) -> None:
    """One action and no other; but for names below a blocked one, which ours goes on blocking with the rest."""
    lines = [f"{'*.' if wild else ''}{name} CNAME {target}\n" for (name, wild), target in zone.items()]
    entries, report = read_with(read_rpz, tmp_path_factory.mktemp("rpz"), HEADER + "".join(lines))

    assert not report.skipped
    for name in names:
        theirs, ours = as_zones_have_it(zone, name), as_entries_have_it(entries, name)
        assert ours == {theirs} if theirs else ours <= {BLOCK}, name


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.text(st.sampled_from('a.*@$\\"();\t 01ACNMETXrpz-i'), max_size=40).map(str.encode),
            st.sampled_from([b"a.example", b" TXT (", b'"', b"$ORIGIN", b"$ORIGIN .", b"a CNAME .", b" A 192.0.2.1"]),
        ),
        max_size=12,
    )
)
def test_no_bytes_stop_the_reader(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("rpz") / "zone"
    path.write_bytes(HEADER.encode() + b"first.example CNAME .\n" + b"; note\n" * 800 + b"\n".join(lines) + b"\n")
    report = ListReport()

    entries = list(read_rpz(path, report))

    assert entries[0] == exact("first.example")
    assert set(report.skipped) <= set(REASONS)

"""Adblock lists come to names, addresses and rules; what DNS cannot see is told with its line, never widened."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.lists import adblock
from filter.lists.adblock import parse_rule, read_adblock
from filter.lists.adblock_syntax import cancels
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
from filter.lists.refused import RuleRefused
from filter.lists.source import REASONS, ListReport
from filter.rules import RuleTable
from tests.filter.lists.files import exact, read_with

A, CNAME, PTR, MX, TXT, AAAA, SRV, SVCB, HTTPS = 1, 5, 12, 15, 16, 28, 33, 64, 65


def below(name: str) -> NameEntry:
    return NameEntry(name, Match.BELOW)


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("||example.org^", "example.org"),
        ("||EXAMPLE.Org^", "example.org"),
        ("||münchen.example^", "xn--mnchen-3ya.example"),
        ("||_dns.example.org^", "_dns.example.org"),
        ("||example.org^|", "example.org"),
        ("||example.org|", "example.org"),
        ("||example.org^*", "example.org"),
        ("||example.org/*", "example.org"),
        ("||example.org", "example.org"),
        ("||printer^", "printer"),
        ("||example.org^\t# why", "example.org"),
        ("|example.org^", exact("example.org")),
        ("|example.org|", exact("example.org")),
        ("example.org", exact("example.org")),
        ("printer", exact("printer")),
        ("-banner.example.org", exact("-banner.example.org")),
        ("banner-.example.org", exact("banner-.example.org")),
        ("||-banner.example.org^", "-banner.example.org"),
        ("www.example.org.", exact("www.example.org")),
        ("*.example.org", below("example.org")),
        (".example.org^", below("example.org")),
        ("||*.example.org^", below("example.org")),
        ("@@||example.org^", NameEntry("example.org", allows=True)),
        ("@@example.org", NameEntry("example.org", allows=True)),
        ("@@|example.org^", NameEntry("example.org", Match.EXACT, allows=True)),
        ("||example.org^$important", NameEntry("example.org", important=True)),
        ("@@||example.org^$important", NameEntry("example.org", allows=True, important=True)),
        ("8.8.8.8", AddressEntry("8.8.8.8/32")),
        ("||8.8.8.8^", AddressEntry("8.8.8.8/32")),
        ("@@||8.8.8.8^", AddressEntry("8.8.8.8/32", allows=True)),
        ("2001:db8::7", AddressEntry("2001:db8::7/128")),
        ("||[2606:4700::1111]^", AddressEntry("2606:4700::1111/128")),
    ],
)
def test_a_line_comes_to_one_entry(line: str, entry: Entry) -> None:
    assert parse_rule(line) == (entry,)


@pytest.mark.parametrize("line", ["", "  ", "! note", "# note", "#", "[Adblock Plus 2.0]", "||example.org^$badfilter"])
def test_a_line_comes_to_nothing(line: str) -> None:
    assert parse_rule(line) == ()


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("test*.example.org^", r"test.*\.example\.org$"),
        ("exam*.com", r"exam.*\.com"),
        ("||ads.", r"(?:^|\.)ads\."),
        ("||ads*.example^", r"(?:^|\.)ads.*\.example$"),
        ("|example.org", r"^example\.org"),
        ("ample.org^", r"ample\.org$"),
        ("/tracker.", r"^tracker\."),
        ("://198.51.", r"^198\.51\."),
        ("https://tracker*", "^tracker"),
        ("*banner*", "banner"),
        (r"/^ads[0-9]+\./", r"(?i)^ads[0-9]+\."),
        (r"/^ADS\d\./$important", r"(?i)^ADS\d\."),
        ("/ads$/", "(?i)ads$"),
        ("|.^", r"^\.?$"),
    ],
)
def test_what_no_name_can_say_is_a_pattern(line: str, pattern: str) -> None:
    (rule,) = parse_rule(line)

    assert isinstance(rule, RuleEntry)
    assert (rule.text, rule.pattern, rule.anchor) == (line, pattern, None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("||example.org^$client=127.0.0.1", "not_applicable_client"),
        ("||example.org^$client='Frank\\'s\\, laptop'", "not_applicable_client"),
        ("/$client=127.0.0.1", "not_applicable_client"),
        ("||example.org^$ctag=device_pc|device_phone", "not_applicable_client"),
        ("||example.org^$third-party", "unsupported_modifier"),
        ("@@||example.org^$~third-party,important", "unsupported_modifier"),
        ("||example.org^$important=1", "unsupported_modifier"),
        ("||example.org^$dnstype=NOPE", "unsupported_modifier"),
        ("||example.org^$dnstype=", "unsupported_modifier"),
        ("||example.org^$denyallow=*.org", "unsupported_modifier"),
        ("||example.org^$dnsrewrite", "unsupported_modifier"),
        ("||example.org^$dnsrewrite=", "unsupported_modifier"),
        ("8.8.8.8$dnstype=A", "unsupported_modifier"),
        ("/regex/$replace=/a/b/", "unsupported_modifier"),
        ("||example.org/ads.js", "path_rule"),
        ("||example.org/", "path_rule"),
        ("||example.org:8080^", "path_rule"),
        ("/banner/ads", "path_rule"),
        ("^example.org^", "path_rule"),
        ("?id=*", "path_rule"),
        (r"/^https?:\/\/ads\./", "path_rule"),
        ("example.org##.banner", "cosmetic_rule"),
        ("##.banner", "cosmetic_rule"),
        ("example.org#@#.banner", "cosmetic_rule"),
        ("example.org#$#body { }", "cosmetic_rule"),
        ("example.org$$script", "cosmetic_rule"),
        ("<!DOCTYPE html>", "html"),
        ("@@", "unsupported_syntax"),
        (r"/(?=a)ads/", "bad_pattern"),
        (r"/(a)\1/", "bad_pattern"),
        ("/ads(/", "bad_pattern"),
        ("/(x{100}){100}/", "pattern_too_large"),
        ("*é*", "bad_pattern"),
        ("*", "too_wide"),
        ("||", "too_wide"),
        ("||*^", "too_wide"),
        ("@@||*^", "too_wide"),
        ("//", "too_wide"),
        ("/.*/", "too_wide"),
        ("@@/.*/", "too_wide"),
        (r"/\.com$/", "too_wide"),
        ("*.fr^|", "public_suffix"),
        ("*.0.0.0", "ip_address"),
        ("0.0.0.0 *.example.org", "invalid_name"),
        ("0.0.0.0 example..", "invalid_name"),
        ("0.0.0.0 a.example..", "invalid_name"),
        ("||com^", "public_suffix"),
        ("@@||gouv.fr^", "public_suffix"),
        ("co.uk", "public_suffix"),
        ("192.168.1.1", "ip_address"),
        ("fe80::1", "ip_address"),
        ("::1", "ip_address"),
        ("||0.0.0.0^", "ip_address"),
        ("||a..b^", "invalid_name"),
        (">>><<<", "invalid_name"),
        ("Page not found", "invalid_name"),
        ("::1 localhost", "local_name"),
        ("127.0.0.1 ip6-allnodes", "local_name"),
        ("999.1.1.1 example.org", "bad_address"),
        ("0.0.0.0 com", "public_suffix"),
    ],
)
def test_a_line_is_refused(line: str, reason: str) -> None:
    with pytest.raises(RuleRefused) as refusal:
        parse_rule(line)

    assert refusal.value.reason == reason
    assert reason in REASONS


def test_types_and_spared_names_narrow_a_rule() -> None:
    (rule,) = parse_rule("||example.org^$dnstype=~a|AAAA|TYPE65,denyallow=b.example.org|com,important")

    assert rule == RuleEntry(
        "||example.org^$dnstype=~a|AAAA|TYPE65,denyallow=b.example.org|com,important",
        anchor="example.org",
        types=(AAAA, HTTPS),
        not_types=(A,),
        except_below=("b.example.org", "com"),
        important=True,
    )


@pytest.mark.parametrize("line", ["*$denyallow=com|net", "||*^$dnstype=HTTPS", "$dnstype=AAAA", "||com^$dnstype=HTTPS"])
def test_a_rule_about_everything_is_taken_when_something_narrows_it(line: str) -> None:
    (rule,) = parse_rule(line)

    assert isinstance(rule, RuleEntry)
    assert rule.pattern is None


@pytest.mark.parametrize(
    ("value", "reply"),
    [
        ("192.0.2.1", RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(A, "192.0.2.1"),))),
        ("2001:DB8::1", RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(AAAA, "2001:db8::1"),))),
        ("Other.Example.", RuleReply(ReplyKind.CNAME, "other.example")),
        ("othercname", RuleReply(ReplyKind.CNAME, "othercname")),
        ("NOERROR", RuleReply(ReplyKind.NODATA)),
        ("NXDOMAIN", RuleReply(ReplyKind.NXDOMAIN)),
        ("REFUSED", RuleReply(ReplyKind.REFUSED)),
        ("SERVFAIL", RuleReply(ReplyKind.REFUSED)),
        ("noerror;;", RuleReply(ReplyKind.NODATA)),
        ("NXDOMAIN;;", RuleReply(ReplyKind.NXDOMAIN)),
        ("REFUSED;A;192.0.2.1", RuleReply(ReplyKind.REFUSED)),
        ("NOERROR;A;192.0.2.1", RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(A, "192.0.2.1"),))),
        ("NOERROR;CNAME;other.example", RuleReply(ReplyKind.CNAME, "other.example")),
        ("NOERROR;MX;32 mail.example", RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(MX, "32 mail.example."),))),
        ("NOERROR;PTR;host.example.", RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(PTR, "host.example."),))),
        (
            r"NOERROR;TXT;say \, it costs $5 \"é\"",
            RuleReply(
                ReplyKind.RECORDS,
                records=(ReplyRecord(TXT, r'"say , it costs $5 \\\"\195\169\\\""'),),
            ),
        ),
        (
            "NOERROR;SRV;10 60 8080 host.example",
            RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(SRV, "10 60 8080 host.example."),)),
        ),
        (
            "NOERROR;HTTPS;1 . alpn=h3 port=8443 ipv4hint=192.0.2.1",
            RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(HTTPS, "1 . alpn=h3 port=8443 ipv4hint=192.0.2.1"),)),
        ),
        (
            "NOERROR;SVCB;30 host.example alpn=h3 dohpath=/dns-query{?dns}",
            RuleReply(
                ReplyKind.RECORDS,
                records=(ReplyRecord(SVCB, "30 host.example. alpn=h3 dohpath=/dns-query{?dns}"),),
            ),
        ),
    ],
)
def test_rewrites(value: str, reply: RuleReply) -> None:
    (rule,) = parse_rule(f"||example.org^$dnsrewrite={value}")
    (lifting,) = parse_rule(f"@@||example.org^$dnsrewrite={value}")

    assert isinstance(rule, RuleEntry)
    assert (rule.reply, rule.allows, rule.lifts_replies) == (reply, False, False)
    assert isinstance(lifting, RuleEntry)
    assert (lifting.reply, lifting.allows, lifting.lifts_replies) == (reply, True, True)


@pytest.mark.parametrize(
    "value",
    [
        *("bad;syntax", "NOPE;A;192.0.2.1", "NOERROR;NOPE;x", "NOERROR;A;x", "NOERROR;A;::1", "NOERROR;AAAA;192.0.2.1"),
        *("NOERROR;MX;mail", "NOERROR;MX;x mail", "NOERROR;MX;10 !!bad", "NOERROR;MX;65536 mail", "NOERROR;CNAME;a b"),
        *("NOERROR;SRV;30 60 mail", "NOERROR;SRV;30 x 0 a", "NOERROR;SRV;30 60 x a", "NOERROR;HTTPS;bad a", "FORMERR"),
        *("NOERROR;HTTPS;1", "NOERROR;HTTPS;1 a alpn", "NOERROR;HTTPS;1 a b=c", "NOERROR;HTTPS;1 a port=x", "BADKEY"),
        *("NOERROR;SVCB;1 a ipv4hint=::1", "NOERROR;NS;a", "NOTIMP;;", "NXRRSET", "!!", "-a", "a..b", "NOERROR;PTR;"),
        f"NOERROR;TXT;{'x' * 256}",
    ],
)
def test_a_wrong_rewrite_is_refused(value: str) -> None:
    with pytest.raises(RuleRefused) as refusal:
        parse_rule(f"||example.org^$dnsrewrite={value}")

    assert refusal.value.reason == "unsupported_modifier"


@pytest.mark.parametrize("line", ["@@||example.org^$dnsrewrite", "@@||example.org^$dnsrewrite="])
def test_one_exception_lifts_every_rewrite(line: str) -> None:
    (rule,) = parse_rule(line)

    assert isinstance(rule, RuleEntry)
    assert (rule.reply, rule.allows, rule.lifts_replies) == (None, True, True)


def test_hosts_lines_block_each_name_alone_and_may_lead_it_elsewhere() -> None:
    assert parse_rule("0.0.0.0 a.example.org\tB.example.org # note") == (exact("a.example.org"), exact("b.example.org"))
    assert parse_rule("::1 printer") == (exact("printer"),)
    assert parse_rule("198.51.100.7 search.example") == (
        RuleEntry(
            "198.51.100.7 search.example",
            anchor="search.example",
            match=Match.EXACT,
            reply=RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(A, "198.51.100.7"),)),
        ),
    )


def test_a_list_is_read_with_an_account_of_every_line(tmp_path: Path) -> None:
    entries, report = read_with(
        read_adblock,
        tmp_path,
        b"\xef\xbb\xbf[Adblock Plus 2.0]\r\n! Title: test\r\n\r\n||one.example^\r\n0.0.0.0 localhost two.example\n"
        b"@@||three.example^\n8.8.8.8\n||four.example^$third-party\n/ads(/\n/^ads/\n##.banner\n# note\n"
        b"||five.example^\xff\n" + b"x" * 2000 + b"\n||com^\n||last.example^",
    )

    assert entries == [
        "one.example",
        exact("two.example"),
        NameEntry("three.example", allows=True),
        AddressEntry("8.8.8.8/32"),
        RuleEntry("/^ads/", pattern="(?i)^ads"),
        "last.example",
    ]
    assert (report.lines, report.names, report.addresses, report.rules) == (12, 4, 1, 1)
    assert {reason: numbers(report, reason) for reason in report.skipped} == {
        "local_name": [5],
        "unsupported_modifier": [8],
        "bad_pattern": [9],
        "cosmetic_rule": [11],
        "not_text": [13],
        "too_long": [14],
        "public_suffix": [15],
    }


def numbers(report: ListReport, reason: str) -> list[int]:
    return [number for number, _ in report.examples[reason]]


def test_badfilter_takes_back_rules_before_and_after_it(tmp_path: Path) -> None:
    entries, report = read_with(
        read_adblock,
        tmp_path,
        "||one.example^\n||one.example^$badfilter\n||two.example^$badfilter\n||two.example^\n||three.example^\n"
        "||four.example^$important,dnstype=A|AAAA\n||four.example^$badfilter\n"
        "||five.example^$badfilter,dnstype=AAAA|A,important\n||five.example^$important,dnstype=A|AAAA\n"
        "@@||six.example^$badfilter\n||six.example^\n",
    )

    assert [entry if isinstance(entry, str) else getattr(entry, "anchor", "") for entry in entries] == [
        "three.example",
        "four.example",
        "six.example",
    ]
    assert numbers(report, "disabled_rule") == [1, 4, 9]


@pytest.mark.parametrize(
    ("badfilter", "rule", "taken_back"),
    [
        ("*$a,domain=x|y,badfilter", "*$domain=y|x,a", True),
        ("*$domain=x,badfilter", "*$a,domain=x", False),
        ("@@||x.example^$badfilter", "||x.example^", False),
        ("||x.example^", "||x.example^", False),
        ("*$client=::/63,badfilter", "*$client=::/64", False),
        ("||X.example^$badfilter", "||x.example^", True),
    ],
)
def test_what_badfilter_takes_back(badfilter: str, rule: str, taken_back: bool) -> None:
    assert cancels(badfilter, rule) is taken_back


def test_the_word_badfilter_is_found_across_pieces_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filter.lists.lines.CHUNK", 4)

    entries, _ = read_with(read_adblock, tmp_path, "||a.example^\n||a.example^$badfilter\n")

    assert entries == []


def test_a_list_of_rules_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adblock, "MOST_RULES", 2)

    entries, report = read_with(read_adblock, tmp_path, "/^a1/\n/^a2/\n/^a3/\n||one.example^\n")

    assert len(entries) == 3
    assert numbers(report, "too_many_rules") == [3]
    assert "too_many_rules" in REASONS


LABELS = st.sampled_from(["ad", "ads", "x", "example", "a-b", "com", "org"])
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
BODIES = st.lists(st.one_of(LABELS, st.sampled_from([".", ".", "*"])), min_size=1, max_size=5).map("".join)
MASKS = st.builds(
    lambda head, body, tail: f"{head}{body}{tail}",
    st.sampled_from(["", "||", "|", "*", "://", "/"]),
    BODIES,
    st.sampled_from(["", "^", "|", "^|", "*", "^*", "/*"]),
)


def as_engines_match(mask: str, host: str) -> bool:
    """How browser engines read a mask: as an expression on ``http://host`` where it starts like an address, on the
    host alone otherwise."""
    if mask.endswith("/*"):
        mask = f"{mask[:-2]}^"
    is_start = re.fullmatch(r"/[a-z0-9.-]{2,}\.", mask) is not None
    subject = f"http://{host}" if mask.startswith(("||", "://")) or is_start else host
    head, tail = "", ""
    if mask.startswith("||"):
        head, mask = r"^http://([a-z0-9-_.]+\.)?", mask[2:]
    elif mask.startswith("|"):
        head, mask = "^", mask[1:]
    if mask.endswith("|"):
        mask, tail = mask[:-1], "$"
    body = re.escape(mask).replace(r"\*", ".*").replace(r"\^", "([^a-z0-9.%_-]|$)").replace("^", "([^a-z0-9.%_-]|$)")
    body = body.replace("[([^a-z0-9.%_-]|$)a-z", "[^a-z")
    return re.search(head + body + tail, subject) is not None


def speaks(entries: tuple[Entry, ...], host: str) -> bool:
    """Whether one of the entries is about the host."""
    rules: list[tuple[int, RuleEntry]] = []
    for entry in entries:
        name = NameEntry(entry) if isinstance(entry, str) else entry
        if isinstance(name, NameEntry):
            rules.append((0, RuleEntry("", anchor=name.name, match=name.match)))
        elif isinstance(name, RuleEntry):
            rules.append((0, name))
    return bool(RuleTable(rules).matching(host, A))


@settings(max_examples=1000)
@given(MASKS, st.lists(HOSTS, min_size=1, max_size=8))
def test_a_mask_never_matches_more_than_engines_let_it(mask: str, hosts: list[str]) -> None:
    """And exactly as much where it says how the name ends."""
    try:
        entries = parse_rule(mask)
    except RuleRefused:
        return
    for host in hosts:
        ours, theirs = speaks(entries, host), as_engines_match(mask, host)
        assert theirs or not ours, host
        if mask.rstrip("*") != mask or mask.endswith(("^", "|")):
            assert ours == theirs, host


LINES = st.text(st.one_of(st.sampled_from("|^*@$/,=~.#!;:[]()\\ \tae1"), st.characters(codec="utf-8")), max_size=60)
STARTS = st.sampled_from(["", "||example.org^$", "||example.org^$dnsrewrite=", "/", "@@||", "0.0.0.0 ", "$denyallow="])


@settings(max_examples=500)
@given(STARTS, LINES)
def test_no_line_is_more_than_refused(start: str, line: str) -> None:
    refused = ""
    try:
        parse_rule(start + line)
    except RuleRefused as refusal:
        refused = refusal.reason

    assert not refused or refused in REASONS


@settings(max_examples=300)
@given(st.lists(st.one_of(st.binary(max_size=40), LINES.map(str.encode)), max_size=10))
def test_no_bytes_stop_the_reader(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    content = b"||first.example^\n" + b"\n".join(line.replace(b"\x00", b"") for line in lines) + b"\n||last.example^\n"
    path = tmp_path_factory.mktemp("adblock") / "list.txt"
    path.write_bytes(b"! list\n" * 600 + content)  # beyond the head, where binary content refuses the whole file
    report = ListReport()

    entries = list(read_adblock(path, report))

    assert entries[0] == "first.example" or report.skipped["disabled_rule"]
    assert set(report.skipped) <= set(REASONS)

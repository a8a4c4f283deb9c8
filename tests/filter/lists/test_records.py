"""Records of lists are checked when they are read: whatever is accepted can be answered, and others can read it."""

import dns.rdata
import pytest
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.lists.rdata import pack_record
from filter.lists.records import TYPES, WRITERS, read_record, read_target, read_type
from filter.lists.refused import RuleRefused

A, CNAME, PTR, MX, TXT, AAAA, SRV, SVCB, HTTPS = 1, 5, 12, 15, 16, 28, 33, 64, 65


def as_others_read_it(qtype: int, data: bytes) -> str:
    return dns.rdata.from_wire(RdataClass.IN, RdataType.make(qtype), data, 0, len(data)).to_text()


@pytest.mark.parametrize(
    ("qtype", "fields", "value"),
    [
        (A, ["192.0.2.1"], "192.0.2.1"),
        (AAAA, ["2001:DB8::1"], "2001:db8::1"),
        (CNAME, ["Other.Example"], "other.example."),
        (PTR, ["host.example."], "host.example."),
        (PTR, ["."], "."),
        (MX, ["010", "mail"], "10 mail."),
        (SRV, ["10", "60", "8080", "_host.example"], "10 60 8080 _host.example."),
        (TXT, ['a "b" \\ c', "", "é\x00"], r'"a \"b\" \\ c" "" "\195\169\000"'),
        (HTTPS, ["0", "other.example"], "0 other.example."),
        (HTTPS, ["00", "other.example", "port=1"], "0 other.example."),
        (
            HTTPS,
            ["1", ".", "port=8443", "alpn=h3,h2", "mandatory=alpn,port"],
            "1 . port=8443 alpn=h3,h2 mandatory=alpn,port",
        ),
        (
            SVCB,
            ["1", "a.example", "alpn=h3", "no-default-alpn", "key65000=x"],
            "1 a.example. alpn=h3 no-default-alpn key65000=x",
        ),
    ],
)
def test_a_record_is_written_as_zone_files_have_it(qtype: int, fields: list[str], value: str) -> None:
    record = read_record(qtype, fields)

    assert (record.qtype, record.value) == (qtype, value)
    assert (
        as_others_read_it(qtype, pack_record(record))
        == dns.rdata.from_text("IN", RdataType.make(qtype), value, relativize=False).to_text()
    )


@pytest.mark.parametrize(
    ("qtype", "fields"),
    [
        (A, []),
        (A, ["192.0.2.1", "192.0.2.2"]),
        (A, ["192.0.2.256"]),
        (AAAA, ["fe80::1%eth0"]),
        (CNAME, ["a..b"]),
        (CNAME, ["x" * 64]),
        (CNAME, [".".join(["x" * 60] * 5)]),
        (MX, ["-1", "mail"]),
        (MX, ["²", "mail"]),
        (TXT, []),
        (TXT, ["x" * 256]),
        (TXT, ["x" * 255] * 300),
        (HTTPS, ["1", ".", "alpn="]),
        (HTTPS, ["1", ".", "alpn=h3,,h2"]),
        (HTTPS, ["1", ".", "alpn=h3", "alpn=h2"]),
        (HTTPS, ["1", ".", "mandatory=alpn"]),
        (HTTPS, ["1", ".", "mandatory=mandatory"]),
        (HTTPS, ["1", ".", "no-default-alpn"]),
        (HTTPS, ["1", ".", "key3=x"]),
        (HTTPS, ["1", ".", "key70000=x"]),
        (HTTPS, ["1", ".", "ech=AEX+DQ=="]),
        (HTTPS, ["1", ".", 'alpn="h3"']),
        (HTTPS, ["1", ".", "alpn=" + "x" * 256]),
        (2, ["ns.example"]),
        (6, ["a b 1 2 3 4 5"]),
    ],
)
def test_a_wrong_record_is_refused(qtype: int, fields: list[str]) -> None:
    with pytest.raises(RuleRefused) as refusal:
        read_record(qtype, fields)

    assert refusal.value.reason == "bad_record"


def test_types_by_name_and_number() -> None:
    assert [read_type(name) for name in ("a", "AAAA", " https ", "TYPE65", "type65535")] == [
        A,
        AAAA,
        HTTPS,
        HTTPS,
        65535,
    ]
    assert TYPES["SVCB"] == SVCB
    for wrong in ("", "nope", "TYPE65536", "TYPE", "TYPE²"):
        with pytest.raises(RuleRefused):
            read_type(wrong)
    with pytest.raises(RuleRefused):
        read_target("*.example")


WORDS = st.one_of(
    st.sampled_from(
        ["0", "1", "65535", ".", "a", "a.example.", "192.0.2.1", "::1", "alpn=h2", "mandatory=alpn", "key9=x"]
    ),
    st.sampled_from(["port=1", "ipv4hint=192.0.2.1", "ipv6hint=::1,::2", "no-default-alpn", "dohpath=/q{?dns}"]),
    st.text(max_size=12),
)


@settings(max_examples=1000)
@given(st.sampled_from(sorted(WRITERS)), st.lists(WORDS, max_size=5))
def test_whatever_is_accepted_can_be_answered(qtype: int, fields: list[str]) -> None:
    try:
        record = read_record(qtype, fields)
    except RuleRefused:
        return

    assert as_others_read_it(qtype, pack_record(record))

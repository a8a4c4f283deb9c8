"""A school's own answers, as tables of cases."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filter.deciding.rewrites import RewriteTable
from filter.lists.entries import ReplyRecord
from filter.lists.rdata import RecordInvalid, pack_name, pack_record
from filter.settings import RewriteSettings
from tests.filter.judging import AAAA, HTTPS, TXT, A

MX, PTR, SRV = 15, 12, 33
TABLE = RewriteTable(
    [
        RewriteSettings("hote.example", ("192.0.2.1", "192.0.2.2", "2001:db8::1")),
        RewriteSettings("*.hote.example", ("192.0.2.3",)),
        RewriteSettings("*.profond.hote.example", ("192.0.2.4",)),
        RewriteSettings("www.hote.example", ("hote.example",)),
        RewriteSettings("alias.example", ("ailleurs.example",)),
        RewriteSettings("un.example", ("deux.example",)),
        RewriteSettings("deux.example", ("x.hote.example",)),
        RewriteSettings("*.repli.example", ("fixe.repli.example",)),
        RewriteSettings("libre.hote.example", ("libre.hote.example",)),
        RewriteSettings("*.libre.hote.example", ("*.libre.hote.example",)),
        RewriteSettings("garde.example", ("192.0.2.5", "AAAA")),
        RewriteSettings("seul.example", ("A",)),
        RewriteSettings("a.boucle.example", ("b.boucle.example",)),
        RewriteSettings("b.boucle.example", ("a.boucle.example",)),
        RewriteSettings("c.boucle.example", ("a.boucle.example",)),
        RewriteSettings("imprimante", ("10.0.0.9",)),
    ]
)


@pytest.mark.parametrize(
    ("name", "qtype", "target", "addresses"),
    [
        ("hote.example", A, None, ["192.0.2.1", "192.0.2.2"]),
        ("hote.example", AAAA, None, ["2001:db8::1"]),
        ("hote.example", HTTPS, None, []),  # no data: nothing leads around the rewrite
        ("x.hote.example", A, None, ["192.0.2.3"]),
        ("x.hote.example", AAAA, None, []),
        ("y.x.hote.example", A, None, ["192.0.2.3"]),
        ("x.profond.hote.example", A, None, ["192.0.2.4"]),  # the deeper wildcard
        ("profond.hote.example", A, None, ["192.0.2.3"]),  # a wildcard is not about its own name
        ("www.hote.example", A, "hote.example", ["192.0.2.1", "192.0.2.2"]),  # the exact name beats the wildcard
        ("alias.example", A, "ailleurs.example", None),
        ("alias.example", TXT, "ailleurs.example", None),
        ("un.example", A, "x.hote.example", ["192.0.2.3"]),
        ("z.repli.example", A, "fixe.repli.example", None),
        ("garde.example", A, None, ["192.0.2.5"]),
        ("seul.example", AAAA, None, []),
        ("imprimante", A, None, ["10.0.0.9"]),
        ("c.boucle.example", A, "b.boucle.example", None),  # a loop: followed so far, then left to the upstream
    ],
)
def test_what_is_rewritten(name: str, qtype: int, target: str | None, addresses: list[str] | None) -> None:
    found = TABLE.find(name, qtype)

    assert found is not None
    rewrite = found[1]
    assert rewrite.target == target
    assert rewrite.is_final == (addresses is not None)
    assert [record.value for record in rewrite.records] == (addresses or [])


@pytest.mark.parametrize(
    ("name", "qtype"),
    [
        ("libre.hote.example", A),
        ("x.libre.hote.example", A),
        ("garde.example", AAAA),
        ("seul.example", A),
        ("fixe.repli.example", A),
        ("autre.example", A),
        ("pashote.example", A),
        ("example", A),
        ("", A),
        ("a.boucle.example", A),
    ],
)
def test_what_the_upstream_answers(name: str, qtype: int) -> None:
    assert TABLE.find(name, qtype) is None


NAMES = st.sampled_from(["a.example", "b.example", "c.b.example", "*.b.example", "*.example", "x"])


@given(st.dictionaries(NAMES, NAMES | st.sampled_from(["192.0.2.1", "::1", "A", "AAAA"])), NAMES)
def test_every_table_ends(pairs: dict[str, str], name: str) -> None:
    """Whatever leads wherever: a chain of aliases is bounded, and never leads a name to itself."""
    found = RewriteTable(RewriteSettings(n, (a,)) for n, a in pairs.items()).find(name, A)

    assert found is None or found[1].target != name


@pytest.mark.parametrize(
    ("qtype", "value", "packed"),
    [
        (A, "192.0.2.1", bytes([192, 0, 2, 1])),
        (AAAA, "::ffff:127.0.0.1", ip_address("::ffff:127.0.0.1").packed),
        (PTR, "a.example.", b"\x01a\x07example\0"),
        (PTR, ".", b"\0"),
        (MX, "10 mx.example.", b"\0\x0a\x02mx\x07example\0"),
        (SRV, "1 2 443 h.example.", b"\0\x01\0\x02\x01\xbb\x01h\x07example\0"),
        (TXT, '"un \\"mot\\"" "\\195\\169"', b'\x08un "mot"\x02\xc3\xa9'),
        (TXT, '""', b"\0"),
        (HTTPS, "1 . alpn=h3,h2", b"\0\x01\0\0\x01\0\x06\x02h3\x02h2"),
        # parameters in the order of their keys, whatever the order in which they are written (RFC 9460)
        (HTTPS, "1 . port=443 alpn=h2", b"\0\x01\0\0\x01\0\x03\x02h2\0\x03\0\x02\x01\xbb"),
        (HTTPS, "1 . ipv4hint=192.0.2.1 no-default-alpn", b"\0\x01\0\0\x02\0\0\0\x04\0\x04\xc0\0\x02\x01"),
        (HTTPS, "1 d. dohpath=/q{?dns}", b"\0\x01\x01d\0\0\x07\0\x08/q{?dns}"),
    ],
)
def test_records_as_they_travel(qtype: int, value: str, packed: bytes) -> None:
    assert pack_record(ReplyRecord(qtype, value)) == packed


@pytest.mark.parametrize(
    ("qtype", "value"),
    [
        (A, "::1"),
        (A, "chat"),
        (MX, "mx.example."),
        (MX, "70000 a."),
        (HTTPS, "1 . inconnu=1"),
        (6, "x"),
        (TXT, '"' + "a" * 256 + '"'),
    ],
)
def test_records_that_are_none(qtype: int, value: str) -> None:
    with pytest.raises(RecordInvalid):
        pack_record(ReplyRecord(qtype, value))


@pytest.mark.parametrize("name", ["a" * 64, "a..b", ".".join(["a" * 63] * 4)])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="length"):
        pack_name(name)


def test_a_byte_that_no_host_name_has_survives() -> None:
    assert pack_name("a\\046b.example") == b"\x03a.b\x07example\0"

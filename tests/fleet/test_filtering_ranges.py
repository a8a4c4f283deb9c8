"""Ranges and entity tags, as RFC 9110 has them; the bytes are compared with a naive slice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.filtering.gateways.ranges import Span, Unsatisfiable, is_known, wanted_span

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", Span(0, 0)),
        ("bytes=2-4", Span(2, 4)),
        ("bytes=5-", Span(5, 9)),
        ("bytes=5-99", Span(5, 9)),
        ("bytes=-3", Span(7, 9)),
        ("bytes=-99", Span(0, 9)),
        ("Bytes = 1 - 2", Span(1, 2)),
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=4-2", None),
        ("bytes=0-1,3-4", None),  # several ranges: the whole is a legal answer
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=1" + "0" * 30 + "-", None),
    ],
)
def test_what_is_wanted_of_ten_bytes(header: str | None, span: Span | None) -> None:
    assert wanted_span(header, None, ETAG, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_behind_the_end(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        wanted_span(header, None, ETAG, 10)


@pytest.mark.parametrize(
    ("if_range", "honoured"),
    [(ETAG, True), (' "abc" ', True), ('"old"', False), ('W/"abc"', False), ("Tue, 24 Nov 2026 11:00:00 GMT", False)],
)
def test_a_range_of_another_version_is_no_range(if_range: str, honoured: bool) -> None:
    assert (wanted_span("bytes=1-", if_range, ETAG, 10) is not None) == honoured


@pytest.mark.parametrize(
    ("header", "known"),
    [(None, False), (ETAG, True), ('W/"abc"', True), ('"x", "abc"', True), ("*", True), ('"x"', False), ("abc", False)],
)
def test_what_the_caller_has_already(header: str | None, known: bool) -> None:
    assert is_known(header, ETAG) == known


@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
def test_spans_are_slices(size: int, first: int, last: int) -> None:
    content = bytes(range(size))
    try:
        span = wanted_span(f"bytes={first}-{last}", None, ETAG, size)
    except Unsatisfiable:
        assert first >= size
        return
    if span is None:
        assert last < first
    else:
        assert content[span.first : span.last + 1] == content[first : last + 1]
        assert span.length == len(content[first : last + 1])

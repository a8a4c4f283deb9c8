"""Wildcard lists, ``*.example.org`` on each line: the name is blocked with everything under it."""

from collections.abc import Iterator
from pathlib import Path

from filter.lists.domains import read_plain_line
from filter.lists.entries import Entry
from filter.lists.lines import read_raw_lines
from filter.lists.source import ListReport


def read_wildcards(path: Path, report: ListReport) -> Iterator[Entry]:
    """Names with a star in front, or without; a star anywhere else is no wildcard of DNS (RFC 4592) and is refused."""
    for number, line in read_raw_lines(path):
        if b"*" in line.partition(b"#")[0].strip().removeprefix(b"*."):
            report.lines += 1
            report.skip("bad_pattern", number, line.strip().decode("utf-8", "replace"))
        elif (entry := read_plain_line(number, line, report)) is not None:
            yield entry

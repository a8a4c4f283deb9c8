"""Wildcard lists: a star before a name, nowhere else."""

from pathlib import Path

import pytest

from filter.lists.wildcards import read_wildcards
from tests.filter.lists.files import read_with


def test_a_wildcard_is_the_name_and_what_is_under_it(tmp_path: Path) -> None:
    content = "# liste\n*.pub.example\n*.Trace.Example # note * ici\nmesure.example\n*.labo\n"

    entries, report = read_with(read_wildcards, tmp_path, content)

    assert entries == ["pub.example", "trace.example", "mesure.example", "labo"]
    assert (report.lines, report.names, dict(report.skipped)) == (4, 4, {})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("pub.*.example", "bad_pattern"),
        ("pub.*", "bad_pattern"),
        ("*.pub.*", "bad_pattern"),
        ("*pub.example", "bad_pattern"),
        ("*", "bad_pattern"),
        ("*.*.example", "bad_pattern"),
        ("*.fr", "public_suffix"),
        ("*.gouv.fr", "public_suffix"),
        ("*.", "invalid_name"),
    ],
)
def test_other_stars_are_reported(tmp_path: Path, line: str, reason: str) -> None:
    entries, report = read_with(read_wildcards, tmp_path, f"*.avant.example\n{line}\n")

    assert (entries, dict(report.skipped)) == (["avant.example"], {reason: 1})
    assert report.examples[reason] == [(2, line)]
    assert report.lines == 2

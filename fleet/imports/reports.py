"""What a file did or would do, as it is kept and handed out."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from fleet.importing import ImportReport, Verb
from fleet.table_file import write_table

MOST_KEPT = 20_000
"""Lines of a report that are kept of each kind; the rest is counted."""
REFUSED = "refusé"
Line: TypeAlias = tuple[int, str, str, str]
"""Where in the file, what happens to it, to what, and how or why."""
COLUMNS = ("ligne", "resultat", "quoi", "detail")


def as_json(report: ImportReport, rows: int) -> dict[str, Any]:
    """A report as the database keeps it."""
    return {
        "rows": rows,
        "applied": report.applied,
        "counts": {verb.name.lower(): report.count(verb) for verb in Verb},
        "unchanged": report.unchanged,
        "ignored": dict(report.ignored),
        "refused": len(report.errors),
        "errors": [[error.line, error.message] for error in report.errors[:MOST_KEPT]],
        "changes": [
            [change.line, change.verb.value, change.label, [str(each) for each in change.fields]]
            for change in report.changes[:MOST_KEPT]
        ],
    }


def as_csv(report: dict[str, Any]) -> bytes:
    """Every line that changes something or is refused, in the order of the file."""
    return write_table(COLUMNS, lines(report))


def lines(report: dict[str, Any]) -> list[Line]:
    """The same as values."""
    return sorted(_lines(report), key=lambda line: line[0])


def _lines(report: dict[str, Any]) -> Iterator[Line]:
    for line, verb, label, fields in report["changes"]:
        yield line, verb, label, " ; ".join(fields)
    for line, message in report["errors"]:
        yield line, REFUSED, "", message


def summary(report: dict[str, Any]) -> str:
    """``12 créés, 3 modifiés, 1 refusé``: in one line, for a job and a page."""
    told = [
        f"{number} {verb.value}{'s' if number > 1 else ''}"
        for verb in Verb
        if (number := report["counts"][verb.name.lower()])
    ]
    if report["refused"]:
        told.append(f"{report['refused']} refusé{'s' if report['refused'] > 1 else ''}")
    return ", ".join(told) or "rien à changer"

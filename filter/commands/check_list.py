"""`preau-filter check-list`: what a list holds and what would be left out, before it blocks anything."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from filter.french import spaced
from filter.lists.lines import ListRefused
from filter.lists.report import Hit, ListCheck, check_list
from filter.lists.source import REASONS

PROBLEMS = (ListRefused,)
KINDS = {
    "names": "noms, avec ce qui est au-dessous",
    "exact": "noms seuls, sans ce qui est au-dessous",
    "below": "noms dont seul ce qui est au-dessous est visé",
    "exceptions": "exceptions",
    "addresses": "adresses et réseaux",
    "rules": "règles (motifs, types, réponses)",
}
BEYOND = {"urls": "adresses de pages", "expressions": "expressions"}
MOST_HITS = 20
"""Popular names that the text shows, of each group; JSON has them all."""


def run(args: argparse.Namespace) -> int:
    checks = check_list(Path(args.file), args.format)
    sys.stdout.write(as_json(checks) if args.json else as_text(checks))
    return 0


def as_values(check: ListCheck) -> dict[str, object]:
    report = check.report
    return {
        "list": check.title,
        "format": check.format,
        "why": check.why,
        "lines": report.lines,
        "entries": {kind: check.kinds.get(kind, 0) for kind in KINDS},
        "duplicates": {"count": check.duplicates, "examples": list(check.repeated)},
        "skipped": {
            reason: {
                "count": count,
                "meaning": REASONS[reason],
                "examples": [{"line": number, "text": text} for number, text in report.examples.get(reason, [])],
            }
            for reason, count in report.skipped.most_common()
        },
        "public_suffixes": report.skipped["public_suffix"],
        "not_enforceable": {kind: count for kind, count in report.not_enforceable.items() if count},
        "popular": [hit._asdict() for hit in check.popular],
        "warnings": report.warnings,
    }


def as_json(checks: list[ListCheck]) -> str:
    """One list is one object; a UT1 tree is ``{"format": "ut1", "lists": […]}``."""
    values = [as_values(check) for check in checks]
    whole = {"format": "ut1", "lists": values} if checks[0].format == "ut1" else values[0]
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def as_text(checks: list[ListCheck]) -> str:
    """In French, one list after the other."""
    return "\n".join("\n".join(tell(check)) + "\n" for check in checks)


def tell(check: ListCheck) -> Iterator[str]:
    """The lines about one list."""
    report = check.report
    yield f"{check.title} : format {check.format} ({check.why})"
    yield f"{spaced(report.lines):>12}  lignes, commentaires à part"
    for kind, words in KINDS.items():
        if count := check.kinds.get(kind):
            yield f"{spaced(count):>12}  {words}"
    if check.duplicates:
        yield f"{spaced(check.duplicates):>12}  répétitions ({', '.join(check.repeated)})"
    for kind, count in report.not_enforceable.items():
        if count:
            yield f"{spaced(count):>12}  {BEYOND[kind]}, qu’aucun filtre DNS ne peut appliquer"
    yield from tell_skipped(check)
    yield from tell_popular(check.popular)
    yield from (f"Attention : {warning}." for warning in report.warnings)


def tell_skipped(check: ListCheck) -> Iterator[str]:
    """Why lines were left out, with examples."""
    if check.report.skipped:
        yield "Lignes écartées :"
    for reason, count in check.report.skipped.most_common():
        yield f"{spaced(count):>12}  {REASONS[reason]}"
        for number, text in check.report.examples.get(reason, []):
            yield f"{'':14}ligne {number} : {printable(text)}"


def tell_popular(hits: tuple[Hit, ...]) -> Iterator[str]:
    """The names that people would miss."""
    for group in dict.fromkeys(hit.group for hit in hits):
        found = [hit for hit in hits if hit.group == group]
        yield f"Noms très demandés qu’elle bloquerait ({group}) : {spaced(len(found))}"
        for hit in found[:MOST_HITS]:
            yield f"{'':14}{hit.name}" + (f" (par {hit.entry})" if hit.entry != hit.name else "")
        if len(found) > MOST_HITS:
            yield f"{'':14}… et {spaced(len(found) - MOST_HITS)} autres"


def printable(text: str) -> str:
    """A list's line on a terminal: what is not to be shown is escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)

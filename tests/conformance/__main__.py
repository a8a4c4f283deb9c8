"""``python -m tests.conformance DIR``: every case file of a folder through the product's own code."""

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conformance import answers, dnsrewrites, matching, packets, parsing, pihole, scenarios, settings
from tests.conformance.cases import FileResult, Outcome, Runner, each, run_file
from tests.conformance.differences import TABLE, Difference, find_difference, read_differences

KINDS: Mapping[str, Runner] = {
    "badfilter_pair": each(matching.check_badfilter_pair),
    "dnsrewrite": each(dnsrewrites.check_dnsrewrite),
    "dnsrewrite_parse": each(dnsrewrites.check_parse),
    "group_policy": each(matching.check_group_policy),
    "hostname_validation": each(parsing.check_hostname),
    "list_parse": each(parsing.check_list),
    "list_parse_full": each(parsing.check_list_full),
    "live_dns": each(pihole.check_live),
    "match": each(matching.check_match),
    "parse": each(parsing.check_parse),
    "parse_client": each(parsing.check_clients),
    "parse_ctag": each(parsing.check_clients),
    "rebinding": each(answers.check_rebinding),
    "regex": each(pihole.check_regex),
    "resolver": scenarios.run_scenarios,
    "rewrite": each(settings.check_rewrite),
    "rpz": scenarios.run_scenarios,
    "safesearch": each(settings.check_safesearch),
    "schedule": each(settings.check_schedule),
    "schedule_validate": each(settings.check_range),
    "special_use": each(answers.check_special_use),
    "wire": packets.run_packets,
}
"""Kind of case -> who runs it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what became of every file; 0 when each failing id is a difference that the table lists."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder of .jsonl case files")
    parser.add_argument("--differences", type=Path, default=TABLE, help="document with the table of differences")
    parser.add_argument("--quiet", action="store_true", help="counts only")
    given = parser.parse_args(arguments)
    files = sorted(given.directory.glob("*.jsonl"))
    if not files:
        print(f"no case files in {given.directory}", file=sys.stderr)
        return 2
    differences = read_differences(given.differences)
    results = [run_file(path, KINDS) for path in files]
    for result in results:
        show(result, differences, quiet=given.quiet)
    unexplained = [outcome for result in results for outcome in result.failed if not explained(outcome, differences)]
    show_total(results, unexplained)
    return 1 if unexplained or any(result.broken for result in results) else 0


def explained(outcome: Outcome, differences: list[Difference]) -> bool:
    return find_difference(outcome.case, differences, outcome.why) is not None


def show(result: FileResult, differences: list[Difference], *, quiet: bool) -> None:
    """``file: passed / total``, then the failing ids: those without a reason, those with one, those of later."""
    print(f"{result.file.name}: {result.passed} / {result.total}")
    for kind, count in sorted(result.unknown.items()):
        print(f"  unknown kind {kind!r}: {count} cases not run")
    for text in result.broken:
        print(f"  broken: {text}")
    groups: dict[str, list[str]] = {"FAILED": [], "difference": [], "later": []}
    for outcome in result.failed:
        found = find_difference(outcome.case, differences, outcome.why)
        word = "FAILED" if found is None else "later" if found.is_later else "difference"
        groups[word].append(f"  {word:<10} {outcome.case.id}" + (f"  [{outcome.why}]" if found is None else ""))
    for word, lines in groups.items():
        if lines:
            print(f"  {len(lines)} {word}")
        if not quiet or word == "FAILED":
            print("\n".join(lines), end="\n" if lines else "")
    show_reasons(result, differences)


def show_reasons(result: FileResult, differences: list[Difference]) -> None:
    """How many resolver cases each reason stands for."""
    found = [
        find_difference(outcome.case, differences, outcome.why)
        for outcome in result.failed
        if outcome.case.kind == "resolver"
    ]
    for reason, count in Counter(row.reason for row in found if row is not None).most_common():
        print(f"    {count:>3}  {reason}")


def show_total(results: Sequence[FileResult], unexplained: Sequence[Outcome]) -> None:
    passed, total = sum(result.passed for result in results), sum(result.total for result in results)
    failed = sum(len(result.failed) for result in results)
    print(f"total: {passed} / {total}; {failed - len(unexplained)} listed differences, {len(unexplained)} unexplained")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # the filter's own log would mix with the report
    sys.exit(main())

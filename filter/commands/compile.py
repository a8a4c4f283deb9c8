"""`preau-filter compile`: UT1 lists -> bundle, and a report that a person can read."""

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

from filter.compiler import CompileReport, compile_bundle
from filter.lists.lines import ListRefused
from filter.lists.source import REASONS
from filter.lists.titles import TITLES
from filter.lists.ut1 import read_ut1
from filter.settings import SCHOOL_CATEGORIES, PolicySettings, ProfileSettings, SettingsInvalid


class OptionMissing(ValueError):
    """The command cannot start; the text names the option."""


PROBLEMS = (ListRefused, SettingsInvalid, OptionMissing)


def run(args: argparse.Namespace) -> int:
    if args.ut1 is None or args.out is None:
        raise OptionMissing("il faut --ut1 DOSSIER et --out FICHIER")
    categories = [slug.strip() for given in args.category for slug in given.split(",") if slug.strip()]
    lists = read_ut1(Path(args.ut1), categories or None, read_date(args.published))
    blocked = tuple(source.category for source in lists) if categories else SCHOOL_CATEGORIES
    profile = ProfileSettings("ecole", "École", blocked_categories=blocked)
    moment = datetime.now(UTC).replace(microsecond=0)
    report = compile_bundle(
        lists,
        PolicySettings((profile,), profile.slug),
        Path(args.out),
        serial=read_serial(args.serial),
        compiled_at=moment,
    )
    sys.stdout.write(as_json(report) if args.json else as_text(report, Path(args.out), blocked))
    return 0


def read_serial(text: str | None) -> int:
    if text is None:
        return int(time.time())
    if not text.isdecimal():
        raise OptionMissing(f"--serial {text} n’est pas un nombre")
    return int(text)


def read_date(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise OptionMissing(f"--published {text} : attendu AAAA-MM-JJ") from error


def as_json(report: CompileReport) -> str:
    return json.dumps(asdict(report), ensure_ascii=False, indent=2, default=str) + "\n"


def spaced(number: int) -> str:
    """1234567 as French people write it."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def decimal(number: float) -> str:
    """1.25 as French people write it, one figure after the comma."""
    return f"{number:.1f}".replace(".", ",")


def as_text(report: CompileReport, out: Path, blocked: tuple[str, ...]) -> str:
    """The report in French, one list a line."""
    per_name = f", {decimal(report.size / report.names)} octets par nom" if report.names else ""
    lines = [
        f"{out} : {spaced(report.names)} noms, {spaced(report.size)} octets{per_name}, en {decimal(report.seconds)} s",
        f"{len(report.lists)} listes, {spaced(report.lines)} lignes lues ; publication n° {report.serial}",
        "",
        f"{'':2}{'liste':24}{'noms':>10}{'écartées':>10}{'hors DNS':>10}  titre",
    ]
    for outcome in report.lists:
        info = outcome.info
        mark = "✗ " if info.category in blocked else "  "
        skipped, beyond = sum(info.skipped.values()), sum(info.not_enforceable.values())
        lines.append(
            f"{mark}{info.slug:24}{spaced(info.entries):>10}{spaced(skipped):>10}{spaced(beyond):>10}  {info.title}"
        )
    lines += ["", "✗ : bloquée par défaut. « hors DNS » : pages et expressions, qu’aucun filtre DNS ne peut appliquer."]
    lines += tell_skipped(report)
    lines += [f"Attention, {o.info.slug} : {warning}." for o in report.lists for warning in o.warnings]
    if report.unknown_categories:
        lines.append(f"Catégories bloquées sans liste ici : {', '.join(map(with_title, report.unknown_categories))}.")
    return "\n".join(lines) + "\n"


def with_title(slug: str) -> str:
    """A category as people know it, with the slug that options want."""
    return f"{TITLES[slug]} ({slug})" if slug in TITLES else slug


def tell_skipped(report: CompileReport) -> list[str]:
    """Why lines were left out, in all, with an example of each."""
    totals: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for outcome in report.lists:
        totals.update(outcome.info.skipped)
        for reason, found in outcome.examples.items():
            number, text = found[0]
            examples.setdefault(reason, f"{outcome.info.slug}, ligne {number} : {text}")
    if not totals:
        return []
    return ["", "Lignes écartées :"] + [
        f"  {spaced(count):>10}  {REASONS[reason]} ({examples[reason]})" for reason, count in totals.most_common()
    ]

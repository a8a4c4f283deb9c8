"""`preau-filter compile`: lists -> names file and, beside it, a policy that blocks them; and a report to be read."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

from filter.bundle import Sign
from filter.compiler import CompileReport, PolicyReport, compile_names, compile_policy, find_unknown_categories
from filter.french import spaced
from filter.lists.formats import FORMATS, recognise
from filter.lists.lines import ListRefused
from filter.lists.source import REASONS, ListSource
from filter.lists.titles import TITLES
from filter.lists.ut1 import read_ut1
from filter.settings import SCHOOL_CATEGORIES, PolicySettings, ProfileSettings, SettingsInvalid, category_rules
from filter.signing import KeyInvalid, SigningKey
from filter.updates.pair import policy_beside


class OptionMissing(ValueError):
    """The command cannot start; the text names the option."""


PROBLEMS = (ListRefused, SettingsInvalid, OptionMissing, KeyInvalid)


def run(args: argparse.Namespace) -> int:
    if args.out is None or (args.ut1 is None and not args.list):
        raise OptionMissing("il faut --out FICHIER, et --ut1 DOSSIER ou --list FICHIER")
    categories = [slug.strip() for given in args.category for slug in given.split(",") if slug.strip()]
    published = read_date(args.published)
    tree = [] if args.ut1 is None else read_ut1(Path(args.ut1), categories or None, published)
    files = [replace(each, trusts_replies=args.trust_replies) for each in read_files(args.list, published)]
    blocked = {source.category for source in files} | (
        {source.category for source in tree} if categories else set(SCHOOL_CATEGORIES if tree else ())
    )
    out, serial, sign = Path(args.out), read_serial(args.serial), read_key(args.sign)
    moment = datetime.now(UTC).replace(microsecond=0)
    names = compile_names([*tree, *files], out, serial=serial, compiled_at=moment, sign=sign)
    settings = block(blocked)
    policy = compile_policy(
        settings, policy_beside(out), serial=serial, compiled_at=moment, names_digest=names.digest, sign=sign
    )
    unknown = find_unknown_categories(settings, (outcome.info for outcome in names.lists))
    tell = as_json if args.json else partial(as_text, out=out, blocked=blocked)
    sys.stdout.write(tell(names, policy, unknown))
    return 0


def block(categories: Iterable[str]) -> PolicySettings:
    """One profile for everybody, that blocks these."""
    profile = ProfileSettings("ecole", "École", categories=category_rules(blocked=categories))
    return PolicySettings((profile,), profile.slug)


def read_files(given: Iterable[str], published: date | None) -> list[ListSource]:
    """The lists of ``--list FILE[:category[:format]]``; raise ListRefused, OptionMissing."""
    sources: list[ListSource] = []
    for text in given:
        name, _, rest = text.partition(":")
        path = Path(name)
        category, _, kind = rest.partition(":")
        slug = make_slug(path, [source.slug for source in sources])
        sources.append(read_file(path, slug, category or slug, kind, published))
    return sources


def make_slug(path: Path, taken: list[str]) -> str:
    """The file's name without its ending; with a number when several have the same."""
    slug = path.name.partition(".")[0] or path.name
    return next(s for n in range(1, len(taken) + 2) if (s := slug if n == 1 else f"{slug}-{n}") not in taken)


def read_file(path: Path, slug: str, category: str, kind: str, published: date | None) -> ListSource:
    """One file as a list, in the format given or in the one that its content shows."""
    if kind and kind not in FORMATS:
        raise OptionMissing(f"--list {path} : format « {kind} » inconnu (connus : {', '.join(FORMATS)})")
    kind = kind or recognise(path)
    return ListSource(
        slug=slug,
        title=TITLES.get(category, path.name),
        category=category,
        read=partial(FORMATS[kind], path),
        source=path.name,
        published=published,
        plain=(path,) if kind == "domains" else (),
    )


def read_key(file: str | None) -> Sign | None:
    """What signs, from a private key's file; raise KeyInvalid, or OSError when it cannot be read."""
    return None if file is None else SigningKey.from_pem(Path(file).read_bytes()).sign


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


def as_json(names: CompileReport, policy: PolicyReport, unknown: tuple[str, ...]) -> str:
    report = {**asdict(names), "policy": asdict(policy), "unknown_categories": unknown}
    return json.dumps(report, ensure_ascii=False, indent=2, default=str) + "\n"


def decimal(number: float) -> str:
    """1.25 as French people write it, one figure after the comma."""
    return f"{number:.1f}".replace(".", ",")


def as_text(
    report: CompileReport, policy: PolicyReport, unknown: tuple[str, ...], *, out: Path, blocked: set[str]
) -> str:
    """The report in French, one list a line."""
    per_name = f", {decimal(report.size / report.names)} octets par nom" if report.names else ""
    lines = [
        f"{out} : {spaced(report.names)} noms, {spaced(report.size)} octets{per_name}, en {decimal(report.seconds)} s",
        f"{policy_beside(out)} : {spaced(policy.size)} octets",
        f"{len(report.lists)} listes, {spaced(report.lines)} lignes lues ; publication n° {report.serial}",
        *tell_others(report),
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
    if unknown:
        lines.append(f"Catégories bloquées sans liste ici : {', '.join(map(with_title, unknown))}.")
    return "\n".join(lines) + "\n"


def tell_others(report: CompileReport) -> Iterator[str]:
    """What is there besides names."""
    if report.rules or report.addresses:
        yield f"{counted(report.rules, 'règle')}, {counted(report.addresses, 'réseau', 'x')}"


def counted(number: int, noun: str, plural: str = "s") -> str:
    """1 règle, 2 règles."""
    return f"{spaced(number)} {noun}{plural if number > 1 else ''}"


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
            examples.setdefault(reason, f" ({outcome.info.slug}, ligne {number} : {text})")
    if not totals:
        return []
    return ["", "Lignes écartées :"] + [
        f"  {spaced(count):>10}  {REASONS[reason]}{examples.get(reason, '')}" for reason, count in totals.most_common()
    ]

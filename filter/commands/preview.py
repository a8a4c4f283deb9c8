"""`preau-filter preview`: which names that people ask for a change would block or open, before it does."""

import argparse
import json
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from filter.commands.explain import QuestionInvalid, read_moment
from filter.french import spaced
from filter.preview import DEFAULT_THRESHOLD, Change, CountsInvalid, Preview, load_counts, preview
from filter.updates.pair import Pair, open_pair

PROBLEMS = (CountsInvalid, QuestionInvalid, sqlite3.Error)
MOST_LINES = 50
"""Names that the text shows, of each kind; JSON has them all."""


def run(args: argparse.Namespace) -> int:
    missing = [f"--{option}" for option in ("from", "to", "names") if getattr(args, option) is None]
    if missing:
        raise CountsInvalid(f"il manque {', '.join(missing)}")
    old, new = open_pair(Path(getattr(args, "from"))), open_pair(Path(args.to))
    now = read_moment(args.at) if args.at else datetime.now(UTC)
    threshold = read_threshold(args.threshold)
    found = preview(old.policy, new.policy, load_counts(Path(args.names)), now, threshold)
    sys.stdout.write(as_json(found, old, new) if args.json else as_text(found, threshold))
    return 0


def read_threshold(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise CountsInvalid(f"--threshold {text} : attendu un nombre d’appareils, {DEFAULT_THRESHOLD} par défaut")
    return int(text)


def as_json(found: Preview, old: Pair, new: Pair) -> str:
    values = {
        "from": {"names": old.names.etag, "policy": old.settings.etag},
        "to": {"names": new.names.etag, "policy": new.settings.etag},
        "judged": found.names,
        "withheld": found.withheld,
        "blocked": [as_values(change) for change in found.newly(blocked=True)],
        "allowed": [as_values(change) for change in found.newly(blocked=False)],
    }
    return json.dumps(values, ensure_ascii=False, indent=2) + "\n"


def as_values(change: Change) -> dict[str, object]:
    decision = change.decision
    return {
        "name": change.name,
        "queries": change.queries,
        "clients": change.clients,
        "profiles": list(change.profiles),
        "rule": decision.rule,
        "category": decision.category,
        "lists": list(decision.lists),
        "suffix": decision.suffix,
        "layer": decision.layer,
    }


def as_text(found: Preview, threshold: int) -> str:
    """In French: totals, then the names, the most asked for first."""
    lines = [f"{counted(found.names, 'nom jugé', 'noms jugés')} par les deux publications."]
    for blocked, one, many in (
        (True, "nom nouvellement bloqué", "noms nouvellement bloqués"),
        (False, "nom nouvellement permis", "noms nouvellement permis"),
    ):
        lines += tell(found.newly(blocked=blocked), one, many)
    if found.withheld:
        few = f"moins de {threshold} appareils {'l’ont demandé' if found.withheld == 1 else 'les ont demandés'}"
        lines.append(f"{counted(found.withheld, 'nom tu', 'noms tus')} : {few}.")
    return "\n".join(lines) + "\n"


def counted(number: int, one: str, many: str) -> str:
    """« 1 nom », « 1 234 noms »: French has its plural from two on."""
    return f"{spaced(number)} {one if number < 2 else many}"


def tell(changes: list[Change], one: str, many: str) -> Iterator[str]:
    queries = counted(sum(change.queries for change in changes), "requête", "requêtes")
    yield counted(len(changes), one, many) + (f", {queries} :" if changes else ".")
    for change in changes[:MOST_LINES]:
        clients = "" if change.clients is None else f", {counted(change.clients, 'appareil', 'appareils')}"
        yield f"  {spaced(change.queries):>9}  {change.name} ({why(change)}{clients} ; {', '.join(change.profiles)})"
    if len(changes) > MOST_LINES:
        yield f"  … et {spaced(len(changes) - MOST_LINES)} autres (--json les donne tous)"


def why(change: Change) -> str:
    """Category and list, or the rule that is none of a list's."""
    decision = change.decision
    by = f", par {decision.suffix}" if decision.suffix and decision.suffix != change.name else ""
    return (f"{decision.category} : {', '.join(decision.lists)}" if decision.lists else decision.rule) + by

"""`preau-filter explain`: the live decision on a name, with everything that was found on the way."""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from filter.deciding.decisions import Action, Decision, Query
from filter.explaining import Effect, Explanation, Match, ScheduleState, explain
from filter.names import NameRefused, clean_name
from filter.updates.pair import open_pair

TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "SVCB": 64,
    "HTTPS": 65, "ANY": 255,
}  # fmt: skip
ACTIONS = {
    Action.ALLOWED: "PERMIS",
    Action.BLOCKED: "BLOQUÉ",
    Action.NXDOMAIN: "RÉPONSE : ce nom n’existe pas",
    Action.NODATA: "RÉPONSE : rien à ce nom",
    Action.LOOPBACK: "RÉPONSE : la machine elle-même",
    Action.MINIMAL: "RÉPONSE : minimale",
    Action.REFUSED: "RÉPONSE : refus",
    Action.DROPPED: "SANS RÉPONSE",
    Action.TRUNCATED: "À REDEMANDER PAR TCP, puis permis",
    Action.REWRITTEN: "RÉPONSE LOCALE",
}
RULES = {
    "any": "les requêtes ANY reçoivent un seul enregistrement (RFC 8482)",
    "special_name": "nom réservé, qui n’est pas public",
    "canary": "nom par lequel les logiciels demandent s’ils peuvent contourner le filtre",
    "bypass": "service qui contourne le filtre (DNS chiffré d’un tiers, relais)",
    "lesson": "nom étranger à la leçon en cours",
    "override": "dérogation",
    "own_allow": "nom permis par l’école ou la collectivité",
    "own_deny": "nom bloqué par l’école ou la collectivité",
    "category_deny": "catégorie bloquée par le profil",
    "category_allow": "catégorie toujours permise par le profil",
    "address_deny": "adresse d’une liste bloquée par le profil",
    "rewrite": "réponse locale choisie par l’école ou la collectivité",
    "safe_search": "recherche protégée",
    "default": "aucune règle ne s’y oppose",
    "rebinding": "nom public qui mène à une adresse privée",
}
EFFECTS = {
    Effect.BLOCKS: "bloquée",
    Effect.ALLOWS: "permise",
    Effect.LIFTS: "exception, lève le blocage",
    Effect.NONE: "ignorée",
}
LOCAL = ZoneInfo("Europe/Paris")


class QuestionInvalid(ValueError):
    """The name, the type or the moment cannot be asked about."""


PROBLEMS = (QuestionInvalid,)


def run(args: argparse.Namespace) -> int:
    if args.bundle is None:
        raise QuestionInvalid("il faut --bundle FICHIER")
    query = Query(read_name(args.name), read_type(args.type))
    now = read_moment(args.at)
    pair = open_pair(Path(args.bundle), None if args.policy is None else Path(args.policy))
    explanation = explain(pair.policy, query, args.client, now, args.label)
    sys.stdout.write(as_json(explanation) if args.json else as_text(explanation))
    return 0


def read_name(text: str) -> str:
    try:
        return clean_name(text)
    except NameRefused as refusal:
        if refusal.reason == "bare_label":
            return text.strip().lower().removesuffix(".")
        raise QuestionInvalid(f"« {text} » n’est pas un nom de domaine") from refusal


def read_type(text: str) -> int:
    number = TYPES.get(text.upper()) or (int(text) if text.isdecimal() else None)
    if number is None or number > 65_535:
        raise QuestionInvalid(f"type « {text} » inconnu ({', '.join(TYPES)}, ou un nombre)")
    return number


def read_moment(text: str | None) -> datetime:
    """An ISO date and time; without an offset the wall clock of metropolitan France. None: now."""
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise QuestionInvalid(f"--at {text} : attendu AAAA-MM-JJTHH:MM") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=LOCAL)


def as_values(decision: Decision) -> dict[str, object]:
    rewrite = decision.rewrite
    return {
        "action": decision.action.value,
        "rule": decision.rule,
        "category": decision.category,
        "suffix": decision.suffix,
        "entry": decision.entry,
        "lists": list(decision.lists),
        "layer": decision.layer,
        "schedule": decision.schedule,
        "reason": decision.reason,
        "until": None if decision.until is None else decision.until.isoformat(),
        "via": decision.via,
        "target": None if rewrite is None else rewrite.target,
        "records": [] if rewrite is None else [{"type": r.qtype, "value": r.value} for r in rewrite.records],
    }


def match_values(match: Match) -> dict[str, object]:
    return {
        "suffix": match.suffix,
        "entry": match.entry,
        "list": {"slug": match.list.slug, "title": match.list.title, "category": match.list.category},
        "effect": match.effect.value,
        "important": match.important,
        "layer": match.layer,
        "override": match.override,
        "schedule": None if match.schedule is None else schedule_values(match.schedule),
    }


def schedule_values(schedule: ScheduleState) -> dict[str, object]:
    changes_at = schedule.changes_at
    return {
        "slug": schedule.slug,
        "name": schedule.name,
        "active": schedule.active,
        "changes_at": None if changes_at is None else changes_at.isoformat(),
    }


def as_json(explanation: Explanation) -> str:
    profile, lesson = explanation.profile, explanation.lesson
    values = {
        "name": explanation.query.name,
        "type": explanation.query.qtype,
        "client": explanation.client,
        "label": explanation.label,
        "at": None if explanation.at is None else explanation.at.isoformat(),
        "profile": {"slug": profile.slug, "name": profile.name, "room": profile.room},
        "lesson": None if lesson is None else {"title": lesson.title, "ends": lesson.ends.isoformat()},
        "decision": as_values(explanation.decision),
        "opinions": [as_values(opinion) for opinion in explanation.opinions],
        "matches": [match_values(match) for match in explanation.matches],
    }
    return json.dumps(values, ensure_ascii=False, indent=2) + "\n"


def as_text(explanation: Explanation) -> str:
    """In French: the verdict, the rule, then everything that knows the name."""
    decision, profile = explanation.decision, explanation.profile
    lines = [
        f"{explanation.query.name} : {ACTIONS[decision.action]}{tell_target(decision)}",
        f"  règle   : {tell_rule(decision, explanation.query.name)}",
        f"  profil  : {profile.name} ({profile.slug}){tell_client(explanation)}",
    ]
    if (lesson := explanation.lesson) is not None:
        lines.append(f"  leçon   : {lesson.title or lesson.id}, jusqu’au {in_french(lesson.ends)}")
    others = [other for other in explanation.opinions if other != decision]
    lines += [f"  aussi   : {tell_rule(other, explanation.query.name)}" for other in others]
    if not explanation.matches:
        lines.append("  listes  : aucune ne connaît ce nom, ni ce qui est au-dessus de lui")
    lines += (line for match in explanation.matches for line in tell_match(match))
    return "\n".join(lines) + "\n"


def tell_rule(decision: Decision, name: str) -> str:
    """One rule, with everything that it rests on."""
    lists = f" « {', '.join(decision.lists)} »" if decision.lists else ""
    suffix = f", par « {decision.suffix} »" if decision.suffix and decision.suffix != name else ""
    layer = f", posée par {decision.layer}" if decision.layer else ""
    schedule = f", plage « {decision.schedule} »" if decision.schedule else ""
    until = f", jusqu’au {in_french(decision.until)}" if decision.until is not None else ""
    reason = f" : {decision.reason}" if decision.reason else ""
    return f"{RULES[decision.rule]}{lists}{suffix}{layer}{schedule}{until}{reason}"


def tell_target(decision: Decision) -> str:
    if decision.rewrite is None:
        return ""
    told = [decision.rewrite.target or "", *(record.value for record in decision.rewrite.records)]
    return f" : {', '.join(each for each in told if each)}"


def tell_client(explanation: Explanation) -> str:
    known = [explanation.client or "", f"étiquette {explanation.label}" if explanation.label else ""]
    client = ", ".join(each for each in known if each) or "inconnu : profil par défaut"
    room = f", salle {explanation.profile.room}" if explanation.profile.room else ""
    return f", client {client}{room}"


def tell_match(match: Match) -> Iterator[str]:
    """One entry of one list, and the schedule that decides about its category."""
    info = match.list
    source = ", ".join(part for part in (info.source, info.licence, info.date) if part)
    source = f" ; {source}" if source else ""
    layer = f", par {match.layer}" if match.layer else ""
    state = f"{EFFECTS[match.effect]}{layer}{', par dérogation' if match.override else ''}"
    entry = f" : {match.entry}" if match.entry != match.suffix else ""
    yield f"  liste   : {match.suffix} est dans « {info.title} » ({state}{source}){entry}"
    if (schedule := match.schedule) is not None:
        changes = f" jusqu’au {in_french(schedule.changes_at)}" if schedule.changes_at is not None else ""
        yield f"  plage   : « {schedule.name} » {'active' if schedule.active else 'inactive'}{changes}"


def in_french(moment: datetime) -> str:
    return f"{moment.astimezone(LOCAL):%d/%m/%Y à %H:%M}"

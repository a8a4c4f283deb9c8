"""`preau-filter explain`: the live decision on a name, with everything that was found on the way."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from filter.bundle import Bundle
from filter.names import NameRefused, clean_name
from filter.policy import Action, Decision, Explanation, Policy, Query, explain

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
}
RULES = {
    "any": "les requêtes ANY reçoivent un seul enregistrement (RFC 8482)",
    "special_name": "nom réservé, qui servirait à contourner le filtre ou n’est pas public",
    "own_allow": "nom permis par l’école ou la collectivité",
    "own_deny": "nom bloqué par l’école ou la collectivité",
    "category_deny": "catégorie bloquée par le profil",
    "category_allow": "catégorie toujours permise par le profil",
    "default": "aucune règle ne s’y oppose",
    "rebinding": "nom public qui mène à une adresse privée",
}


class QuestionInvalid(ValueError):
    """The name or type cannot be asked."""


PROBLEMS = (QuestionInvalid,)


def run(args: argparse.Namespace) -> int:
    if args.bundle is None:
        raise QuestionInvalid("il faut --bundle FICHIER")
    query = Query(read_name(args.name), read_type(args.type))
    explanation = explain(Policy(Bundle.open(Path(args.bundle))), query, args.client, datetime.now(UTC))
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


def as_values(decision: Decision) -> dict[str, object]:
    return {
        "action": decision.action.value,
        "rule": decision.rule,
        "category": decision.category,
        "suffix": decision.suffix,
        "lists": list(decision.lists),
    }


def as_json(explanation: Explanation) -> str:
    values = {
        "name": explanation.query.name,
        "type": explanation.query.qtype,
        "client": explanation.client,
        "profile": {"slug": explanation.profile.slug, "name": explanation.profile.name},
        "decision": as_values(explanation.decision),
        "opinions": [as_values(opinion) for opinion in explanation.opinions],
        "matches": [
            {
                "suffix": match.suffix,
                "lists": [
                    {
                        "slug": info.slug,
                        "title": info.title,
                        "category": info.category,
                        "blocked": info.slug in match.blocked,
                        "allowed": info.slug in match.allowed,
                    }
                    for info in match.lists
                ],
            }
            for match in explanation.matches
        ],
    }
    return json.dumps(values, ensure_ascii=False, indent=2) + "\n"


def as_text(explanation: Explanation) -> str:
    """In French: the verdict, the rule, then everything that knows the name."""
    decision, profile = explanation.decision, explanation.profile
    category = f" « {', '.join(decision.lists)} »" if decision.lists else ""
    suffix = f", par « {decision.suffix} »" if decision.suffix and decision.suffix != explanation.query.name else ""
    lines = [
        f"{explanation.query.name} : {ACTIONS[decision.action]}",
        f"  règle   : {RULES[decision.rule]}{category}{suffix}",
        f"  profil  : {profile.name} ({profile.slug}), client {explanation.client or 'inconnu : profil par défaut'}",
    ]
    lines += [f"  aussi   : {RULES[other.rule]}" for other in explanation.opinions if other.rule != decision.rule]
    if not explanation.matches:
        lines.append("  listes  : aucune ne connaît ce nom, ni ce qui est au-dessus de lui")
    for match in explanation.matches:
        for info in match.lists:
            state = "bloquée" if info.slug in match.blocked else "permise" if info.slug in match.allowed else "ignorée"
            source = ", ".join(part for part in (info.source, info.licence, info.date) if part)
            lines.append(f"  liste   : {match.suffix} est dans « {info.title} » ({state} ; {source})")
    return "\n".join(lines) + "\n"

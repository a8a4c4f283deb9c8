"""The form of what one node says of a profile: its lines as fields, and fields as lines.

A field is empty where the node says nothing and leaves the word to the nodes above.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import msgspec

from dashboards.portal.forms import Reader, host_of
from fleet.errors import Invalid
from fleet.filtering.policy.cleaning import clean_names
from fleet.filtering.policy.layers import (
    BlockModeLine,
    BypassLine,
    CategoryLine,
    LayerSettings,
    NameLine,
    YouTubeLine,
)

LOCK_WORD = re.compile(r"\s+\(?verrouillée?\)?$", re.IGNORECASE)
MAX_NAMES = 400_000
"""Characters of a list of own names."""
SINGLES = ("youtube", "block_mode", "bypass")
SingleLine = YouTubeLine | BlockModeLine | BypassLine


@dataclass(slots=True)
class Draft:
    """What the fields hold."""

    choices: dict[str, str] = field(default_factory=dict)
    """``category:adult`` -> ``block@temps-scolaire/allow``, ``engine:google`` -> ``on``, ``youtube`` -> ``strict``."""
    locks: set[str] = field(default_factory=set)
    """Fields whose line nobody below may change."""
    denied: str = ""
    allowed: str = ""


def draft_of(says: LayerSettings) -> Draft:
    """The fields of a layer that is kept."""
    draft = Draft()
    for category in says.categories:
        put(draft, f"category:{category.category}", verdict_choice(category), category.mark.locked)
    for engine in says.engines:
        put(draft, f"engine:{engine.engine}", "on" if engine.on else "off", engine.mark.locked)
    for line in (says.youtube, says.block_mode, says.bypass):
        if line is not None:
            put(draft, line.key, single_choice(line), line.mark.locked)
    draft.denied = "\n".join(name_line(line) for line in says.names if line.verdict == "block")
    draft.allowed = "\n".join(name_line(line) for line in says.names if line.verdict == "allow")
    return draft


def put(draft: Draft, name: str, choice: str, locked: bool) -> None:
    draft.choices[name] = choice
    if locked:
        draft.locks.add(name)


def single_choice(line: SingleLine) -> str:
    """``strict``, ``nxdomain``, ``closed``: what the select of a line that stands alone holds."""
    match line:
        case YouTubeLine():
            return line.level.value
        case BlockModeLine():
            return line.mode.value
        case BypassLine():
            return "closed" if line.closed else "open"


def verdict_choice(line: CategoryLine) -> str:
    """``block``, ``block@temps-scolaire``, ``allow@temps-scolaire/block``: a verdict, when, and otherwise."""
    choice = line.verdict.value
    if line.schedule:
        choice += f"@{line.schedule}"
        choice += f"/{line.otherwise.value}" if line.otherwise != "neutral" else ""
    return choice


def name_line(line: NameLine) -> str:
    """``exemple.fr verrouillé # raison``"""
    text = line.name
    text += " verrouillé" if line.mark.locked else ""
    return text + (f" # {line.reason}" if line.reason else "")


def read_draft(reader: Reader) -> Draft:
    """What was sent: a field that the form has not is empty."""
    names = [name for name in reader.form if name.startswith(("category:", "engine:")) or name in SINGLES]
    return Draft(
        choices={name: choice for name in names if (choice := reader.raw(name))},
        locks={name.removeprefix("lock:") for name in reader.form if name.startswith("lock:")},
        denied=reader.text("denied_names", maximum=MAX_NAMES),
        allowed=reader.text("allowed_names", maximum=MAX_NAMES),
    )


def note_names(reader: Reader, draft: Draft) -> None:
    """Problems of own names, beside their field: what is no name, and what stands in both."""
    denied = clean(reader, "denied_names", draft.denied)
    allowed = clean(reader, "allowed_names", draft.allowed)
    if both := sorted(denied & allowed):
        listed = ", ".join(both[:10])
        reader.problems["allowed_names"] = f"Aussi dans « Toujours bloquer » : {listed}. Gardez un seul des deux."


def clean(reader: Reader, field_name: str, text: str) -> set[str]:
    """The names of a field as filters compare them; a problem noted: none."""
    try:
        return set(clean_names(str(line["name"]) for line in read_names(text, "")))
    except Invalid as error:
        reader.problems[field_name] = error.detail
        return set()


def layer_of(draft: Draft, before: LayerSettings) -> LayerSettings:
    """The lines that the fields say; local answers, which the form does not show, stay. Raise Invalid."""
    plain: dict[str, object] = {
        "categories": [
            category_line(name.removeprefix("category:"), choice, locked=name in draft.locks)
            for name, choice in draft.choices.items()
            if name.startswith("category:")
        ],
        "engines": [
            {"engine": name.removeprefix("engine:"), "on": choice == "on", "mark": {"locked": name in draft.locks}}
            for name, choice in draft.choices.items()
            if name.startswith("engine:")
        ],
        "names": [*read_names(draft.denied, "block"), *read_names(draft.allowed, "allow")],
    }
    for name, key in (("youtube", "level"), ("block_mode", "mode")):
        if choice := draft.choices.get(name):
            plain[name] = {key: choice, "mark": {"locked": name in draft.locks}}
    if choice := draft.choices.get("bypass"):
        plain["bypass"] = {"closed": choice == "closed", "mark": {"locked": "bypass" in draft.locks}}
    try:
        says = msgspec.convert(plain, LayerSettings)
    except msgspec.ValidationError as error:
        raise Invalid("form.invalid", "Un choix de ce formulaire n’existe pas. Rechargez la page.") from error
    return replace(says, rewrites=before.rewrites)


def category_line(category: str, choice: str, *, locked: bool) -> dict[str, object]:
    """A line of what `verdict_choice` wrote."""
    verdict, _, when = choice.partition("@")
    schedule, _, otherwise = when.partition("/")
    return {
        "category": category,
        "verdict": verdict,
        "schedule": schedule or None,
        "otherwise": otherwise or "neutral",
        "mark": {"locked": locked},
    }


def read_names(text: str, verdict: str) -> Iterable[dict[str, object]]:
    """One name a line, or an address of a page; behind it ``verrouillé``, and a reason behind `` # ``."""
    for line in text.splitlines():
        name, _, reason = line.strip().partition(" # ")
        bare = LOCK_WORD.sub("", name.strip())
        if bare:
            yield {
                "name": host_of(bare),
                "verdict": verdict,
                "reason": reason.strip()[:400],
                "mark": {"locked": bare != name.strip()},
            }

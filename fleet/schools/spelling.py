"""Typing errors: what was typed, with each word that no place has replaced by the one that it resembles most."""

import re
from collections.abc import Sequence

from sqlalchemy import CTE, ColumnElement, Text, column, func, literal, select, union
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

from fleet.collectivities.models import Collectivity
from fleet.schools.models import School
from fleet.scope import Viewer, visible_to
from fleet.text import fold

MOST_WORDS = 6
"""Words of a search that are looked at."""
LEAST_ALIKE = 0.2
"""Share of three-letter pieces (pg_trgm) that two words must have in common to be compared letter by letter."""
LETTERS = re.compile("[a-z]{3,}")
"""What may be misspelt; codes and numbers are right or wrong, and two letters resemble everything."""


def correct(session: Session, viewer: Viewer, typed: str) -> str:
    """The search that was probably meant, folded; "" when every word is known or nothing comes close.

    The words are those in the names of the schools and collectivities that the viewer sees.
    """
    words = fold(typed).split()[:MOST_WORDS]
    alike = _look_alike(session, viewer, [word for word in words if LETTERS.fullmatch(word)])
    corrected = [nearest(word, alike.get(word, ())) for word in words]
    return " ".join(corrected) if corrected != words else ""


def nearest(word: str, candidates: Sequence[str]) -> str:
    """The word itself when a candidate begins so or none comes close; else the nearest, the first of equals."""
    if any(each.startswith(word) for each in candidates):
        return word
    steps = [(distance(word, each), place, each) for place, each in enumerate(candidates)]
    best = min(steps, default=(len(word), 0, word))
    return best[2] if best[0] <= allowed(word) else word


def allowed(word: str) -> int:
    """How many typing errors a word of that length may hold."""
    return 1 if len(word) < 6 else 2 if len(word) < 10 else 3


def distance(a: str, b: str) -> int:
    """Letters to add, drop, replace or swap with their neighbour (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        row = [i]
        for j, right in enumerate(b, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and a[i - 2] == right:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]


def _look_alike(session: Session, viewer: Viewer, words: Sequence[str]) -> dict[str, list[str]]:
    """For each word those of the places that share enough of its pieces, the most alike first."""
    if not words:
        return {}
    known = _vocabulary(viewer)
    typed = select(func.unnest(literal(sorted(set(words)), ARRAY(Text))).label("typed")).subquery()
    share = func.similarity(known.c.word, typed.c.typed)
    query = select(typed.c.typed, known.c.word).select_from(typed.join(known, share >= LEAST_ALIKE))
    query = query.order_by(share.desc(), known.c.word)
    found: dict[str, list[str]] = {}
    for word, each in session.execute(query):
        found.setdefault(word, []).append(each)
    return found


def _vocabulary(viewer: Viewer) -> CTE:
    """Every word of the names that the viewer may search, once; codes and numbers, most of them, are left out first."""
    schools = visible_to(
        viewer, select(_words(School.search_text)), collectivity=School.collectivity_id, school=School.id
    )
    places = visible_to(viewer, select(_words(Collectivity.search_text)), collectivity=Collectivity.id)
    word: ColumnElement[str] = column("word", Text)
    named = (select(word).select_from(each.subquery()).where(word >= "a") for each in (schools, places))
    return union(*named).cte("vocabulary")


def _words(text: InstrumentedAttribute[str]) -> ColumnElement[str]:
    return func.unnest(func.string_to_array(text, " "), type_=Text).label("word")

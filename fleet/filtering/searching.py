"""Lists of filtering, found by what people type: a site, a reason, a school or its commune."""

from typing import TypeAlias, TypeVarTuple

from sqlalchemy import ColumnElement, Select, or_
from sqlalchemy.orm import InstrumentedAttribute

from fleet.schools import service as schools
from fleet.scope import Owner
from fleet.text import fold

Columns = TypeVarTuple("Columns")
SearchedText: TypeAlias = ColumnElement[str] | InstrumentedAttribute[str]
MOST_WORDS = 10


def matching(rows: Select[*Columns], search: str, school: Owner, *texts: SearchedText) -> Select[*Columns]:
    """Keep the rows of which every word typed stands in one of ``texts``, or names the school or its commune."""
    for word in search.split()[:MOST_WORDS]:
        doors = [text.icontains(word, autoescape=True) for text in texts]
        if fold(word):
            doors.append(school.in_(schools.schools_named(word)))
        rows = rows.where(or_(*doors))
    return rows

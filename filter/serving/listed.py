"""Names of which lists alone speak: what was replied to one is replied to every other in the same set of entries.

Random names below listed ones are the dearest to answer and never come twice. Which names other rules speak of is known
for each moment; of the rest a set of entries says the same whatever the name (filter.deciding.verdicts).
"""

from typing import Final

from filter.deciding.decisions import Action, Decision
from filter.deciding.profiles import Moment, Profile
from filter.names import name_and_parents
from filter.plane.speaking import speaks_of_every_name, spoken_names
from filter.serving import wire
from filter.serving.handler import Allowed, Answered
from filter.serving.wire import Question, WireError

MOST_KNOWN = 2_048
LONGEST_QUESTION = 104
SMALLEST = 512
"""Bytes that every client takes: such a reply is never cut, nor what explains it."""
CUT = wire.TC >> 8

Place = tuple[int, bool, bytes]
"""Set of entries, whether it is the name's own or a parent's, and the query's bytes beside id and name."""


class Said:
    """A reply around its question."""

    __slots__ = ("allowed", "decision", "entry", "head", "rest")

    def __init__(self, reply: bytes, allowed: Allowed, decision: Decision) -> None:
        end = wire.HEADER.size + len(allowed.query.question.raw)
        self.head, self.rest = reply[2 : wire.HEADER.size], reply[end:]
        self.allowed = allowed
        self.decision = decision
        self.entry: None = None


class Listed:
    """What was said during a moment."""

    def __init__(self, profile: Profile, moment: Moment) -> None:
        index = moment.verdicts.index
        self.is_silent: Final = moment.lesson is not None or speaks_of_every_name(index.rules)
        self.spoken: Final = frozenset(() if self.is_silent else spoken_names(profile, moment, index.rules))
        self.find_sets: Final = index.domains.find_sets
        self.known: Final[dict[Place, Said]] = {}

    def find(self, query: bytes) -> tuple[Place | None, Question | None, Said | None]:
        """Where a reply to this query is known, or would be; the question; and what was said."""
        if self.is_silent or len(query) > wire.HEADER.size + LONGEST_QUESTION + SMALLEST:
            return None, None, None
        try:
            question, end = wire.read_question(query)
        except WireError:
            return None, None, None
        suffixes = name_and_parents(question.name)
        if len(question.raw) > LONGEST_QUESTION or not self.spoken.isdisjoint(suffixes):
            return None, None, None
        found = self.find_sets(suffixes)
        if len(found) != 1:
            return None, None, None
        suffix, set_id = found[0]
        place = set_id, suffix == question.name, query[2 : wire.HEADER.size] + query[end - 4 :]
        return place, question, self.known.get(place)

    def learn(self, place: Place, answered: Answered) -> None:
        """Keep what the handler replied, if it speaks for all names of its kind."""
        reply, allowed, decision, found = answered
        if reply is None or allowed is None or decision is None or found is not None or reply[2] & CUT:
            return
        if decision.action is not Action.BLOCKED or decision.category is None:
            return
        said = Said(reply, allowed, decision)
        if wire.HEADER.size + LONGEST_QUESTION + len(said.rest) > SMALLEST:
            return
        if len(self.known) >= MOST_KNOWN:
            self.known.clear()
        self.known[place] = said

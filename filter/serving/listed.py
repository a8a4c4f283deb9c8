"""Names of which lists alone speak: what was replied to one is replied to every other in the same set of entries.

Random names below listed ones are the dearest to answer and never come twice. Which names other rules speak of is known
for each moment; of the rest a set of entries says the same whatever the name (filter.deciding.verdicts), and those in
no list are allowed without another look.
"""

from typing import Final

from filter.deciding.decisions import ALLOWED_BY_DEFAULT, Action, Decision
from filter.deciding.profiles import Moment, Profile
from filter.names import name_and_parents
from filter.plane.speaking import speaks_of_every_name, spoken_names
from filter.serving import wire
from filter.serving.handler import Allowed, Answered
from filter.serving.wire import ClientQuery, Question, WireError

MOST_KNOWN = 2_048
LONGEST_QUESTION = 104
SMALLEST = 512
"""Bytes that every client takes: such a reply is never cut, nor what explains it."""
CUT = wire.TC >> 8

Place = tuple[int, bool, bytes]
"""Set of entries, whether it is the name's own or a parent's, and the query's bytes beside id and name."""
NO_SET = -1
"""In its stead for names that are in no list."""
NOWHERE = None, None


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
        self.known: Final[dict[Place, Said | Allowed]] = {}
        """What is said of listed names; of others, one like them that was allowed."""

    def find(self, query: bytes) -> tuple[Place | None, Question | None]:
        """Where what is said to this query is known, or would be; and the question."""
        if self.is_silent or len(query) > wire.HEADER.size + LONGEST_QUESTION + SMALLEST:
            return NOWHERE
        try:
            question, end = wire.read_question(query)
        except WireError:
            return NOWHERE
        suffixes = name_and_parents(question.name)
        if len(question.raw) > LONGEST_QUESTION or not self.spoken.isdisjoint(suffixes):
            return NOWHERE
        found = self.find_sets(suffixes)
        if len(found) > 1:
            return NOWHERE
        suffix, set_id = found[0] if found else ("", NO_SET)
        return (set_id, suffix == question.name, query[2 : wire.HEADER.size] + query[end - 4 :]), question

    def learn(self, place: Place, answered: Answered | Allowed) -> None:
        """Keep what the handler made of a query, if that speaks for all names of its kind."""
        known = self.free(answered) if place[0] == NO_SET else self.said(answered)
        if known is None:
            return
        if len(self.known) >= MOST_KNOWN:
            self.known.clear()
        self.known[place] = known

    def free(self, answered: Answered | Allowed) -> Allowed | None:
        """A query that nothing was said of."""
        allowed = answered if isinstance(answered, Allowed) else answered.allowed
        if allowed is None or allowed.decision is not ALLOWED_BY_DEFAULT or allowed.sent is not allowed.query:
            return None
        return allowed

    def said(self, answered: Answered | Allowed) -> Said | None:
        """A reply of the lists alone."""
        if isinstance(answered, Allowed):
            return None
        reply, allowed, decision, found = answered
        if reply is None or allowed is None or decision is None or found is not None or reply[2] & CUT:
            return None
        if decision.action is not Action.BLOCKED or decision.category is None:
            return None
        said = Said(reply, allowed, decision)
        return said if wire.HEADER.size + LONGEST_QUESTION + len(said.rest) <= SMALLEST else None


def like(allowed: Allowed, query: bytes, question: Question, started: float) -> Allowed:
    """The same of another query of its kind."""
    (_, flags, _, edns), limit, decision, profile, moment, _, over_udp, _ = allowed
    asked = ClientQuery(int.from_bytes(query[:2]), flags, question, edns)
    return Allowed(asked, limit, decision, profile, moment, asked, over_udp, started)

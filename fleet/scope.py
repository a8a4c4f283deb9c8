"""Who sees which rows and may do what: the one door (DESIGN: tenancy and rights)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, TypeVarTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, false, or_
from sqlalchemy.orm import InstrumentedAttribute

from fleet.errors import NotAllowed


class Role(StrEnum):
    """What a person is, on a node of the tenancy tree."""

    ADMIN = "admin"
    TECHNICIAN = "technician"
    OFFICER = "officer"
    SCHOOL_LEAD = "school_lead"
    AUDITOR = "auditor"


class Action(StrEnum):
    """What a person may be allowed to do; one word per rule, not per route."""

    OPEN_TICKET = "ticket.open"
    HANDLE_TICKET = "ticket.handle"
    FOLLOW_UP = "ticket.follow_up"
    ISSUE_TOKEN = "token.issue"  # noqa: S105 - a name, no secret
    MANAGE_DEVICE = "device.manage"
    CONFIGURE = "configuration.edit"
    PUBLISH_FILTER = "filtering.publish"
    EDIT_FILTER = "filtering.edit"
    RUN_LESSON = "lesson.run"
    ASK_UNBLOCK = "unblock.ask"
    ANSWER_UNBLOCK = "unblock.answer"
    MANAGE_ACCOUNT = "account.manage"
    MANAGE_GRANT = "grant.manage"
    READ_AUDIT = "audit.read"
    HANDLE_JOB = "job.handle"
    IMPORT_PLACES = "places.import"


STAFF = frozenset({Role.ADMIN, Role.TECHNICIAN})
MAY: dict[Action, frozenset[Role]] = {
    Action.OPEN_TICKET: STAFF | {Role.OFFICER, Role.SCHOOL_LEAD},
    Action.FOLLOW_UP: STAFF | {Role.OFFICER, Role.SCHOOL_LEAD},
    Action.HANDLE_TICKET: STAFF,
    Action.ISSUE_TOKEN: STAFF,
    Action.MANAGE_DEVICE: STAFF,
    Action.CONFIGURE: STAFF,
    Action.PUBLISH_FILTER: STAFF,
    Action.EDIT_FILTER: STAFF,
    Action.RUN_LESSON: STAFF | {Role.SCHOOL_LEAD},
    Action.ASK_UNBLOCK: STAFF | {Role.SCHOOL_LEAD},
    Action.ANSWER_UNBLOCK: STAFF,
    Action.MANAGE_ACCOUNT: frozenset({Role.ADMIN}),
    Action.MANAGE_GRANT: frozenset({Role.ADMIN}),
    Action.READ_AUDIT: STAFF | {Role.OFFICER, Role.AUDITOR},
    Action.HANDLE_JOB: STAFF,
    Action.IMPORT_PLACES: STAFF,
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A role on one node: a collectivity, a school, or (both None) the operator, which sees all its adherents."""

    role: Role
    collectivity_id: UUID | None = None
    school_id: UUID | None = None

    @property
    def is_operator(self) -> bool:
        return self.collectivity_id is None and self.school_id is None

    def covers(self, collectivity_id: UUID | None, school_id: UUID | None) -> bool:
        """True when a row owned by that collectivity and school hangs below this grant's node."""
        return (
            self.is_operator
            or (self.collectivity_id is not None and self.collectivity_id == collectivity_id)
            or (self.school_id is not None and self.school_id == school_id)
        )


@dataclass(frozen=True, slots=True)
class Sight:
    """A node that was granted to the viewer's own ones: its rows are seen, and nothing may be done to them."""

    collectivity_id: UUID | None = None
    school_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person behind a request, reduced to what rights need at that moment."""

    user_id: UUID
    name: str
    email: str
    grants: tuple[Grant, ...]
    """Roles that hold now."""
    sights: tuple[Sight, ...] = ()
    """What was granted to the nodes of these roles, and holds now."""

    @property
    def sees_all(self) -> bool:
        return any(grant.is_operator for grant in self.grants)

    @property
    def collectivity_ids(self) -> frozenset[UUID]:
        """The collectivities whose rows the viewer sees."""
        return self.own_collectivity_ids | {s.collectivity_id for s in self.sights if s.collectivity_id is not None}

    @property
    def school_ids(self) -> frozenset[UUID]:
        """The schools whose rows the viewer sees, beside those of the collectivities."""
        return self.own_school_ids | {s.school_id for s in self.sights if s.school_id is not None}

    @property
    def own_collectivity_ids(self) -> frozenset[UUID]:
        """Those that the viewer has a role on."""
        return frozenset(g.collectivity_id for g in self.grants if g.collectivity_id is not None)

    @property
    def own_school_ids(self) -> frozenset[UUID]:
        return frozenset(g.school_id for g in self.grants if g.school_id is not None)

    def may(self, action: Action, collectivity_id: UUID | None = None, school_id: UUID | None = None) -> bool:
        """Whether a grant that covers the row holds a role allowed to do this."""
        return any(g.role in MAY[action] and g.covers(collectivity_id, school_id) for g in self.grants)

    def may_somewhere(self, action: Action) -> bool:
        """Whether any of this person's roles allows it: for showing or hiding a button, never for deciding."""
        return any(g.role in MAY[action] for g in self.grants)

    def must(self, action: Action, collectivity_id: UUID | None = None, school_id: UUID | None = None) -> None:
        """Raise NotAllowed unless `may`."""
        if not self.may(action, collectivity_id, school_id):
            raise NotAllowed("rights.not_allowed", "Vous n’avez pas le droit de faire cela. Adressez-vous à l’ADICA.")


Columns = TypeVarTuple("Columns")
Owner: TypeAlias = InstrumentedAttribute[UUID] | InstrumentedAttribute[UUID | None]


def visible_to(
    viewer: Viewer, rows: Select[*Columns], *, collectivity: Owner, school: Owner | None = None
) -> Select[*Columns]:
    """Keep the rows that the viewer may see. Every list and every look-up passes here.

    ``collectivity`` and ``school`` are the columns that say who owns a row; a row with neither belongs to the operator.
    """
    if viewer.sees_all:
        return rows
    doors: list[ColumnElement[bool]] = [false()]
    if viewer.collectivity_ids:
        doors.append(collectivity.in_(viewer.collectivity_ids))
    if school is not None and viewer.school_ids:
        doors.append(school.in_(viewer.school_ids))
    return rows.where(or_(*doors))

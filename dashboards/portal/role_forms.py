"""Giving a role: first the place (the operator, a collectivity, a school), then the role that makes sense there.

With an end, it holds until then and is over by itself.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.responses import Response

from dashboards.portal import nodes, refusals
from dashboards.portal.forms import Reader
from dashboards.portal.listing import Blank
from dashboards.portal.rendering import render
from dashboards.portal.words import ROLE
from fleet.accounts.models import User
from fleet.collectivities import service as collectivities
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.paging import Page
from fleet.schools import service as schools
from fleet.scope import Grant, Role, Viewer

FEW = 8
FIELDS = {"account.bad_email": "email", "account.email_taken": "email", "account.no_name": "name",
          "grant.bad_period": "ends", "grant.too_long": "ends"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where a role is to stand; none of the three: not chosen yet."""

    is_operator: bool = False
    collectivity_id: UUID | None = None
    school_id: UUID | None = None

    @property
    def is_chosen(self) -> bool:
        return self.is_operator or self.collectivity_id is not None or self.school_id is not None

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles that make sense there, the likeliest first."""
        if self.school_id is not None:
            return (Role.SCHOOL_LEAD, Role.AUDITOR)
        if self.collectivity_id is not None:
            return (Role.OFFICER, Role.TECHNICIAN, Role.AUDITOR)
        return (Role.TECHNICIAN, Role.ADMIN, Role.AUDITOR)


def asked_place(
    operator: bool = False,
    collectivity: Annotated[UUID | None, Blank, Query()] = None,
    school: Annotated[UUID | None, Blank, Query()] = None,
) -> Place:
    """The place that an address names."""
    return Place(operator, collectivity, school)


AskedPlace = Annotated[Place, Depends(asked_place)]


class RoleReader(Reader):
    """Reads the form: a place in hidden fields, and a role."""

    def place(self) -> Place:
        return Place(self.raw("operator") == "1", self.identifier("collectivity"), self.identifier("school"))

    def grant(self) -> Grant:
        """The role that is asked for, on its place."""
        place = self.place()
        role = self.choice("role", Role, "Choisissez un rôle.")
        if not place.is_chosen:
            self.problems["role"] = "Choisissez d’abord où s’exerce ce rôle."
        elif role not in place.roles:
            self.problems["role"] = "Choisissez un rôle qui s’exerce à cet endroit."
        return Grant(role, place.collectivity_id, place.school_id)

    def end(self) -> datetime | None:
        """When it is over; None: never."""
        return self.local_moment("ends", "Indiquez le jour et l’heure de la fin.") if self.raw("ends") else None


def page(
    request: Request,
    session: DbSession,
    viewer: Viewer,
    place: Place,
    q: str,
    *,
    user: User | None = None,
    reader: Reader | None = None,
    refused: FleetError | None = None,
) -> Response:
    """The two steps; with ``user``, one more role for somebody, else an invitation."""
    if place.collectivity_id is not None:
        collectivities.get_collectivity(session, viewer, place.collectivity_id)
    if place.school_id is not None:
        schools.get_school(session, viewer, place.school_id)
    few = Page(size=FEW)
    [named] = nodes.name_grants(session, viewer, [Grant(place.roles[0], place.collectivity_id, place.school_id)])
    return render(
        request,
        "role_form.html",
        refused.status if refused else 200,
        path=f"/accounts/{user.id}/roles" if user else "/accounts/new",
        user=user,
        place=place,
        place_name=named.place,
        role_choices=[(role.value, ROLE[role].text) for role in place.roles],
        may_be_operator=viewer.sees_all,
        q=q,
        communes=collectivities.list_collectivities(session, viewer, search=q, page=few) if q else None,
        schools=schools.list_schools(session, viewer, search=q, page=few) if q else None,
        read=reader.raw if reader else lambda _name: "",
        **refusals.explained(refused, FIELDS),
    )

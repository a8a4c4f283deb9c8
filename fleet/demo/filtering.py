"""The demonstration's filtering: a room to run a lesson in, a list of names for it, a site that the school asks for."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.demo.people import LEAD, SCHWEITZER, TECHNICIAN, viewer_of
from fleet.filtering.exceptions import name_lists, requests, rooms
from fleet.filtering.policy import presets
from fleet.filtering.policy.models import FilterProfile, FilterRoom
from fleet.filtering.policy.places import find_place
from fleet.schools import service as schools

ROOM = "Salle informatique"
ROOM_NETWORK = "127.0.2.0/24"
"""Loopback: `kdig -b 127.0.2.1` asks as the room does, on any machine."""
PROFILE = "elementaire"
LESSON_NAMES = ("vikidia.org", "universalis-edu.com", "education.fr", "education.gouv.fr", "wikipedia.org")


def ensure_filtering(session: Session, now: datetime) -> bool:
    """Add the room, its list and the request, once; return whether they were missing."""
    technician, lead = viewer_of(session, TECHNICIAN), viewer_of(session, LEAD)
    school = schools.get_school_by_uai(session, technician, SCHWEITZER)
    if session.scalar(select(FilterRoom.id).where(FilterRoom.school_id == school.id).limit(1)) is not None:
        return False
    presets.ensure_profiles(session, now)
    profile = session.scalars(select(FilterProfile).where(FilterProfile.slug == PROFILE)).one()
    room = rooms.add_room(session, technician, school, ROOM, now)
    place = find_place(session, technician, room_id=room.id)
    rooms.add_network(session, technician, ROOM_NETWORK, profile, place, now)
    at_school = find_place(session, lead, school_id=school.id)
    name_lists.save_list(session, lead, at_school, "Recherche documentaire", LESSON_NAMES, now)
    requests.ask(
        session,
        lead,
        name="www.twitch.tv",
        reason="La finale du concours de robotique y est retransmise vendredi, pour la classe de CM2.",
        school_id=school.id,
        profile=profile,
        now=now - timedelta(hours=3),
    )
    return True

"""What schools and technicians did about filtering: rooms, lessons, overrides and requests, in every state."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from fleet.demo.people import LEAD, SCHWEITZER, TECHNICIAN, viewer_of
from fleet.devices import service as devices
from fleet.filtering import service as filtering
from fleet.filtering.exceptions import lessons, name_lists, overrides, requests, rooms
from fleet.filtering.exceptions.overrides import Verdict, Wish
from fleet.filtering.policy.models import FilterRoom
from fleet.filtering.policy.places import find_place
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.scope import Viewer

FRENCH = ("gallica.bnf.example", "lumni.example", "musee-archerie.example", "vikidia.example")


def add_filtering_of_schools(session: Session, school: School, neighbours: School, now: datetime) -> dict[str, UUID]:
    """Fill the portal; returns the ids that pages are about."""
    staff, lead = viewer_of(session, TECHNICIAN), viewer_of(session, LEAD)
    led = schools.get_school_by_uai(session, staff, SCHWEITZER)
    room = add_room(session, staff, led, "Salle informatique", "10.21.94.0/24", now)
    library = add_room(session, staff, led, "BCD", "10.21.95.0/24", now)
    rooms.add_room(session, staff, led, "Salle des maîtres", now)
    add_room(session, staff, neighbours, "Salle voisine", "10.31.1.0/24", now)
    add_room(session, staff, school, "Salle 2", "10.22.2.0/24", now)
    add_device(session, staff, school, now)
    name_lists.save_list(session, lead, find_place(session, lead, school_id=led.id), "Histoire", FRENCH, now)
    add_lessons(session, lead, library, now)
    return {
        "led_school": led.id,
        "room": room.id,
        "school_without_room": schools.list_schools(session, staff, search="Château-Thierry").rows[0].id,
        **add_overrides(session, staff, school, now),
        **add_requests(session, staff, lead, led, room, now),
    }


def add_room(session: Session, staff: Viewer, school: School, name: str, cidr: str, now: datetime) -> FilterRoom:
    room = rooms.add_room(session, staff, school, name, now)
    found = find_place(session, staff, room_id=room.id)
    rooms.add_network(session, staff, cidr, filtering.ensure_default_profile(session), found, now)
    return room


def add_device(session: Session, staff: Viewer, school: School, now: datetime) -> None:
    """One device with a profile of its own, outside of any room."""
    device = devices.list_devices(session, staff, school_id=school.id).rows[0]
    rooms.set_label(session, staff, device.id, filtering.list_profiles(session)[-1], None, now)


def add_lessons(session: Session, lead: Viewer, room: FilterRoom, now: datetime) -> None:
    """One that was stopped, one that came to its end, one that runs for hours."""
    for days, minutes, title in ((9, 50, "Histoire, CM2"), (2, 30, "Évaluation de calcul")):
        at = now - timedelta(days=days)
        lesson = lessons.start_lesson(session, lead, room.id, minutes=minutes, names=FRENCH[:2], title=title, now=at)
        if days == 9:
            lessons.stop_lesson(session, lead, lesson, at + timedelta(minutes=20))
    lessons.start_lesson(session, lead, room.id, minutes=240, names=FRENCH, title="Journée du livre", now=now)


def add_overrides(session: Session, staff: Viewer, school: School, now: datetime) -> dict[str, UUID]:
    """Running, to come, ended and taken back; of a school, a collectivity and everybody."""
    day = timedelta(days=1)
    wishes = {
        "override": Wish(Verdict.ALLOW, "Projet Europe avec le collège", now, now + 12 * day, ["chaine.example"]),
        "coming": Wish(Verdict.BLOCK, "Semaine sans jeux", now + day, now + 8 * day, [], ["games"]),
        "revoked": Wish(Verdict.ALLOW, "Essai", now, now + 3 * day, ["essai.example"]),
    }
    places = {"override": (None, school.id), "coming": (school.collectivity_id, None), "revoked": (None, None)}
    ids = {}
    for name, wish in wishes.items():
        found = find_place(session, staff, *places[name])
        ids[name] = overrides.add_override(session, staff, found, None, wish, now).id
    overrides.revoke_override(session, staff, overrides.get_override(session, staff, ids["revoked"]), now)
    earlier = now - 30 * day
    wish = Wish(Verdict.ALLOW, "Défi lecture", earlier, now - 20 * day, ["defi.example"])
    found = find_place(session, staff, school_id=school.id)
    overrides.add_override(session, staff, found, None, wish, earlier)
    return {"override": ids["override"]}


def add_requests(
    session: Session, staff: Viewer, lead: Viewer, led: School, room: FilterRoom, now: datetime
) -> dict[str, UUID]:
    """From a block page and from the portal; asked, accepted, declined."""
    node, _ = filtering.register_filter(session, "Guise, Albert-Schweitzer", led, now)
    asker = requests.Asker(room=str(room.id), profile="elementaire")
    blocked = requests.receive_request(
        session, node, id=uuid4(), name="www.arenalasvegas.com", reason="Exposé sur les jeux de hasard, cycle 3",
        contact="Classe de Mme Petit", asker=asker, asked_at=now - timedelta(hours=2), now=now,
    )  # fmt: skip

    def ask(name: str, reason: str) -> UUID:
        return requests.ask(session, lead, name=name, reason=reason, school_id=led.id, profile=None, now=now).id

    waiting = ask("reseau-social.example", "Compte de l’école")
    for name, is_allowed in (("blog.example", True), ("jeu.example", False)):
        asked = requests.get_request(session, staff, ask(name, "Classe découverte de juin"))
        if is_allowed:
            found, ends = find_place(session, staff, school_id=led.id), now + timedelta(days=20)
            requests.allow_request(session, staff, asked, found, None, ends=ends, answer="Bon séjour.", now=now)
            allowed = asked.id
        else:
            requests.decline_request(session, staff, asked, "Le site vend les données de ses visiteurs.", now)
            declined = asked.id
    return {"request": blocked.id, "waiting": waiting, "allowed_request": allowed, "declined_request": declined}

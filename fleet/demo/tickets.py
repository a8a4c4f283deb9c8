"""The demonstration's tickets: invented troubles, from just opened to closed."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.accounts.models import User
from fleet.demo.people import LEAD, NEIGHBOUR, OFFICER, SCHWEITZER, TECHNICIAN, Person, viewer_of
from fleet.devices import service as devices
from fleet.devices.models import Device, DeviceKind
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.tickets import service
from fleet.tickets.models import Ticket, TicketKind, TicketSubject

KEY = "demonstration-"
INCIDENT, REQUEST = TicketKind.INCIDENT, TicketKind.REQUEST


def ensure_tickets(session: Session, now: datetime) -> int:
    """Open them and bring each to its state, once; return how many were added."""
    if session.scalar(select(Ticket.id).where(Ticket.request_key.contains(KEY)).limit(1)) is not None:
        return 0
    story = Story(session, now)
    story.just_opened()
    story.assigned_and_answered()
    story.planned()
    story.waiting()
    story.solved()
    story.closed()
    return story.count


class Story:
    """Six tickets told by the verbs that people use, at the moments when they would have."""

    def __init__(self, session: Session, now: datetime) -> None:
        self.session = session
        self.now = now
        self.technician = viewer_of(session, TECHNICIAN)
        self.technician_id = session.scalars(select(User.id).where(User.email == TECHNICIAN.email)).one()
        self.count = 0

    def ago(self, days: float) -> datetime:
        return self.now - timedelta(days=days)

    def school(self, uai: str) -> School:
        return schools.get_school_by_uai(self.session, self.technician, uai)

    def open(
        self, by: Person, days: float, kind: TicketKind, title: str, description: str,
        *, school: School | None = None, device: Device | None = None, subject: TicketSubject = TicketSubject.SCHOOL,
    ) -> Ticket:  # fmt: skip
        self.count += 1
        return service.open_ticket(
            self.session, viewer_of(self.session, by), kind=kind, subject=subject, title=title,
            description=description, school=school, device=device, request_key=f"{KEY}{self.count}",
            now=self.ago(days),
        )  # fmt: skip

    def assign(self, ticket: Ticket, days: float) -> Ticket:
        return service.assign_ticket(self.session, self.technician, ticket, self.technician_id, self.ago(days))

    def just_opened(self) -> None:
        self.open(
            OFFICER, 0.1, INCIDENT, "Plus d’image sur l’écran de la salle 2",
            "Le son marche, l’image reste noire depuis ce matin. Le câble a été vérifié.",
            school=self.school("0021089Y"),
        )  # fmt: skip

    def assigned_and_answered(self) -> None:
        ticket = self.open(
            LEAD, 2, REQUEST, "Accès à l’ENT pour une nouvelle collègue",
            "Une collègue est arrivée lundi en CE2 et n’a pas encore ses identifiants.",
            school=self.school(SCHWEITZER), subject=TicketSubject.ENT,
        )  # fmt: skip
        ticket = self.assign(ticket, 1.8)
        service.follow_up(
            self.session, self.technician, ticket, "La demande est partie chez l’éditeur de l’ENT.", True, self.ago(1.7)
        )

    def planned(self) -> None:
        ticket = self.open(
            NEIGHBOUR, 4, INCIDENT, "Wi-Fi trop faible dans la classe du fond",
            "Six tablettes sur dix perdent le réseau dès qu’on ferme la porte.", school=self.school("0021997K"),
        )  # fmt: skip
        ticket = self.assign(ticket, 3.5)
        visit = (self.now + timedelta(days=3)).replace(hour=8, minute=30, second=0, microsecond=0)
        service.plan_ticket(self.session, self.technician, ticket, visit, self.ago(3))

    def waiting(self) -> None:
        tablet = devices.list_devices(
            self.session, self.technician, kind=DeviceKind.TABLET, school_id=self.school(SCHWEITZER).id
        ).rows[0]
        ticket = self.open(
            LEAD, 6, INCIDENT, "Vitre fendue sur une tablette", "Tombée d’une table, l’écran répond encore.",
            device=tablet, subject=TicketSubject.DEVICE,
        )  # fmt: skip
        ticket = self.assign(ticket, 5.5)
        service.hold_ticket(
            self.session, self.technician, ticket, "Devis demandé à l’assurance de la commune.", self.ago(5)
        )

    def solved(self) -> None:
        ticket = self.open(
            OFFICER, 9, INCIDENT, "Un site de calcul est bloqué",
            "La page des tables de multiplication ne s’ouvre pas.", school=self.school("0021089Y"),
        )  # fmt: skip
        ticket = self.assign(ticket, 8.5)
        service.solve_ticket(
            self.session, self.technician, ticket, "Le site était rangé dans les jeux : nom autorisé.", self.ago(8)
        )

    def closed(self) -> None:
        ticket = self.open(
            NEIGHBOUR, 20, REQUEST, "Malle de robots pour la semaine des sciences",
            "Deux classes de CM voudraient l’emprunter.", school=self.school("0021997K"),
        )  # fmt: skip
        ticket = self.assign(ticket, 19)
        ticket = service.solve_ticket(
            self.session, self.technician, ticket, "Malle livrée, retour prévu le vendredi.", self.ago(15)
        )
        service.close_ticket(self.session, viewer_of(self.session, NEIGHBOUR), ticket, self.ago(12))

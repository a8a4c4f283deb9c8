"""Going back: the content of an earlier publication is published anew, under a serial that filters accept."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from fleet.db import after_commit
from fleet.errors import Conflict
from fleet.filtering import tasks
from fleet.filtering.models import Publication
from fleet.filtering.policy import events
from fleet.filtering.publishing import publications
from fleet.scope import Action, Viewer


def return_to(session: Session, viewer: Viewer, publication_id: UUID, now: datetime) -> Publication:
    """Ask for the content of an earlier publication. The nights publish nothing until a person publishes again.

    Raise NotAllowed, NotFound, or Conflict when it is the current content already, or is not kept any more.
    """
    viewer.must(Action.PUBLISH_FILTER)
    earlier = publications.get_publication(session, publication_id)
    current = publications.find_latest(session)
    if not publications.has_content(session, earlier.id):
        raise Conflict("filtering.content_gone", "Le contenu de cette publication n’est plus gardé.")
    if current is not None and current.digest == earlier.digest:
        raise Conflict("filtering.already_current", "Ce contenu est déjà celui que les filtres reçoivent.")
    publication = publications.add_return(session, earlier, viewer.name, now)
    events.note(
        session, viewer.name, "publication.return", f"Publication {earlier.serial}", now, subject_id=earlier.id,
        before={"serial": current.serial if current else None}, after={"returns_to": earlier.serial},
    )  # fmt: skip
    after_commit(session, tasks.compile_publication.delay, str(publication.id))
    return publication

"""Who may read and change what is the operator's in filtering: sources, publications, filters."""

from typing import Annotated

from fastapi import Depends

from fleet.accounts.access import CurrentViewer
from fleet.errors import NotAllowed
from fleet.scope import Action, Viewer


def operator_viewer(viewer: CurrentViewer) -> Viewer:
    """Filtering is the operator's: others see what concerns them elsewhere."""
    if not viewer.sees_all:
        raise NotAllowed("filtering.operator_only", "Le filtrage est réglé par l’ADICA.")
    return viewer


def publishing_viewer(viewer: CurrentViewer) -> Viewer:
    """Whoever may change what filters do."""
    viewer.must(Action.PUBLISH_FILTER)
    return viewer


OperatorViewer = Annotated[Viewer, Depends(operator_viewer)]
PublishingViewer = Annotated[Viewer, Depends(publishing_viewer)]

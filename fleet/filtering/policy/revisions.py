"""Revisions of layers: who replaces a whole layer says which one he saw, so that nobody else's change is lost."""

import hashlib
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from fleet.errors import Outdated
from fleet.filtering.policy.layers import SILENT, LayerSettings
from fleet.filtering.policy.models import FilterLayer

PARIS = ZoneInfo("Europe/Paris")
ANY = "*"
"""Whatever is said there, so long as anything is (RFC 9110, 13.1.1)."""


def revision_of(says: LayerSettings) -> str:
    """What tells one state of a layer from the others: a digest of its lines, with who wrote each and when."""
    return hashlib.sha256(msgspec.json.encode(says)).hexdigest()[:32]


def revision_at(layer: FilterLayer | None) -> str:
    """The revision of what a node says; without a layer it is silent."""
    return revision_of(layer.says if layer is not None else SILENT)


def tags_of(seen: str) -> list[str]:
    """The revisions that a value of ``If-Match`` names, or the one that stands there bare.

    RFC 9110 (13.1.1) compares strongly: a weak tag matches nothing. Ours are taken all the same as ``W/"…"``: proxies
    that compress an answer weaken its tag, and a revision stands for the lines of a layer, not for the bytes that told
    them. Whoever read it behind such a proxy could not write otherwise.
    """
    return [tag.strip().removeprefix("W/").strip('"') for tag in seen.split(",")]


def check_revision(layer: FilterLayer | None, seen: str | None) -> None:
    """Raise Outdated when a layer (None: its node is silent) is another than the one seen; None was never asked.
    ``seen`` may be the value of ``If-Match``, with several tags.
    """
    if seen is None or revision_at(layer) in tags_of(seen):
        return
    if seen.strip() == ANY and layer is not None:
        return
    raise Outdated("filtering.layer_changed", f"{_told(layer)} depuis que vous l’avez lu : rien n’est enregistré.")


def _told(layer: FilterLayer | None) -> str:
    if layer is None:
        return "Ce réglage n’existe plus, ou a été vidé"
    return f"Ce réglage a été modifié par {layer.updated_by} {moment(layer.updated_at)},"


def moment(at: datetime) -> str:
    """``le 24/11/2026 à 12:00:05``: to the second, since it is another's change of the same minute at times."""
    return at.astimezone(PARIS).strftime("le %d/%m/%Y à %H:%M:%S")

"""What people call the flat profiles that filters name: a profile, and the node that has its own of it."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from fleet.collectivities.models import Collectivity
from fleet.filtering.policy.models import FilterProfile, FilterRoom
from fleet.filtering.policy.resolving import base_slug
from fleet.schools.models import School


def profile_names(session: Session, slugs: Collection[str]) -> Mapping[str, str]:
    """Slug -> « Élémentaire, École Jean Macé »; a part that is gone since stays as the slug has it."""
    profiles = dict(session.execute(select(FilterProfile.slug, FilterProfile.name)).all())
    nodes = {node for slug in slugs for node in slug.partition("@")[2].split("/", 1) if node}
    places = _names_of(session, nodes)
    return {
        slug: ", ".join([
            profiles.get(base_slug(slug), base_slug(slug)),
            *(places.get(node, node) for node in slug.partition("@")[2].split("/", 1) if node),
        ])
        for slug in slugs
    }  # fmt: skip


def _names_of(session: Session, nodes: Collection[str]) -> dict[str, str]:
    """What stands behind the ``@`` of a slug (see resolving.Tree) -> what people call it."""
    found = dict(session.execute(select(School.uai, School.name).where(School.uai.in_(nodes))).all())
    for ids, names in ((Collectivity.id, Collectivity.name), (FilterRoom.id, FilterRoom.name)):
        short = _short(ids)
        found |= dict(session.execute(select(short, names).where(short.in_(nodes))).all())
    return found


def _short(column: InstrumentedAttribute[UUID]) -> ColumnElement[str]:
    """The first twelve digits of an id."""
    return func.left(func.replace(cast(column, Text), "-", ""), 12)

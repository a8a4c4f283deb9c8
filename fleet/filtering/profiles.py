"""Who is filtered how: profiles, the networks that get them, and both as the compiler takes them."""

import re
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload

from filter.clients import NetworkInvalid, parse_network
from filter.names import NameRefused, clean_name
from filter.settings import SCHOOL_CATEGORIES, NetworkSettings, PolicySettings, ProfileSettings
from fleet.errors import Conflict, Invalid, NotFound
from fleet.filtering.models import FilterNetwork, FilterProfile
from fleet.schools.models import School

DEFAULT_SLUG = "ecole"
WHITE_CATEGORIES = ("child", "educational_games", "liste_blanche", "liste_bu", "sexual_education")
"""UT1 lists that their authors mean to stay reachable at school."""
CATEGORY = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MAX_NAMES = 5000


def ensure_default_profile(session: Session) -> FilterProfile:
    """The profile of whoever is in no known network; made with a school's usual categories when there is none."""
    fresh = insert(FilterProfile).values(
        slug=DEFAULT_SLUG,
        name="École",
        is_default=True,
        blocked_categories=list(SCHOOL_CATEGORIES),
        allowed_categories=list(WHITE_CATEGORIES),
        denied_names=[],
        allowed_names=[],
    )
    query = select(FilterProfile).where(FilterProfile.is_default)
    profile = session.scalar(query)
    if profile is None:
        session.execute(fresh.on_conflict_do_nothing(index_elements=["slug"]))
        profile = session.scalars(query).one()
    return profile


def list_profiles(session: Session) -> list[FilterProfile]:
    """Every profile, the default one first, then by name."""
    return list(session.scalars(select(FilterProfile).order_by(FilterProfile.is_default.desc(), FilterProfile.name)))


def get_profile(session: Session, profile_id: UUID) -> FilterProfile:
    """The profile; raise NotFound."""
    profile = session.get(FilterProfile, profile_id)
    if profile is None:
        raise NotFound("filtering.profile_not_found", "Ce profil n’existe pas.")
    return profile


def clean_categories(categories: Iterable[str]) -> list[str]:
    """Sorted, each once; raise Invalid naming those that cannot be a category."""
    wanted = sorted({category.strip() for category in categories})
    if wrong := [category for category in wanted if not CATEGORY.fullmatch(category)]:
        raise Invalid("filtering.bad_category", f"Catégories invalides : {', '.join(w[:60] for w in wrong[:10])}.")
    return wanted


def clean_names(names: Iterable[str]) -> list[str]:
    """As the filter compares them, sorted, each once; raise Invalid naming those that are no domain name."""
    cleaned, wrong = set(), []
    for name in names:
        try:
            cleaned.add(clean_name(name))
        except NameRefused:
            wrong.append(name)
    if wrong:
        raise Invalid("filtering.bad_name", f"Noms de domaine invalides : {', '.join(w[:80] for w in wrong[:10])}.")
    if len(cleaned) > MAX_NAMES:
        raise Invalid("filtering.too_many_names", f"Un profil porte au plus {MAX_NAMES} noms.")
    return sorted(cleaned)


def list_networks(session: Session) -> list[FilterNetwork]:
    """Every network, its profile loaded."""
    query = select(FilterNetwork).options(joinedload(FilterNetwork.profile))
    return list(session.scalars(query.order_by(FilterNetwork.cidr)))


def add_network(session: Session, cidr: str, profile: FilterProfile, school: School | None) -> FilterNetwork:
    """Give the clients of a network a profile; raise Invalid for what is no network, Conflict for a known one."""
    try:
        cidr = str(parse_network(cidr.strip()))
    except NetworkInvalid as error:
        raise Invalid("filtering.bad_network", f"{error}.") from error
    if session.scalar(select(FilterNetwork.id).where(FilterNetwork.cidr == cidr)) is not None:
        raise Conflict("filtering.network_taken", f"Le réseau {cidr} a déjà un profil.")
    network = FilterNetwork(cidr=cidr, profile=profile, school_id=school.id if school else None)
    session.add(network)
    session.flush()
    return network


def remove_network(session: Session, network_id: UUID) -> None:
    """Its clients get the next larger network's profile, or the default one; raise NotFound."""
    network = session.get(FilterNetwork, network_id)
    if network is None:
        raise NotFound("filtering.network_not_found", "Ce réseau n’existe pas.")
    session.delete(network)


def policy_settings(session: Session) -> PolicySettings:
    """All that was decided, as the compiler takes it."""
    default = ensure_default_profile(session)
    return PolicySettings(
        profiles=tuple(
            ProfileSettings(
                slug=profile.slug,
                name=profile.name,
                blocked_categories=tuple(profile.blocked_categories),
                allowed_categories=tuple(profile.allowed_categories),
                denied_names=tuple(profile.denied_names),
                allowed_names=tuple(profile.allowed_names),
            )
            for profile in list_profiles(session)
        ),
        default_profile=default.slug,
        networks=tuple(NetworkSettings(n.cidr, n.profile.slug) for n in list_networks(session)),
    )

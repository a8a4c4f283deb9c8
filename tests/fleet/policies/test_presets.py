"""Ready-made profiles: made once, left as people changed them, and what they say."""

import json

from alembic import command
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session

from filter.deciding.safesearch import ENGINES
from filter.deciding.services import SERVICES
from filter.lists.titles import TITLES
from filter.settings import Verdict, YouTube
from fleet.embedded.postgres import Postgres
from fleet.filtering import service
from fleet.filtering.policy import presets
from fleet.filtering.policy.models import FilterLayer, FilterProfile
from fleet.filtering.policy.presets import CLASS_HOURS, PRESETS
from fleet.filtering.policy.profiles import policy_settings
from fleet.migrate import alembic_config, migrate
from fleet.scope import Viewer
from tests.conftest import run_outside_transaction
from tests.factories import NOON
from tests.fleet.deciding import profile_named


def test_ready_made_profiles_are_made_once_and_stay_as_people_left_them(session: Session, staff: Viewer) -> None:
    presets.ensure_profiles(session, NOON)
    college = profile_named(session, "college")
    service.update_profile(session, staff, college.id, name="Collèges", blocked_categories=["vpn"], now=NOON)
    presets.ensure_profiles(session, NOON)
    assert service.list_profiles(session)[0].slug == "elementaire"
    assert {p.slug for p in service.list_profiles(session)} == {preset.slug for preset in PRESETS}
    assert (college.name, college.blocked_categories) == ("Collèges", ["vpn"])
    assert len(session.scalars(select(FilterLayer)).all()) == len(PRESETS)


def test_ready_made_profiles_say_what_they_should() -> None:
    known = {*TITLES, *(each.category for each in SERVICES.values())}
    for preset in PRESETS:
        assert {line.category for line in preset.says.categories} <= known
        assert {line.schedule for line in preset.says.categories} <= {None, CLASS_HOURS}
        assert "adult" in {line.category for line in preset.says.categories if line.verdict is Verdict.BLOCK}
    says = {preset.slug: preset.says for preset in PRESETS}
    assert {line.engine for line in says["maternelle"].engines} == set(ENGINES)
    assert not says["personnels"].engines
    levels = {slug: line.youtube.level if line.youtube else YouTube.OFF for slug, line in says.items()}
    assert levels == {
        "maternelle": "strict",
        "elementaire": "strict",
        "college": "moderate",
        "personnels": "off",
        "ecrans": "moderate",
    }
    social = {line.category: line.schedule for line in says["college"].categories}["social_networks"]
    assert social == CLASS_HOURS


def test_what_profiles_said_before_layers_is_kept(postgres: Postgres) -> None:
    """The default profile of the first tables becomes « Élémentaire », its choices as they were; back, they return."""
    run_outside_transaction(postgres, "CREATE DATABASE preau_older")
    url = postgres.url("preau_older")
    migrate(url, "0002")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO filter_profiles"
                " VALUES ('ecole', 'École', true, :blocked, :allowed, :denied, :names, now(), gen_random_uuid())"
            ),
            {
                "blocked": json.dumps(["vpn", "child"]), "allowed": json.dumps(["child"]),
                "denied": json.dumps(["a.example"]), "names": json.dumps(["b.example"]),
            },
        )  # fmt: skip
    migrate(url)
    with Session(engine) as session:
        [profile] = session.scalars(select(FilterProfile))
        assert (profile.slug, profile.name, profile.is_default) == ("elementaire", "Élémentaire", True)
        assert (profile.blocked_categories, profile.allowed_categories) == (["vpn"], ["child"])
        assert (profile.denied_names, profile.allowed_names) == (["a.example"], ["b.example"])
        assert flat_slugs(session) == {preset.slug for preset in PRESETS}
        assert profile.blocked_categories == ["vpn"]
        session.commit()
    command.downgrade(alembic_config(url), "0002")
    with engine.begin() as connection:
        row = connection.execute(text("SELECT * FROM filter_profiles WHERE is_default")).mappings().one()
        assert (row["slug"], row["blocked_categories"], row["denied_names"]) == ("ecole", ["vpn"], ["a.example"])
    engine.dispose()
    run_outside_transaction(postgres, "DROP DATABASE preau_older WITH (FORCE)")


def flat_slugs(session: Session) -> set[str]:
    return {profile.slug for profile in policy_settings(session, NOON).profiles}

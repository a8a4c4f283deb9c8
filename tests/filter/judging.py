"""Policies made by a test, opened as a filter opens them: compiled to two files, mapped."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from filter.bundle import NamesFile, PolicyFile
from filter.lists.source import ListSource
from filter.policy import Decision, Policy, Query, decide
from filter.settings import CategoryRule, NetworkSettings, PolicySettings, ProfileSettings, Verdict
from tests.filter.conftest import compile_pair, policy_of

A, CNAME, TXT, AAAA, HTTPS = 1, 5, 16, 28, 65
MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
"""10 o'clock in Paris, on a school day."""


def open_policy(directory: Path, lists: Iterable[ListSource], settings: PolicySettings) -> Policy:
    names = compile_pair(lists, settings, directory / "noms", serial=1)
    return Policy(NamesFile.open(names), PolicyFile.open(policy_of(names)))


def one_profile(**fields: object) -> PolicySettings:
    """A policy of one profile, which blocks the categories ``jeux`` and ``pub`` and allows ``ecole``.

    Its clients are in the room ``101``. Fields of PolicySettings and of ProfileSettings are told apart by their name.
    """
    common = {key: fields.pop(key) for key in list(fields) if key in PolicySettings.__dataclass_fields__}
    categories = (
        CategoryRule("jeux", Verdict.BLOCK, layer="Aisne"),
        CategoryRule("pub", Verdict.BLOCK),
        CategoryRule("ecole", Verdict.ALLOW, layer="Guise"),
    )
    profile = ProfileSettings(**{"slug": "p", "name": "Profil", "categories": categories} | fields)  # type: ignore[arg-type]
    networks = (NetworkSettings("0.0.0.0/0", "p", "101"),)
    return PolicySettings(**{"profiles": (profile,), "default_profile": "p", "networks": networks} | common)  # type: ignore[arg-type]


def judge(policy: Policy, name: str, qtype: int = A, now: datetime = MONDAY) -> Decision:
    """What happens to a query from the room 101."""
    return decide(Query(name, qtype), policy.profile_for("192.0.2.7"), now)


def said(decision: Decision) -> str:
    """Action and rule in one word, for tables of cases."""
    return f"{decision.action}/{decision.rule}"

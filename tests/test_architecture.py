"""The arrows between the parts, the order of the features, and names that say nothing."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("agent", "filter", "fleet", "dashboards")
MAY_IMPORT = {
    "agent": {"agent"},
    "filter": {"filter"},
    "fleet": {"fleet", "agent.protocol", "agent.packaging"}
    | {
        f"filter.{m}"
        for m in (
            "addresses",
            "bundle",
            "calendar",
            "clients",
            "compiler",
            "deciding.decisions",
            "deciding.safesearch",
            "deciding.services",
            "domains",
            "explaining",
            "layout",
            "lists",
            "names",
            "normalising",
            "policy",
            "rules",
            "schedules",
            "settings",
            "signing",
        )
    },
    # Pages show the contract's plain data as it is, and call a category what the page of a blocked site calls it.
    "dashboards": {"dashboards", "fleet", "agent.protocol", "filter.lists.titles"},
}
FEATURES = [
    "accounts", "audit", "saved_filters", "jobs", "collectivities", "schools", "grants", "imports", "ent", "devices",
    "filtering", "configuration", "platforms", "commands", "rollouts", "enrollment", "checkins", "tickets", "renewals",
]  # fmt: skip
"""A feature imports only those before it. Its cli.py is an edge that composes, like the portal.

Accounts stand before collectivities: every route asks who is there, while a role names its node by id only. Nobody
writes through audit (triggers do, and fleet.actors tells them who): it stands after what its own pages ask. Jobs stand
low, since any feature may ask for one; how a kind is done is registered from above (jobs/running.py).
"""
STANDARD_LIBRARY_ONLY = (
    "agent",
    "filter/bundle.py",
    "filter/layout",
)
BANNED = {"utils", "helpers", "common", "base", "manager", "misc"}


def modules(part: str) -> Iterator[Path]:
    yield from sorted((ROOT / part).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every absolute module name that a file imports, with its line; ``from a import b`` counts as ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def below(name: str, allowed: set[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in allowed)


@pytest.mark.parametrize("part", PARTS)
def test_arrows(part: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(part)
        for line, name in imports(path)
        if name.split(".")[0] in PARTS and not below(name, MAY_IMPORT[part])
    ]
    assert wrong == []


def feature_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "fleet" and parts[1] in FEATURES else None


def test_a_feature_imports_only_those_before_it() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for position, feature in enumerate(FEATURES)
        for path in modules(f"fleet/{feature}")
        if path.name != "cli.py"
        for line, name in imports(path)
        if (other := feature_of(name)) is not None and FEATURES.index(other) > position
    ]
    assert wrong == []


def test_every_feature_has_its_place() -> None:
    known = {*FEATURES, "embedded", "demo", "migrations"}
    assert {p.name for p in (ROOT / "fleet").iterdir() if (p / "__init__.py").exists()} <= known


@pytest.mark.parametrize("place", STANDARD_LIBRARY_ONLY)
def test_what_runs_alone_needs_the_standard_library_only(place: str) -> None:
    path = ROOT / place
    own = {"agent", "filter"}
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in ([path] if path.is_file() else modules(place))
        for line, name in imports(file)
        if name.split(".")[0] not in sys.stdlib_module_names | own
    ]
    assert wrong == []


def test_the_portal_never_touches_the_database_library() -> None:
    wrong = [str(p) for p in modules("dashboards") for _, name in imports(p) if name.split(".")[0] == "sqlalchemy"]
    assert wrong == []


def test_every_package_file_is_empty_and_no_name_says_nothing() -> None:
    for part in PARTS:
        for path in modules(part):
            assert path.stem not in BANNED, path
            if path.name == "__init__.py":
                assert path.read_text() == "", path


@pytest.mark.parametrize("part", PARTS)
def test_every_module_opens_with_what_it_is(part: str) -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules(part)
        if path.name != "__init__.py" and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []


def test_blanket_catches_live_in_the_known_places_only() -> None:
    """The agent's tick, the filter's answer, its question to resolvers and what is kept of theirs, its lessons to the
    plane, a worker's place, and loops over items (lists, orders, jobs) that report each failure."""
    known = {"agent/loop.py", "agent/apply.py", "filter/serving/handler.py"}
    known |= {f"filter/serving/resolving/{each}.py" for each in ("upstream", "lookup")}
    known |= {"filter/plane/serving.py", "filter/processes/supervisor.py"}
    known |= {f"fleet/filtering/{each}.py" for each in ("publishing/compiling", "lists/fetching", "previews/preparing")}
    known |= {"fleet/jobs/running.py"}
    found = {
        str(path.relative_to(ROOT))
        for part in PARTS
        for path in modules(part)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
    }
    assert found <= known

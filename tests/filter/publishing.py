"""Signed publications for the tests' controller, and a filter that fetches them."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from filter.compiler import compile_names, compile_policy
from filter.settings import PolicySettings, category_rules
from tests.filter.bundles import KEY
from tests.filter.conftest import NOON, SCHOOL, compile_pair, make_list, policy_of
from tests.filter.controller import CREDENTIAL, SmallController
from tests.filter.running import PATIENCE, RunningFilter


class Publisher:
    """Compiles and signs pairs into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pair(self, serial: int, **lists: Iterable[str]) -> Path:
        """Names of these lists, and SCHOOL beside them, both with this serial."""
        sources = [make_list(slug, *names) for slug, names in lists.items()]
        return compile_pair(sources, SCHOOL, self.folder / f"{serial}.preau", serial=serial, sign=KEY.sign)

    def names(self, serial: int, *, signed: bool = True, **lists: Iterable[str]) -> Path:
        path = self.folder / f"{serial}.names"
        sources = [make_list(slug, *names) for slug, names in lists.items()]
        compile_names(sources, path, serial=serial, compiled_at=NOON, sign=KEY.sign if signed else None)
        return path

    def policy(self, serial: int, settings: PolicySettings = SCHOOL) -> Path:
        path = policy_of(self.folder / f"{serial}.alone")
        compile_policy(settings, path, serial=serial, compiled_at=NOON, sign=KEY.sign)
        return path


def blocking(*categories: str) -> PolicySettings:
    """SCHOOL, where every profile blocks exactly these categories."""
    profiles = tuple(replace(each, categories=category_rules(categories)) for each in SCHOOL.profiles)
    return replace(SCHOOL, profiles=profiles)


def filter_options(folder: Path, controller: SmallController, upstream: str) -> list[str]:
    """Options of a filter that speaks with this controller, quick enough for a test."""
    (folder / "credential").write_text(f"{CREDENTIAL}\ned25519 {KEY.public_hex}\n")
    return [
        "--controller", controller.url, "--ca-file", str(controller.ca_file), "--data-dir", str(folder / "data"),
        "--credential-file", str(folder / "credential"), "--interval", "0.2", "--upstream", upstream,
    ]  # fmt: skip


def wait_for_line(running: RunningFilter, message: str, **extras: object) -> None:
    """Until this was logged with these extras."""

    def is_there() -> bool:
        return any(all(line.get(k) == v for k, v in extras.items()) for line in running.logged(message))

    with running.arrived:
        assert running.arrived.wait_for(is_there, PATIENCE), running.lines


def installed(running: RunningFilter, names: int, policy: int | None = None) -> None:
    """Until a pair of these serials is in use; without a second one they are the same."""
    wait_for_line(running, "pair in use", names=names, policy=names if policy is None else policy)


def refused(running: RunningFilter, what: str, outcome: str) -> None:
    """Until names or policy were refused for this reason."""
    wait_for_line(running, f"{what} failed", outcome=outcome)

"""Whatever a policy says, it is refused with a reason or judges every query; what is normalised is never refused.

Policies of ``tests/filter/corpus/policy`` are read in every run; ``./test --long`` changes them at random for
PREAU_LONG seconds (300). What fails is left there, where it stays as a regression test.
"""

import asyncio
import hashlib
import json
import os
import random
import time
from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from filter.bundle import BundleRefused, NamesFile, PolicyFile
from filter.compiler import compile_names, compile_policy
from filter.deciding.decisions import AnswerRecord, Query
from filter.explaining import explain
from filter.layout.writer import write_policy
from filter.normalising import normalise
from filter.policy import Policy, decide, review_answer
from filter.serving.blockpage import find_block
from filter.settings import PolicySettings, SettingsInvalid
from tests.filter.conftest import LISTS, NOON

CORPUS = Path(__file__).parent / "corpus" / "policy"
SECONDS = int(os.environ.get("PREAU_LONG", "300"))
MOMENTS = (NOON, datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), datetime(2037, 12, 31, 23, 30, tzinfo=UTC))
NAMES = (
    "jeu.example",
    "www.google.com",
    "bloque.example",
    "a.rewrite.example",
    "lan",
    "mask.icloud.com",
    "0.1.example",
)
CLIENTS = ("10.2.0.7", "2001:db8::7", "203.0.113.1", "nonsense")
ANSWER = (AnswerRecord("www.example", ("nu.example",)), AnswerRecord("nu.example", (), (b"\x0a\x00\x00\x01",)))
NASTY: tuple[object, ...] = (
    None, True, False, 0, -1, 7, 1 << 70, 1.5, "", " ", "\x00", "é", "x" * 600, "a.example", "*.a.example", "*", ".",
    "com", "lan", "10.0.0.0/8", "::/0", "10.0.0.1/33", "ecole", "block", "allow", "neutral", "Europe/Paris",
    "../etc/passwd",
    "Pacific/Apia", "2026-11-21T12:00:00Z", "2026-11-21T12:00:00", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "9999-12-31", "0001-01-01", "00:00:00", "24:00:00", "23:59:59", "12:00:00+02:00", "A", "AAAA", "192.0.2.1",
    "::ffff:1.2.3.4",
    "www.google.com", "forcesafesearch.google.com", "google", "strict", "zero", "service:tiktok", "[", [], {}, [[]],
    ["a.example"], ["A", "a.example"], [0, 1, 2, 3, 4, 5, 6], "\ud800", "jours-de-classe", "0" * 32, "localhost",
    "1e999",
)  # fmt: skip


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> NamesFile:
    path = tmp_path_factory.mktemp("names") / "names"
    compile_names(LISTS, path, serial=1, compiled_at=NOON)
    return NamesFile.open(path)


def try_policy(names: NamesFile, content: bytes) -> str:
    """``judges``, ``refused`` by a filter, or ``invalid``: what is wrong is said before it is ever published."""
    with TemporaryDirectory() as folder:
        told = as_published(names, content, Path(folder, "policy"))
        try:
            cleaned = normalise(PolicySettings.from_json(content))
        except SettingsInvalid:
            return told
        assert normalise(cleaned) == cleaned
        assert PolicySettings.from_json(cleaned.to_json()) == cleaned
        compile_policy(cleaned, Path(folder, "clean"), serial=1, compiled_at=NOON)
        ask_everything(Policy(names, PolicyFile.open(Path(folder, "clean"))))
        return "judges"


def as_published(names: NamesFile, content: bytes, path: Path) -> str:
    """What a filter makes of it in a policy file of somebody else's making."""
    write_policy(path, serial=1, compiled_at=NOON, settings=content, names_digest="", compiler="x", sign=None)
    try:
        policy = Policy(names, PolicyFile.open(path))
    except BundleRefused:
        return "refused"
    ask_everything(policy)
    return "invalid"


def ask_everything(policy: Policy) -> None:
    """No query fails, at any moment, whoever asks."""
    for now in MOMENTS:
        for client in CLIENTS:
            profile = policy.profile_for(client)
            assert profile.moment(now).until > now
            for name in NAMES:
                query = Query(name)
                review_answer(query, decide(query, profile, now), profile, ANSWER, now)
            explain(policy, Query(NAMES[0], 65), client, now, "label", ANSWER)
    asyncio.run(open_every_page(policy))


async def recall(_name: str, _qtype: int) -> Sequence[AnswerRecord]:
    return ANSWER


async def open_every_page(policy: Policy) -> None:
    """No block page fails, either."""
    for now in MOMENTS:
        for client in CLIENTS:
            await find_block(policy, "bloque.example", client, now, recall)


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_the_policies_of_the_corpus_judge_or_are_refused(names: NamesFile, path: Path) -> None:
    outcome = try_policy(names, path.read_bytes())
    expected = path.name.partition("-")[0]
    assert outcome == expected or expected == "found"


def test_changed_policies_judge_or_are_refused(names: NamesFile) -> None:
    chance = random.Random(20261122)
    met = {try_policy(names, changed_policy(chance)) for _ in range(300)}
    assert met == {"judges", "refused", "invalid"}


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
def test_changed_policies_judge_or_are_refused_for_minutes(names: NamesFile) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")  # shown when the test fails
    chance = random.Random(seed)
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        content = changed_policy(chance)
        try:
            try_policy(names, content)
        except BaseException:
            (CORPUS / f"found-{hashlib.sha256(content).hexdigest()[:12]}").write_bytes(content)
            raise


def changed_policy(chance: random.Random) -> bytes:
    """A policy of the corpus with values replaced, taken out and doubled, and now and then bytes changed."""
    kept = sorted(path for path in CORPUS.iterdir() if path.name.startswith("judges"))
    document = json.loads(chance.choice(kept).read_bytes())
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        change(chance, document)
    content = bytearray(json.dumps(document).encode())
    if chance.random() < 0.2:
        at = chance.randrange(len(content))
        content[at : at + chance.randrange(4)] = chance.choice((b"", b"\xff", b"[", b'"', b"9" * 400, b"\\ud800"))
    return bytes(content)


def change(chance: random.Random, value: object) -> None:
    """One value somewhere below becomes another."""
    while isinstance(value, dict | list) and value:
        key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
        below = value[key]
        if isinstance(below, dict | list) and below and chance.random() < 0.85:
            value = below
            continue
        if isinstance(value, list) and chance.random() < 0.3:
            value.append(deepcopy(chance.choice(value)))
        elif chance.random() < 0.1:
            del value[key]
        else:
            alike = [one for one in NASTY if type(one) is type(below)] if chance.random() < 0.7 else NASTY
            value[key] = deepcopy(chance.choice(alike or NASTY))
        return

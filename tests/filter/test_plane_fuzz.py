"""The plane's core alone, compiled with the address and undefined-behaviour sanitizers, fed with anything."""

import subprocess
from pathlib import Path

import pytest

from tests.requirements import needs

ROOT = Path(__file__).parent.parent.parent
CORE = (
    "packet", "tables", "outcome", "answers", "counting", "limits", "moments", "judging", "plane", "huffman",
    "base64url",
)  # fmt: skip


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("fuzz") / "fuzz"
    plane = ROOT / "filter" / "plane"
    subprocess.run(
        [
            "cc", "-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
            f"-I{plane}", "-o", program, ROOT / "tests" / "filter" / "fuzzing" / "plane.c",
            *(plane / f"{each}.c" for each in CORE), "-pthread",
        ],
        check=True, timeout=120,
    )  # fmt: skip
    return program


def run(program: Path, rounds: int, seed: int) -> list[int]:
    """How many packets became what (plane.h); fails when a sanitizer has something to say."""
    done = subprocess.run([program, str(rounds), str(seed)], capture_output=True, text=True, timeout=3_000)
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


@needs("cc")
def test_damaged_packets_answers_outcomes_and_tables(fuzz: Path) -> None:
    became = run(fuzz, 300_000, 1)

    answered, dropped, missed, odd, moment, name, sets, review, *_ = became
    assert min(answered, dropped, missed, odd, moment, name, sets, review) > 0


@needs("cc")
@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(10, 14))
def test_millions_of_them(fuzz: Path, seed: int) -> None:
    run(fuzz, 20_000_000, seed)

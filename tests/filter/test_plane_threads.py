"""The plane's thread and Python's, watched by the thread sanitizer while both work on the same tables."""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.filter.crowd import Client, Crowd, InForce
from tests.filter.encrypted import EncryptedFilter
from tests.filter.prompt import PromptUpstream
from tests.filter.running import ROOT
from tests.filter.standing import wait_until
from tests.filter.test_garbage import pelt
from tests.filter.test_swaps import Publications, swap_once
from tests.requirements import needs

PLANE = ROOT / "filter" / "plane"
SWAPS = 30


@pytest.fixture(scope="module")
def sanitizer() -> Path:
    """The library that a sanitized module needs loaded before Python is."""
    told = subprocess.run(["cc", "-print-file-name=libtsan.so"], capture_output=True, text=True)
    found = Path(told.stdout.strip())
    if not found.is_absolute() or not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("gcc's thread sanitizer and Python's headers are needed")
    return found.resolve()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The filter with a sanitized plane."""
    folder = tmp_path_factory.mktemp("tsan")
    shutil.copytree(ROOT / "filter", folder / "filter", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    subprocess.run(
        [
            "cc", "-std=c11", "-D_GNU_SOURCE", "-DPy_LIMITED_API=0x030B0000", "-g", "-O1", "-fno-strict-aliasing",
            "-fsanitize=thread", "-shared", "-fPIC", "-pthread", f"-I{sysconfig.get_path('include')}",
            "-o", str(folder / "filter" / "plane" / "_plane.abi3.so"), *map(str, sorted(PLANE.glob("*.c"))),
        ],
        check=True, timeout=120,
    )  # fmt: skip
    return folder


@pytest.fixture
def upstream() -> Iterator[PromptUpstream]:
    with PromptUpstream() as prompt:
        yield prompt


class Watched(EncryptedFilter):
    """Runs from another folder, under the sanitizer."""

    checkout: Path
    sanitizer: Path
    told: Path

    def start(self) -> "subprocess.Popen[str]":
        watching = {
            "LD_PRELOAD": str(self.sanitizer),
            "TSAN_OPTIONS": f"log_path={self.told / 'tsan'}:report_signal_unsafe=0:exitcode=0",
        }
        return subprocess.Popen(
            ["setarch", "-R", sys.executable, "-m", "filter", *self.options],
            cwd=self.checkout, env=self.environ | watching, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@needs("cc")
@pytest.mark.long
@pytest.mark.timeout(600)
def test_no_race_between_the_planes_thread_and_pythons(
    upstream: PromptUpstream, tmp_path: Path, checkout: Path, sanitizer: Path
) -> None:
    publications, in_force = Publications(tmp_path), InForce()
    options = ("--bundle", str(publications.place), "--upstream", upstream.address, "--plane", "compiled")
    running = Watched(Authority.make(tmp_path), *options, "--workers", "0", "--data-dir", str(tmp_path / "data"))
    running.checkout, running.sanitizer, running.told = checkout, sanitizer, tmp_path
    ways = ("udp", "udp", "tcp", "tls", "https")
    with running, Crowd([Client(running, how, at, in_force) for at, how in enumerate(ways)]) as crowd:
        for swap in range(1, SWAPS + 1):
            swap_once(running, publications, in_force, swap)
            crowd.wait_for_rounds(1, wait_until)
        pelt(running.port, 10_000, 9)
    races = "".join(path.read_text("utf-8", "replace") for path in tmp_path.glob("tsan.*"))
    sys.stderr.write(f"under the thread sanitizer: {crowd.figures}\n")
    assert races == "", races[:4_000]
    figures = crowd.figures  # so slow that a resolver may be too late for a name or two
    assert (figures.unfiltered, figures.wrong, figures.lost) == (0, 0, 0), str(figures)

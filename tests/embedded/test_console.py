"""The one log: readable on a terminal, kept in files, deaf to what a child would do to the terminal."""

import io
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from fleet.embedded.console import PARIS, Console, wants_colour


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "wanted"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, True),  # no-color.org: when present and not empty
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(stream: io.StringIO, environ: dict[str, str], wanted: bool) -> None:
    assert wants_colour(stream, environ) is wanted


def test_each_name_has_its_colour_and_trouble_is_red(tmp_path: Path) -> None:
    output = io.StringIO()
    console = Console(output, tmp_path, colour=True)
    for name in ("un", "deux", "un"):
        console.line(name, "bonjour")
    console.line("deux", "ERROR plus de place")
    lines = output.getvalue().splitlines()
    colours = [re.findall(r"\x1b\[(\d+)m(?:un|deux)", line)[0] for line in lines[:3]]
    assert colours[0] == colours[2] != colours[1]
    assert "\x1b[91mERROR plus de place" in lines[3]


def test_a_child_cannot_write_to_the_terminal_itself(tmp_path: Path) -> None:
    output = io.StringIO()
    Console(output, tmp_path, colour=False).line("bavard", "\x1b[2J\x1b]0;titre\x07tout\r va\x00 bien\x9b31m")
    assert not set(output.getvalue()) & {"\x1b", "\x07", "\r", "\x00", "\x9b"}
    assert "tout va bien" in output.getvalue()


def test_empty_lines_are_left_out(tmp_path: Path) -> None:
    output = io.StringIO()
    Console(output, tmp_path, colour=False).line("bavard", "   \n")
    assert output.getvalue() == ""


def test_files_are_rotated_and_without_the_ready_block(tmp_path: Path) -> None:
    console = Console(io.StringIO(), tmp_path, colour=True)
    for number in range(6):
        console.line("bavard", f"{number} {'x' * 1_000_000}")
    console.block("mot de passe")
    console.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["bavard.log", "bavard.log.1"]
    assert all("\x1b" not in file.read_text() and "mot de passe" not in file.read_text() for file in files)


def test_a_terminal_that_goes_away_stops_nothing(tmp_path: Path) -> None:
    output = io.StringIO()
    console = Console(output, tmp_path, colour=False)
    output.close()
    console.line("bavard", "bonjour")
    console.block("prêt")
    assert "bonjour" in (tmp_path / "bavard.log").read_text()


def test_what_every_start_and_stop_says_is_kept_and_not_shown(tmp_path: Path) -> None:
    output = io.StringIO()
    console = Console(output, tmp_path, colour=False)
    console.line("postgres", "FATAL:  terminating connection due to administrator command")
    console.line("postgres", "FATAL:  password authentication failed")
    console.line("filter", "FATAL:  terminating connection due to administrator command")  # not its own words
    assert [line.split("│ ")[1] for line in output.getvalue().splitlines()] == [
        "FATAL:  password authentication failed",
        "FATAL:  terminating connection due to administrator command",
    ]
    assert "administrator command" in (tmp_path / "postgres.log").read_text()


def test_the_time_is_that_of_the_portal(tmp_path: Path) -> None:
    """Whatever the machine's own zone is: here one far from Paris."""
    code = (
        "import io, pathlib, sys; from fleet.embedded.console import Console; output = io.StringIO();"
        "Console(output, pathlib.Path(sys.argv[1]), colour=False).line('essai', 'bonjour');"
        "print(output.getvalue()[:8])"
    )
    before = datetime.now(PARIS)
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env={**os.environ, "TZ": "Pacific/Kiritimati"},
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    after = datetime.now(PARIS)
    assert f"{before:%H:%M:%S}" <= shown <= f"{after:%H:%M:%S}" or after.date() != before.date()

"""Icons on the desktop: escaped by the book, nothing of others touched, and no way to run anything but a browser."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.actions.shortcuts import AUTOSTART, COPIER, apply_shortcuts, desktop_entry, escape, exec_argument
from agent.protocol import Shortcut
from agent.resource import Place, ResourceFailed
from agent.state import Record
from agent.urls import InvalidUrl, checked_url

MENU = "usr/share/applications"
ENT = Shortcut("ent", "ENT de l’école", "https://ent.example.test/a?b=c&d=%C3%A9#e")


class Shelf:
    """A root and the record of what was put there, like apply() keeps it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.record = Record("shortcuts")

    def remember(self, record: Record) -> None:
        self.record = record

    def apply(self, *shortcuts: Shortcut) -> str:
        change = apply_shortcuts(shortcuts, Place(self.root, self.record, self.remember))
        self.record = change.record
        return change.status

    def names(self) -> set[str]:
        return {path.name for path in (self.root / MENU).glob("*")}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_the_entry_is_what_the_specification_says(shelf: Shelf) -> None:
    assert shelf.apply(ENT) == "applied"
    assert (shelf.root / MENU / "preau-ent.desktop").read_text().splitlines() == [
        "[Desktop Entry]",
        "Type=Application",
        "Version=1.5",
        "Name=ENT de l’école",
        "Icon=applications-internet",
        'Exec=xdg-open "https://ent.example.test/a?b=c&d=%%C3%%A9#e"',
        "Terminal=false",
        "Categories=Network;Education;",
        "X-Preau-Key=ent",
    ]


def test_applied_then_unchanged_then_repaired(shelf: Shelf) -> None:
    assert [shelf.apply(ENT), shelf.apply(ENT)] == ["applied", "unchanged"]
    entry = shelf.root / MENU / "preau-ent.desktop"
    for drift in (
        entry.unlink,
        lambda: entry.write_text("[Desktop Entry]\nExec=rm -rf /\n"),
        lambda: entry.chmod(0o600),
        lambda: replace_by_link(entry),
        (shelf.root / COPIER).unlink,
        (shelf.root / AUTOSTART).unlink,
    ):
        drift()
        assert shelf.apply(ENT) == "repaired"
        assert shelf.apply(ENT) == "unchanged"
        assert not entry.is_symlink()
        assert entry.stat().st_mode & 0o777 == 0o644


def replace_by_link(entry: Path) -> None:
    copy = entry.with_name("elsewhere")
    entry.rename(copy)
    entry.symlink_to(copy)


def test_only_our_own_files_are_removed(shelf: Shelf) -> None:
    (shelf.root / MENU).mkdir(parents=True)
    others = {"libreoffice.desktop", "preau-autre-chose.desktop"}
    for name in others:
        (shelf.root / MENU / name).write_text("[Desktop Entry]\nName=Pas à nous\n")
    shelf.apply(ENT, Shortcut("cantine", "Cantine", "https://c.example.test/"))
    assert shelf.apply(ENT) == "applied"
    assert shelf.names() == {"preau-ent.desktop", *others}
    assert shelf.apply() == "applied"
    assert shelf.names() == others
    assert not (shelf.root / AUTOSTART).exists()
    assert not (shelf.root / COPIER).exists()
    assert shelf.apply() == "unchanged"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/shadow",
        "https://",
        "https://ent.example.test/\nExec=rm",
        'https://ent.example.test/"; rm -rf /',
        "https://ent.example.test/ -o x",
        "https://compte:secret@ent.example.test/",
        "https://ent.example.test:99999/",
        "http://[::1",
        "--help",
        "",
        "https://ent.example.test/é",
    ],
)
def test_a_wrong_address_is_refused_and_hides_no_other(shelf: Shelf, url: str) -> None:
    with pytest.raises(ResourceFailed, match="raccourci 'faux'"):
        shelf.apply(Shortcut("faux", "Faux", url), ENT)
    assert shelf.names() == {"preau-ent.desktop"}


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/b", "", ".", "ENT", "é", "-rf", "a" * 65, "ent"])
def test_a_key_that_cannot_name_a_file_or_comes_twice_is_refused(shelf: Shelf, key: str) -> None:
    with pytest.raises(ResourceFailed, match="clé"):
        shelf.apply(ENT, Shortcut(key, "Autre", "https://a.example.test/"))
    assert shelf.names() == {"preau-ent.desktop"}
    assert not (shelf.root / "etc/passwd").exists()


def test_a_failure_forgets_nothing_that_was_written(shelf: Shelf) -> None:
    with pytest.raises(ResourceFailed):
        shelf.apply(Shortcut("faux", "Faux", "file:///"), ENT)
    assert f"{MENU}/preau-ent.desktop" in shelf.record.files


def read_value(text: str) -> str:
    """Undo the escapes of a string value, as the specification defines them."""
    meanings = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
    return re.sub(r"\\(.)", lambda match: meanings[match[1]], text)


def read_exec(value: str) -> list[str]:
    """Split the Exec line like a launcher: the string's escapes, then quotes, then field codes."""
    words = re.findall(r'"((?:\\.|[^"\\])*)"|(\S+)', read_value(value))
    unquoted = (re.sub(r'\\(["`$\\])', r"\1", quoted) or bare for quoted, bare in words)
    return [word.replace("%%", "%") for word in unquoted]


@given(st.text(max_size=60))
def test_any_title_is_one_value_on_one_line(title: str) -> None:
    line = escape(title)
    assert line.splitlines() in ([line], [])
    assert not line.startswith(" ")
    printable = "".join(c if c.isprintable() else " " for c in title)
    assert read_value(line) == printable


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60))
def test_any_argument_comes_back_whole(argument: str) -> None:
    assert read_exec("xdg-open " + exec_argument(argument)) == ["xdg-open", argument]


@given(st.text(max_size=40), st.text(max_size=40))
def test_an_entry_has_nine_lines_and_one_exec_whatever_is_in_it(title: str, tail: str) -> None:
    try:
        entry = desktop_entry(Shortcut("ent", title, f"https://ent.example.test/{tail}"))
    except InvalidUrl:
        return
    lines = entry.splitlines()
    assert len(lines) == 9
    (command,) = (line for line in lines if line.startswith("Exec="))
    assert read_exec(command.removeprefix("Exec=")) == ["xdg-open", f"https://ent.example.test/{tail}"]


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        assert re.match("https?://", checked_url(text), re.IGNORECASE)
    except InvalidUrl:
        return


def test_each_session_finds_the_icons_on_its_desktop(shelf: Shelf, tmp_path: Path) -> None:
    """The script that the desktop starts, run by a real shell for a real folder."""
    home = tmp_path / "home"
    desktop = home / "Desktop"
    desktop.mkdir(parents=True)
    (desktop / "preau-ancien.desktop").write_text("gone since")
    (desktop / "devoirs.odt").write_text("the pupil's own")
    shelf.apply(ENT)
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PREAU_APPLICATIONS": str(shelf.root / MENU)}
    for _ in range(2):
        subprocess.run(["/bin/sh", str(shelf.root / COPIER)], env=environment, check=True, timeout=20)
        assert {path.name for path in desktop.iterdir()} == {"preau-ent.desktop", "devoirs.odt"}
    copy = desktop / "preau-ent.desktop"
    assert copy.read_bytes() == (shelf.root / MENU / "preau-ent.desktop").read_bytes()
    assert copy.stat().st_mode & 0o111

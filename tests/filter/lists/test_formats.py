"""A list's format is told by its content."""

from pathlib import Path

import pytest

from filter.lists.formats import FORMATS, examine, recognise
from filter.lists.lines import ListRefused

ZONE = """\
$TTL 1h
@ SOA ns.example. moi.example. (
    2026112101 ; serial
    3600
    600
    86400
    60 )
  NS ns.example.
pub.example CNAME .
*.pub.example CNAME .
"""
CONTENTS = [
    ("jeu.example\npari.example\n", "domains"),
    ("# titre\njeu.example # note\n192.0.2.1\n", "domains"),
    ("jeu.example\ncom\nlocalhost\n", "domains"),
    ("http://jeu.example/page\nhttp://pari.example/\n", "domains"),
    ("premier\nsecond\n", "domains"),
    ("*.jeu.example\n*.pari.example\nautre.example\n", "wildcards"),
    ("0.0.0.0 jeu.example\n:: jeu.example\n127.0.0.1 localhost\n", "hosts"),
    ("127.0.0.1\tlocalhost\n# pub\n0.0.0.0 a.example b.example\n", "hosts"),
    ("192.0.2.1\n198.51.100.0/24 ; SBL1\n2001:db8::/32\n192.0.2.1-192.0.2.9\n", "addresses"),
    ("address=/jeu.example/0.0.0.0\nlocal=/pari.example/\nserver=/a.example/\n", "dnsmasq"),
    ("server=/jeu.example/\nno-resolv\n", "dnsmasq"),
    ("[Adblock Plus 2.0]\n! Title: x\n||jeu.example^\n@@||utile.example^$important\n", "adblock"),
    ("/pari[0-9]+/\n||jeu.example^\n", "adblock"),
    ("jeu.example\n||pari.example^\n", "adblock"),
    ("0.0.0.0 jeu.example\npari.example\n||autre.example^\n", "adblock"),
    ("0.0.0.0 jeu.example\npari.example\n", "adblock"),
    ("example.org##.pub\n||jeu.example^\n", "adblock"),
    ("jeu.example^\nexample.*.pub\n|a.example|\n", "adblock"),
    (ZONE, "rpz"),
    ("jeu.example IN CNAME .\n*.jeu.example 60 IN CNAME rpz-passthru.\n", "rpz"),
    ("\ufeff" + "# x\r\n" * 5 + "jeu.example\r\n", "domains"),
]


@pytest.mark.parametrize(("content", "name"), CONTENTS)
def test_a_format_is_recognised(tmp_path: Path, content: str, name: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content.encode())

    assert recognise(path) == name
    assert name in FORMATS
    assert "premières lignes" in examine(path).why


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "aucune ligne"),
        (b"# rien\n\n! rien\n", "aucune ligne"),
        (b"<!DOCTYPE html>\n", "HTML"),
        (b"\x7fELF", "binaire"),
        ("Une lettre, par exemple :\nje vous écris\nd’ici ce soir.\n".encode(), "non reconnu"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)

    with pytest.raises(ListRefused, match=words):
        recognise(path)


def test_a_few_broken_lines_do_not_change_a_format(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("0.0.0.0 jeu.example\n" * 500 + "||a.example^\n?\npari.example\n")

    assert recognise(path) == "hosts"

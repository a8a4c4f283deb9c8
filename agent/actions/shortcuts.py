"""ENT shortcuts: one icon each, in the menu of every account and on its desktop at the next session."""

import re
from collections.abc import Iterable
from pathlib import Path

from agent import files
from agent.protocol import Shortcut
from agent.resource import Change, Place, ResourceFailed, Wanted, converge, digest_of_files, release, with_files
from agent.urls import InvalidUrl, checked_url

APPLICATIONS = "usr/share/applications"
AUTOSTART = "etc/xdg/autostart/preau-desktop.desktop"
COPIER = "usr/lib/preau/desktop-icons"
KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LONGEST_TITLE = 100

ENTRY = """\
[Desktop Entry]
Type=Application
Version=1.5
Name={name}
Icon=applications-internet
Exec=xdg-open {argument}
Terminal=false
Categories=Network;Education;
X-Preau-Key={key}
"""

AUTOSTART_ENTRY = f"""\
[Desktop Entry]
Type=Application
Version=1.5
Name=Préau
Exec=/bin/sh /{COPIER}
NoDisplay=true
X-Preau-Key=desktop
"""

COPIER_SCRIPT = f"""\
#!/bin/sh
# Written by preau-agent: copies the shortcuts onto this account's desktop, and takes away those that are gone.
set -u
desktop=$(xdg-user-dir DESKTOP 2>/dev/null) || desktop=
[ -n "$desktop" ] || desktop=$HOME/Desktop
[ "$desktop" != "$HOME" ] || exit 0
source=${{PREAU_APPLICATIONS:-/{APPLICATIONS}}}
mkdir -p "$desktop" || exit 1
for icon in "$desktop"/preau-*.desktop; do
    [ -e "$source/${{icon##*/}}" ] || rm -f "$icon"
done
for icon in "$source"/preau-*.desktop; do
    [ -e "$icon" ] || continue
    copy=$desktop/${{icon##*/}}
    cmp -s "$icon" "$copy" || cp "$icon" "$copy"
    chmod 755 "$copy"
    # Desktops ask before they start an icon that nobody declared trusted.
    gio set "$copy" metadata::trusted true 2>/dev/null
    sum=$(sha256sum "$copy") && gio set -t string "$copy" metadata::xfce-exe-checksum "${{sum%% *}}" 2>/dev/null
done
exit 0
"""


def apply_shortcuts(shortcuts: tuple[Shortcut, ...], place: Place) -> Change:
    """Write one entry for each shortcut and remove those no longer asked for.

    A wrong shortcut never hides the others: all good ones are in place when ResourceFailed is raised.
    """
    problems: list[str] = []
    contents = dict(render(shortcuts, problems))
    if contents:
        contents |= {AUTOSTART: AUTOSTART_ENTRY.encode(), COPIER: COPIER_SCRIPT.encode()}
    place = with_files(place, *orphans(place.root))
    change = converge(place, Wanted(digest_of_files(contents), contents)) if contents else release(place)
    if problems:
        place.remember(change.record)
        raise ResourceFailed(" ; ".join(problems))
    return change


def orphans(root: Path) -> list[str]:
    """Entries that carry our key, also those that a lost record no longer tells."""
    found = sorted((root / APPLICATIONS).glob("preau-*.desktop"))
    return [str(path.relative_to(root)) for path in found if b"\nX-Preau-Key=" in (files.find_content(path) or b"")]


def render(shortcuts: Iterable[Shortcut], problems: list[str]) -> Iterable[tuple[str, bytes]]:
    """Path and content of each entry; what is wrong goes to ``problems``."""
    seen = set()
    for shortcut in shortcuts:
        try:
            entry = desktop_entry(shortcut)
        except InvalidUrl as error:
            problems.append(f"raccourci {shortcut.key[:64]!r} : {error}")
            continue
        if shortcut.key in seen or not KEY.fullmatch(shortcut.key):
            problems.append(f"raccourci {shortcut.key[:64]!r} : clé en double ou qui ne peut pas nommer un fichier")
            continue
        seen.add(shortcut.key)
        yield f"{APPLICATIONS}/preau-{shortcut.key}.desktop", entry.encode()


def desktop_entry(shortcut: Shortcut) -> str:
    """The entry of one shortcut; raises InvalidUrl."""
    title = shortcut.title.strip()[:LONGEST_TITLE] or shortcut.key
    return ENTRY.format(name=escape(title), argument=exec_argument(checked_url(shortcut.url)), key=shortcut.key)


def escape(text: str) -> str:
    """A value of type string (Desktop Entry Specification, 4): one line, backslash and leading space escaped."""
    one_line = "".join(c if c.isprintable() else " " for c in text).replace("\\", "\\\\")
    return "\\s" + one_line[1:] if one_line.startswith(" ") else one_line


def exec_argument(text: str) -> str:
    """One argument of Exec (idem, 7): quoted, then escaped once more as a string; ``%`` doubled (it names a field)."""
    quoted = re.sub(r'(["`$\\])', r"\\\1", text).replace("%", "%%")
    return '"' + quoted.replace("\\", "\\\\") + '"'

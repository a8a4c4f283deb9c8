"""`preau up --reset`: forget everything that `preau up` made, after a typed word."""

import shutil
from collections.abc import Callable
from pathlib import Path

from fleet.embedded.layout import MADE_BY_UP, Layout
from fleet.errors import ConfigurationError

WORD = "effacer"


class ResetRefused(ConfigurationError):
    """The word was not typed."""


def what_goes(layout: Layout) -> list[Path]:
    """The files and folders that a reset removes: ours by name, never a folder's other content."""
    ours = [layout.var / name for name in MADE_BY_UP]
    if layout.postgres not in ours:
        ours.append(layout.postgres)
    return [path for path in ours if path.exists()]


def reset(layout: Layout, *, ask: Callable[[str], str] | None) -> list[Path]:
    """Remove it all and return what was removed. ``ask`` shows a question and gives the answer; None: agreed already.

    Nothing of the installation may run: the caller holds its lock and has ended what was left.
    """
    doomed = what_goes(layout)
    if not doomed:
        return []
    if ask is not None:
        listed = "\n".join(f"  {path}" for path in doomed)
        answer = ask(
            f"Ceci efface la base, l’autorité de certification et les comptes de cette installation :\n{listed}\n"
            f"Les appareils enrôlés devront l’être de nouveau. Tapez « {WORD} » pour continuer : "
        )
        if answer.strip() != WORD:
            raise ResetRefused("Rien n’a été effacé.")
    for path in doomed:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return doomed

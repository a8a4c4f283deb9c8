"""The UT1 lists of Université Toulouse Capitole in their own layout: one folder a category, its names in one file."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import partial
from pathlib import Path

from filter.lists.domains import read_plain
from filter.lists.entries import AddressEntry
from filter.lists.lines import ListRefused, find_file, is_there, read_lines
from filter.lists.source import MOST_EXAMPLES, ListReport, ListSource
from filter.lists.titles import TITLES

SOURCE = "https://dsi.ut-capitole.fr/blacklists/"
LICENCE = "CC BY-SA 4.0"
CATEGORY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
"""A folder with another name is no category: no profile could name it."""
FILES = frozenset({"domains", "urls", "expressions", "very_restrictive_expression", "usage"})
"""Of a category: those that are read."""
NOT_ENFORCEABLE = {"urls": ("urls",), "expressions": ("expressions", "very_restrictive_expression")}
"""What is counted -> files it is counted in: pages and regular expressions on addresses, which DNS never sees."""


def read_ut1(
    directory: Path, categories: Iterable[str] | None = None, published: date | None = None
) -> list[ListSource]:
    """The lists of a UT1 tree, sorted by slug; names are read later, through ``ListSource.read``.

    ``categories`` picks some, by name or alias (``porn`` is ``adult``). Raises ListRefused when the folder is no UT1
    tree or a category does not exist.
    """
    if not directory.is_dir():
        raise ListRefused(f"{directory} n’est pas un dossier")
    try:
        aliases = read_aliases(directory)
        present = sorted(path.name for path in directory.iterdir() if path.is_dir() and is_category(path))
    except OSError as error:  # a link that leads to no possible place, say
        raise ListRefused(f"{directory} : dossier illisible ({error.strerror})") from error
    if not present:
        raise ListRefused(
            f"{directory} ne contient aucune catégorie UT1 (un dossier par catégorie, un fichier domains)"
        )
    wanted = present if categories is None else pick(categories, present, aliases)
    titles = read_titles(directory)
    misnamed = find_misnamed(directory)
    return [  # the first list tells of what is none
        make_source(directory, slug, titles, aliases, published, misnamed if slug == wanted[0] else ())
        for slug in wanted
    ]


def make_source(
    directory: Path, slug: str, titles: dict[str, str], aliases: dict[str, str], published: date | None,
    misnamed: Sequence[str] = (),
) -> ListSource:  # fmt: skip
    files = find_domains(directory, slug, aliases)
    prepare = partial(count_beyond if files else warn_without_names, directory / slug, misnamed)
    return ListSource(
        slug=slug,
        title=TITLES.get(slug) or titles.get(slug, slug),
        category=slug,
        read=partial(read_category, files, prepare),
        source=SOURCE,
        licence=LICENCE,
        published=published,
        usage=read_usage(directory / slug),
        plain=files,
        prepare=prepare,
    )


def is_category(path: Path) -> bool:
    """A folder with one of UT1's files, that is no link to another one (links are aliases)."""
    return CATEGORY.fullmatch(path.name) is not None and has_list(path)


def has_list(path: Path) -> bool:
    """Whether a folder holds one of UT1's files itself."""
    names = ("domains", "urls", "expressions", "usage")
    return not path.is_symlink() and any(find_file(path, name) for name in names)


def find_misnamed(directory: Path) -> list[str]:
    """Folders that hold a list and whose name is no category's, as text."""
    names = (path.name for path in directory.iterdir() if path.is_dir() and has_list(path))
    wrong = sorted(name for name in names if CATEGORY.fullmatch(name) is None)
    return ["".join(letter if letter.isprintable() else "?" for letter in name[:80]) for name in wrong]


def read_aliases(directory: Path) -> dict[str, str]:
    """Other name -> name, of folders and of single files: links of the tree, or what a copy without links noted."""
    aliases: dict[str, str] = {}
    noted = directory / "aliases.json"
    if is_there(noted):
        try:
            aliases.update(check_aliases(json.loads(noted.read_text("utf-8"))))
        except (ValueError, TypeError, RecursionError) as error:
            raise ListRefused(f"{noted} : JSON illisible ({error})") from error
    for path in directory.iterdir():
        if path.is_symlink() and path.is_dir():
            aliases[path.name] = path.resolve().name
    return aliases


def check_aliases(noted: object) -> dict[str, str]:
    """What a copy noted: categories, or their files. Raise TypeError or ValueError for anything else."""
    if not isinstance(noted, dict):
        raise TypeError("des noms et leurs équivalents sont attendus")
    for name in noted.values():
        category, _, file = name.partition("/") if isinstance(name, str) else ("", "", "")
        if CATEGORY.fullmatch(category) is None or file not in {"", *FILES}:
            raise ValueError(f"ce n’est pas une catégorie : {name!r:.80}")
    return noted


def pick(categories: Iterable[str], present: list[str], aliases: dict[str, str]) -> list[str]:
    """The categories asked for, aliases resolved; raise ListRefused naming those that do not exist."""
    wanted = {aliases.get(name, name) for name in categories}
    if unknown := sorted(wanted - set(present)):
        raise ListRefused(f"catégories inconnues : {', '.join(unknown)} (présentes : {', '.join(present)})")
    return sorted(wanted)


def read_titles(directory: Path) -> dict[str, str]:
    """Category -> the French title that the lists give it, in ``global_usage``."""
    path = directory / "global_usage"
    if not is_there(path):
        return {}
    titles: dict[str, str] = {}
    slug = ""
    for line in path.read_text("utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "NAME":
            slug = value.strip()
        elif key.strip() == "NAME FR" and slug and value.strip():
            titles.setdefault(slug, value.strip())
    return titles


def read_usage(category: Path) -> tuple[str, ...]:
    """``black``, ``white`` or both: how the list's authors mean it to be used."""
    path = category / "usage"
    words = path.read_text("utf-8", errors="replace").split() if is_there(path) else []
    return tuple(word for word in ("black", "white") if word in words)


def find_domains(directory: Path, slug: str, aliases: dict[str, str]) -> tuple[Path, ...]:
    """The file of a category's names, its own or that of the category it repeats; none when it has neither."""
    path = find_file(directory / slug, "domains")
    if path is None and (other := aliases.get(f"{slug}/domains")):
        path = find_file((directory / other).parent, "domains")
    return () if path is None else (path,)


def count_beyond(category: Path, misnamed: Sequence[str], report: ListReport) -> None:
    """Tell the report what DNS cannot enforce, and which folders beside are left out."""
    for name in misnamed[:MOST_EXAMPLES]:
        report.warn(f"dossier « {name} » laissé de côté : ce n’est pas le nom d’une catégorie (a-z, 0-9, _ et -)")
    for kind, files in NOT_ENFORCEABLE.items():
        report.not_enforceable[kind] = sum(count_lines(category, name) for name in files)


def warn_without_names(category: Path, misnamed: Sequence[str], report: ListReport) -> None:
    count_beyond(category, misnamed, report)
    report.warn("aucun fichier domains : rien à bloquer par le DNS")


def count_lines(category: Path, name: str) -> int:
    """Entries of a file that DNS cannot enforce."""
    path = find_file(category, name)
    return 0 if path is None else sum(1 for _ in read_lines(path, ListReport()))


def read_category(
    files: tuple[Path, ...], prepare: Callable[[ListReport], None], report: ListReport
) -> Iterator[str | AddressEntry]:
    """The names of one category, cleaned, and its addresses; what is left out goes to the report, with its number."""
    prepare(report)
    for path in files:
        yield from read_plain(path, report)

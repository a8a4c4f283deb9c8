"""How a resource is brought to its desired files: compare, write what differs, remove what is ours and unwanted."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent import files
from agent.state import Displaced, Record

MOST_NAMED = 3


class Unsupported(Exception):
    """This device has no way to do it that we know; the text is French."""


class ResourceFailed(Exception):
    """Part or all of the resource is not as it should be; the text is French."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a resource lives: the root, what was put there last, and how to remember more at once."""

    root: Path
    record: Record
    remember: Callable[[Record], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a resource should look like on this device."""

    digest: str
    """Of what was asked for, whatever the files already held."""
    contents: Mapping[str, bytes]
    """Path under the root -> content."""
    displaced: tuple[Displaced, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What was done, and the record that the caller keeps together with its outcome."""

    status: str  # "unchanged", "applied", "repaired"
    record: Record
    written: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def detail(self) -> str:
        """French: what was written and removed."""
        parts = (("écrit", self.written), ("retiré", self.removed))
        return " ; ".join(f"{verb} : {listed(paths)}" for verb, paths in parts if paths)


def listed(paths: Sequence[str]) -> str:
    """A few of them by name, the others counted."""
    named = ", ".join(paths[:MOST_NAMED])
    return named if len(paths) <= MOST_NAMED else f"{named} et {len(paths) - MOST_NAMED} de plus"


def nothing(_root: Path) -> None:
    """Files that need no announcement."""


def converge(place: Place, wanted: Wanted, activate: Callable[[Path], None] = nothing) -> Change:
    """Make the files as wanted, then ``activate`` them. Killed at any moment, it ends the same when called again.

    ``repaired``: all was in place for this very wish, and something had changed since. ``applied``: the wish is new.
    The record is written before the first file, so that every file that exists is known as ours. Raises OSError.
    """
    record = place.record
    before = record.digest or record.repairing
    written = [path for path, content in wanted.contents.items() if differs(place.root / path, content)]
    unwanted = [path for path in record.files if path not in wanted.contents]
    done = Record(record.resource, wanted.digest, tuple(wanted.contents), wanted.displaced)
    if not written and record == done:
        return Change("unchanged", record)
    known = tuple(dict.fromkeys((*record.files, *wanted.contents)))
    repairing = before if before == wanted.digest else ""
    place.remember(Record(record.resource, "", known, wanted.displaced, repairing))
    for path in written:
        target = place.root / path
        files.write(target, wanted.contents[path], staging=staging_of(target))
    removed = [path for path in unwanted if discard(place.root, path)]
    activate(place.root)
    return Change("repaired" if repairing else "applied", done, tuple(written), tuple(removed))


def release(
    place: Place, contents: Mapping[str, bytes] | None = None, activate: Callable[[Path], None] = nothing
) -> Change:
    """Stop managing: remove what is ours, put back ``contents``; nothing is left to remember. Raises OSError."""
    empty = Record(place.record.resource)
    if place.record == empty:
        return Change("unchanged", empty)
    back = dict(contents or {})
    written = [path for path, content in back.items() if differs(place.root / path, content)]
    for path in written:
        files.write(place.root / path, back[path], staging=staging_of(place.root / path))
    removed = [path for path in place.record.files if path not in back and discard(place.root, path)]
    activate(place.root)
    return Change("applied", empty, tuple(written), tuple(removed))


def differs(target: Path, content: bytes) -> bool:
    """Whether the file must be written; takes away what an agent killed while writing it left behind."""
    discard_staged(target)
    return not files.is_in_place(target, content)


def discard(root: Path, path: str) -> bool:
    """Remove one of our files; False when it was gone."""
    discard_staged(root / path)
    return files.remove(root / path)


def discard_staged(target: Path) -> None:
    staged = files.temporary_of(target, staging_of(target))
    if staged.exists():
        staged.unlink()


def staging_of(target: Path) -> Path | None:
    """Chromium obeys every file in a ``managed`` folder, whatever its name: the next content is prepared outside."""
    return target.parent.parent if target.parent.name == "managed" else None


def with_files(place: Place, *paths: str) -> Place:
    """The same place, these paths known as ours."""
    known = tuple(dict.fromkeys((*place.record.files, *paths)))
    return replace(place, record=replace(place.record, files=known))


def digest_of(*parts: object) -> str:
    """A digest of plain data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def digest_of_files(contents: Mapping[str, bytes]) -> str:
    return digest_of({path: content.decode() for path, content in contents.items()})

"""Merging what each node says of a profile into one flat profile, remembering who said each line. Pure.

Nodes speak from the operator down to the room. The most specific wins, unless a node above locked the line: what is
said below of a locked line is void. A locked name locks everything under it too: a longer name would beat it otherwise.
A search engine that is locked safe locks its names against local answers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from filter.deciding.safesearch import ENGINES, YOUTUBE_NAMES
from filter.names import suffixes
from filter.settings import (
    BlockMode,
    CategoryRule,
    NameRule,
    OverrideSettings,
    ProfileSettings,
    RewriteSettings,
    Verdict,
    YouTube,
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Who wrote a line and when, and whether the nodes below may change it."""

    locked: bool = False
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CategoryLine:
    """A category, or a service as ``service:tiktok``: a verdict, all the time or while a schedule is active."""

    category: str
    verdict: Verdict
    schedule: str | None = None
    otherwise: Verdict = Verdict.NEUTRAL
    mark: Mark = Mark()

    @property
    def key(self) -> str:
        return self.category


@dataclass(frozen=True, slots=True)
class NameLine:
    """An own name with all that is under it."""

    name: str
    verdict: Verdict
    reason: str = ""
    mark: Mark = Mark()

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class EngineLine:
    """SafeSearch of one engine, on or off."""

    engine: str
    on: bool = True
    mark: Mark = Mark()

    @property
    def key(self) -> str:
        return self.engine


@dataclass(frozen=True, slots=True)
class RewriteLine:
    """A local answer: see filter.settings.RewriteSettings."""

    name: str
    answers: tuple[str, ...]
    mark: Mark = Mark()

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class YouTubeLine:
    level: YouTube
    mark: Mark = Mark()

    @property
    def key(self) -> str:
        return "youtube"


@dataclass(frozen=True, slots=True)
class BlockModeLine:
    mode: BlockMode
    mark: Mark = Mark()

    @property
    def key(self) -> str:
        return "block_mode"


@dataclass(frozen=True, slots=True)
class BypassLine:
    """Whether other people's encrypted DNS and the like get no answer."""

    closed: bool
    mark: Mark = Mark()

    @property
    def key(self) -> str:
        return "bypass"


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """All that one node says, of one profile or of all. What is not there is left to the others."""

    categories: tuple[CategoryLine, ...] = ()
    names: tuple[NameLine, ...] = ()
    engines: tuple[EngineLine, ...] = ()
    rewrites: tuple[RewriteLine, ...] = ()
    youtube: YouTubeLine | None = None
    block_mode: BlockModeLine | None = None
    bypass: BypassLine | None = None

    @property
    def is_silent(self) -> bool:
        return self == SILENT


SILENT = LayerSettings()


class Line(Protocol):
    """What every line has."""

    @property
    def key(self) -> str: ...

    @property
    def mark(self) -> Mark: ...


L = TypeVar("L", bound=Line)
L_co = TypeVar("L_co", bound=Line, covariant=True)


@dataclass(frozen=True, slots=True)
class Voice:
    """One layer that speaks: what it says, its overrides, and what people call it."""

    label: str
    says: LayerSettings = SILENT
    overrides: tuple[OverrideSettings, ...] = ()


@dataclass(frozen=True, slots=True)
class Said(Generic[L_co]):
    """The line that stands, and the label of the layer that said it."""

    line: L_co
    layer: str


@dataclass(frozen=True, slots=True)
class Merged:
    """What stands of all that was said, each part by its key."""

    categories: Mapping[str, Said[CategoryLine]] = field(default_factory=dict)
    names: Mapping[str, Said[NameLine]] = field(default_factory=dict)
    engines: Mapping[str, Said[EngineLine]] = field(default_factory=dict)
    rewrites: Mapping[str, Said[RewriteLine]] = field(default_factory=dict)
    youtube: Said[YouTubeLine] | None = None
    block_mode: Said[BlockModeLine] | None = None
    bypass: Said[BypassLine] | None = None
    overrides: tuple[OverrideSettings, ...] = ()


def merge(voices: Sequence[Voice]) -> Merged:
    """What stands when these speak, the operator first and the room last."""
    return replace(merge_lines(voices), overrides=tuple(_overrides(voices)))


def merge_lines(voices: Sequence[Voice]) -> Merged:
    """The same without the overrides."""
    return Merged(
        categories=_stand(voices, lambda says: says.categories),
        names=_stand(voices, lambda says: says.names, suffixes),
        engines=_stand(voices, lambda says: says.engines),
        rewrites=_stand(list(_keeping_safe(voices)), lambda says: says.rewrites, _patterns),
        youtube=_stand(voices, lambda says: _one(says.youtube)).get("youtube"),
        block_mode=_stand(voices, lambda says: _one(says.block_mode)).get("block_mode"),
        bypass=_stand(voices, lambda says: _one(says.bypass)).get("bypass"),
    )


def _one(line: L | None) -> tuple[L, ...]:
    return () if line is None else (line,)


def _itself(key: str) -> Iterable[str]:
    return (key,)


def _patterns(key: str) -> Iterator[str]:
    """The rewritten names whose lock covers this one: ``*.example.fr`` covers what is under it."""
    for suffix in suffixes(key.removeprefix("*.")):
        yield from (suffix, f"*.{suffix}")


def _keeping_safe(voices: Sequence[Voice]) -> Iterator[Voice]:
    """Each voice, without the local answers for names that a node above locked to their safe variant."""
    for position, voice in enumerate(voices):
        safe = _locked_safe(voices[:position]) if voice.says.rewrites else frozenset()
        left = tuple(line for line in voice.says.rewrites if line.name not in safe)
        yield replace(voice, says=replace(voice.says, rewrites=left)) if safe else voice


def _locked_safe(voices: Sequence[Voice]) -> frozenset[str]:
    engines = [said.line for said in _stand(voices, lambda says: says.engines).values()]
    names = [ENGINES[line.engine].names for line in engines if line.on and line.mark.locked and line.engine in ENGINES]
    youtube = _stand(voices, lambda says: _one(says.youtube)).get("youtube")
    if youtube is not None and youtube.line.mark.locked and youtube.line.level is not YouTube.OFF:
        names.append(YOUTUBE_NAMES)
    return frozenset().union(*names)


def _stand(
    voices: Sequence[Voice],
    lines_of: Callable[[LayerSettings], Sequence[L]],
    covering: Callable[[str], Iterable[str]] = _itself,
) -> dict[str, Said[L]]:
    """The last word on each key; ``covering`` gives the keys whose lock covers one."""
    standing: dict[str, Said[L]] = {}
    locked: set[str] = set()
    for voice in voices:
        spoken = [line for line in lines_of(voice.says) if locked.isdisjoint(covering(line.key))]
        standing.update((line.key, Said(line, voice.label)) for line in spoken)
        locked.update(line.key for line in spoken if line.mark.locked)  # not before: a node may refine its own lock
    return dict(sorted(standing.items()))


def _overrides(voices: Sequence[Voice]) -> Iterator[OverrideSettings]:
    """Every override, less what a layer above it locked the other way."""
    for position, voice in enumerate(voices):
        above = voices[:position]
        for override in voice.overrides:
            kept = without_locked(override, above)
            if kept.names or kept.categories:
                yield replace(kept, layer=voice.label)


def without_locked(override: OverrideSettings, above: Sequence[Voice]) -> OverrideSettings:
    """The override less the names and categories that these layers locked the other way.

    An override beats own names, so a longer locked name does not survive one of its parents being overridden: that
    parent is left out too.
    """
    standing = merge_lines(above)
    names = [said.line for said in standing.names.values()]
    locked_names = {line.name for line in names if line.mark.locked and line.verdict != override.verdict}
    their_parents = {parent for name in locked_names for parent in suffixes(name)}
    categories = [said.line for said in standing.categories.values()]
    locked_categories = {line.category for line in categories if line.mark.locked and line.verdict != override.verdict}
    return replace(
        override,
        names=tuple(n for n in override.names if n not in their_parents and locked_names.isdisjoint(suffixes(n))),
        categories=tuple(c for c in override.categories if c not in locked_categories),
    )


def flatten(merged: Merged, *, slug: str, name: str, school: str = "") -> ProfileSettings:
    """The flat profile that filters read, every line with the layer that set it."""
    return ProfileSettings(
        slug=slug,
        name=name,
        categories=tuple(
            CategoryRule(s.line.category, s.line.verdict, s.line.schedule, s.line.otherwise, s.layer)
            for s in merged.categories.values()
        ),
        names=tuple(NameRule(s.line.name, s.line.verdict, s.layer, s.line.reason) for s in merged.names.values()),
        safe_search=tuple(engine for engine, said in merged.engines.items() if said.line.on),
        youtube=merged.youtube.line.level if merged.youtube else YouTube.OFF,
        block_mode=merged.block_mode.line.mode if merged.block_mode else BlockMode.PAGE,
        closes_bypass=merged.bypass.line.closed if merged.bypass else True,
        overrides=tuple(sorted(merged.overrides, key=lambda override: (override.starts, override.id))),
        rewrites=tuple(RewriteSettings(s.line.name, s.line.answers) for s in merged.rewrites.values()),
        school=school,
    )

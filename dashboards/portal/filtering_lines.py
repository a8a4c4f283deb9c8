"""The lines of a profile's form: what may be chosen, what stands above, who said so, and whether it is locked."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboards.portal import categories
from dashboards.portal.filtering_layer import Draft, SingleLine, single_choice, verdict_choice
from dashboards.portal.filtering_words import BLOCK_MODES, VERDICTS, YOUTUBE
from fleet.filtering.lists.catalogue import ENGINE_TITLES
from fleet.filtering.policy.layers import LayerSettings, Line, Mark, Merged, Said
from fleet.filtering.policy.models import FilterSchedule
from fleet.filtering.policy.standing import Standing

Choices = tuple[tuple[str, str], ...]
BYPASS = {"closed": "Fermer le contournement", "open": "Le permettre"}
ENGINE = {"on": "Imposée", "off": "Non imposée"}


@dataclass(frozen=True, slots=True)
class LineField:
    """One select of the form."""

    name: str
    label: str
    choices: Choices
    value: str
    is_locked_here: bool
    above: str
    """What the nodes above say, as people read it: « Bloquer (Aisne, verrouillé) ». Nothing: ""."""
    is_locked_above: bool
    by: str
    """Who wrote the line that stands here, and when is in ``at``."""
    at: datetime | None
    is_void: bool
    """Something is said here, but a lock above makes it void."""


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under a heading. ``active``: how many of them are said here."""

    title: str
    lines: tuple[LineField, ...]

    @property
    def active(self) -> int:
        return sum(bool(line.value) for line in self.lines)


@dataclass(frozen=True, slots=True)
class Sections:
    """The form's selects, own names that the nodes above hold, and what stands once every layer has spoken."""

    categories: tuple[Section, ...]
    services: tuple[Section, ...]
    engines: tuple[LineField, ...]
    singles: tuple[LineField, ...]
    names_above: tuple[tuple[str, str, str, bool, str], ...]
    """Name, verdict, layer, locked, reason."""
    stands: Standing


def sections_of(
    above: Merged,
    stands: Standing,
    says: LayerSettings,
    draft: Draft,
    known: Collection[str],
    schedules: Sequence[FilterSchedule],
    is_top: bool,
) -> Sections:
    """Everything that the page of a profile on a node shows."""
    maker = Maker(above, marks_of(says), draft, schedules, is_top)
    used = {name.removeprefix("category:") for name in draft.choices if name.startswith("category:")}
    groups = categories.groups({*known, *used, *above.categories})
    return Sections(
        categories=tuple(Section(g.title, tuple(maker.category(*entry) for entry in g.entries)) for g in groups),
        services=tuple(
            Section(g.title, tuple(maker.category(*entry) for entry in g.entries)) for g in categories.services()
        ),
        engines=tuple(maker.engine(slug, title) for slug, title in ENGINE_TITLES.items()),
        singles=(
            maker.single("youtube", "YouTube", YOUTUBE, above.youtube),
            maker.single("block_mode", "Réponse aux noms bloqués", BLOCK_MODES, above.block_mode),
            maker.single("bypass", "DNS chiffrés et relais d’autrui", BYPASS, above.bypass),
        ),
        names_above=tuple(
            (name, VERDICTS[said.line.verdict.value], said.layer, said.line.mark.locked, said.line.reason)
            for name, said in above.names.items()
        ),
        stands=stands,
    )


def marks_of(says: LayerSettings) -> dict[str, Mark]:
    """Field -> who wrote its line here."""
    marks = {f"category:{line.category}": line.mark for line in says.categories}
    marks |= {f"engine:{line.engine}": line.mark for line in says.engines}
    singles = {"youtube": says.youtube, "block_mode": says.block_mode, "bypass": says.bypass}
    return marks | {name: line.mark for name, line in singles.items() if line is not None}


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the selects of one page."""

    above: Merged
    marks: dict[str, Mark]
    draft: Draft
    schedules: Sequence[FilterSchedule]
    is_top: bool

    def category(self, slug: str, label: str) -> LineField:
        said = self.above.categories.get(slug)
        value = self.draft.choices.get(f"category:{slug}", "")
        told = self.told(verdict_choice(said.line)) if said else ""
        return self.field(f"category:{slug}", label, tuple(self.verdict_choices(value)), said, told)

    def verdict_choices(self, value: str) -> Iterable[tuple[str, str]]:
        """Verdicts, all the time or by a schedule; whatever the line says already is among them."""
        yield from (("block", "Bloquer"), ("allow", "Autoriser"))
        if not self.is_top or value == "neutral":
            yield ("neutral", "Sans effet")
        offered = ["block", "allow", "neutral"]
        for schedule in self.schedules:
            for choice in (f"block@{schedule.slug}", f"allow@{schedule.slug}", f"allow@{schedule.slug}/block"):
                offered.append(choice)
                yield (choice, self.told(choice))
        if value and value not in offered:
            yield (value, self.told(value))

    def told(self, choice: str) -> str:
        """``Bloquer pendant « Temps scolaire »``"""
        verdict, _, when = choice.partition("@")
        schedule, _, otherwise = when.partition("/")
        text = VERDICTS.get(verdict, verdict)
        if schedule:
            name = next((each.name for each in self.schedules if each.slug == schedule), schedule)
            text += f" pendant « {name} »"
        return text + (f", {VERDICTS.get(otherwise, otherwise).lower()} sinon" if otherwise else "")

    def engine(self, slug: str, title: str) -> LineField:
        said = self.above.engines.get(slug)
        told = ENGINE["on" if said.line.on else "off"] if said else ""
        return self.field(f"engine:{slug}", title, tuple(ENGINE.items()), said, told)

    def single(self, name: str, label: str, titles: Mapping[str, str], said: Said[SingleLine] | None) -> LineField:
        told = titles[single_choice(said.line)] if said else ""
        return self.field(name, label, tuple(titles.items()), said, told)

    def field(self, name: str, label: str, choices: Choices, said: Said[Line] | None, told: str) -> LineField:
        is_locked = said is not None and said.line.mark.locked
        mark, value = self.marks.get(name, Mark()), self.draft.choices.get(name, "")
        return LineField(
            name=name,
            label=label,
            choices=choices,
            value=value,
            is_locked_here=name in self.draft.locks,
            above=f"{told} ({said.layer})" if said is not None else "",
            is_locked_above=is_locked,
            by=mark.by,
            at=mark.at,
            is_void=is_locked and bool(value),
        )

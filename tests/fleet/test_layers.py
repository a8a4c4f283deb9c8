"""Merging the layers of a profile, against a naive reference: no lock is lost, order inside a layer says nothing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from filter.settings import BlockMode, OverrideSettings, Verdict, YouTube
from fleet.filtering.policy.layers import (
    BlockModeLine,
    CategoryLine,
    EngineLine,
    LayerSettings,
    Mark,
    NameLine,
    RewriteLine,
    Voice,
    YouTubeLine,
    flatten,
    merge,
)

LOCK = Mark(locked=True)
START, END = datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 12, 24, tzinfo=UTC)
NAMES = ("fr", "a.fr", "b.a.fr", "c.b.a.fr", "z.fr", "a.z.fr")
verdicts = st.sampled_from(Verdict)
marks = st.builds(Mark, locked=st.booleans())
categories = st.builds(CategoryLine, st.sampled_from(("jeux", "vpn", "presse")), verdicts, mark=marks)
names = st.builds(NameLine, st.sampled_from(NAMES), verdicts, mark=marks)
engines = st.builds(EngineLine, st.sampled_from(("google", "bing")), st.booleans(), marks)
says = st.builds(
    LayerSettings,
    categories=st.lists(categories, unique_by=lambda line: line.key, max_size=3).map(tuple),
    names=st.lists(names, unique_by=lambda line: line.key, max_size=4).map(tuple),
    engines=st.lists(engines, unique_by=lambda line: line.key, max_size=2).map(tuple),
    youtube=st.none() | st.builds(YouTubeLine, st.sampled_from(YouTube), marks),
    block_mode=st.none() | st.builds(BlockModeLine, st.sampled_from(BlockMode), marks),
)
overrides = st.builds(
    OverrideSettings,
    id=st.uuids().map(str),
    verdict=st.sampled_from((Verdict.ALLOW, Verdict.BLOCK)),
    starts=st.just(START),
    ends=st.just(END),
    names=st.lists(st.sampled_from(NAMES), unique=True, max_size=2).map(tuple),
    categories=st.lists(st.sampled_from(("jeux", "vpn")), unique=True, max_size=2).map(tuple),
)
layers = st.lists(st.tuples(says, st.lists(overrides, max_size=2)), max_size=5).map(
    lambda said: [Voice(f"couche {n}", what, tuple(given)) for n, (what, given) in enumerate(said)]
)


def is_below(name: str, parent: str) -> bool:
    return name == parent or name.endswith(f".{parent}")


def naive_names(voices: Sequence[Voice]) -> dict[str, tuple[NameLine, str]]:
    """Every line in turn, asking each earlier one that stands whether it forbids this one."""
    standing: list[tuple[int, NameLine, str]] = []
    for position, voice in enumerate(voices):
        for line in voice.says.names:
            forbidden = any(
                earlier < position and other.mark.locked and is_below(line.name, other.name)
                for earlier, other, _ in standing
            )
            if not forbidden:
                standing.append((position, line, voice.label))
    return {line.name: (line, label) for _, line, label in standing}


def naive_categories(voices: Sequence[Voice]) -> dict[str, tuple[CategoryLine, str]]:
    found: dict[str, tuple[CategoryLine, str]] = {}
    for voice in voices:
        for line in voice.says.categories:
            if line.category not in found or not found[line.category][0].mark.locked:
                found[line.category] = (line, voice.label)
    return found


@given(layers)
def test_the_last_word_stands_unless_it_was_locked_above(voices: list[Voice]) -> None:
    merged = merge(voices)
    assert {key: (said.line, said.layer) for key, said in merged.names.items()} == naive_names(voices)
    assert {key: (said.line, said.layer) for key, said in merged.categories.items()} == naive_categories(voices)
    levels = [voice.says.youtube for voice in voices if voice.says.youtube is not None]
    expected = next((line for line in levels if line.mark.locked), levels[-1] if levels else None)
    assert (merged.youtube.line if merged.youtube else None) == expected


@given(layers)
def test_no_lock_is_ever_lost(voices: list[Voice]) -> None:
    """Whatever is added below, the locked lines of the first layer stand, and no override speaks against them."""
    if not voices:
        return
    merged = merge(voices)
    first = voices[0]
    for line in first.says.categories:
        if line.mark.locked:
            assert merged.categories[line.category].line == line
            for override in merged.overrides:
                own = override.layer == first.label
                assert own or line.category not in override.categories or override.verdict is line.verdict
    for name in first.says.names:
        if name.mark.locked:
            assert merged.names[name.name].line == name
            longer = [said for key, said in merged.names.items() if is_below(key, name.name)]
            assert all(said.layer == first.label for said in longer)


@given(layers, st.randoms(use_true_random=False))
def test_the_order_of_lines_inside_a_layer_says_nothing(voices: list[Voice], random: Random) -> None:
    assert flatten(merge(shuffled(voices, random)), slug="a", name="A") == flatten(merge(voices), slug="a", name="A")


def shuffled(voices: Sequence[Voice], random: Random) -> list[Voice]:
    return [
        replace(
            voice,
            says=replace(
                voice.says,
                categories=tuple(random.sample(voice.says.categories, len(voice.says.categories))),
                names=tuple(random.sample(voice.says.names, len(voice.says.names))),
                engines=tuple(random.sample(voice.says.engines, len(voice.says.engines))),
            ),
        )
        for voice in voices
    ]


def test_a_school_may_not_open_what_is_under_a_locked_name() -> None:
    aisne = Voice("Aisne", LayerSettings(names=(NameLine("jeux.example", Verdict.BLOCK, mark=LOCK),)))
    school = Voice(
        "École Jean Macé",
        LayerSettings(names=(NameLine("www.jeux.example", Verdict.ALLOW), NameLine("autre.example", Verdict.ALLOW))),
    )
    merged = merge([aisne, school])
    assert set(merged.names) == {"jeux.example", "autre.example"}


def test_a_node_may_refine_its_own_lock() -> None:
    own = LayerSettings(
        names=(NameLine("example.fr", Verdict.BLOCK, mark=LOCK), NameLine("doc.example.fr", Verdict.ALLOW))
    )
    assert set(merge([Voice("Aisne", own)]).names) == {"example.fr", "doc.example.fr"}


def override(verdict: Verdict, *names: str) -> OverrideSettings:
    return OverrideSettings("1", verdict, START, END, names)


def test_an_override_goes_round_no_lock() -> None:
    locked = LayerSettings(
        names=(NameLine("a.fr", Verdict.BLOCK, mark=LOCK), NameLine("cours.z.fr", Verdict.ALLOW, mark=LOCK))
    )
    above = Voice("Aisne", locked)
    allowing = Voice("Guise", overrides=(override(Verdict.ALLOW, "b.a.fr", "c.fr"),))
    blocking = Voice("École", overrides=(override(Verdict.BLOCK, "z.fr", "b.a.fr"),))
    assert [(o.names, o.layer) for o in merge([above, allowing, blocking]).overrides] == [
        (("c.fr",), "Guise"),
        (("b.a.fr",), "École"),
    ]


def test_what_nobody_said_is_as_safe_as_it_was() -> None:
    flat = flatten(merge([]), slug="vide", name="Vide")
    assert (flat.closes_bypass, flat.block_mode, flat.youtube, flat.safe_search) == (
        True,
        BlockMode.PAGE,
        YouTube.OFF,
        (),
    )
    off = Voice("Salle", LayerSettings(engines=(EngineLine("google", on=False),)))
    on = Voice("Aisne", LayerSettings(engines=(EngineLine("google"), EngineLine("bing"))))
    assert flatten(merge([on, off]), slug="a", name="A").safe_search == ("bing",)


def test_what_is_locked_safe_has_no_local_answer_below() -> None:
    wanted = ("ecole.example", "m.youtube.com", "www.bing.com", "www.google.fr")
    own = LayerSettings(rewrites=tuple(RewriteLine(name, ("192.0.2.1",)) for name in wanted))
    google, bing = EngineLine("google", mark=LOCK), EngineLine("bing")
    above = LayerSettings(engines=(google, bing), youtube=YouTubeLine(YouTube.STRICT, LOCK))

    def standing(*said: LayerSettings) -> list[str]:
        return list(merge([Voice(f"couche {n}", says) for n, says in enumerate(said)]).rewrites)

    assert standing(above, own) == ["ecole.example", "www.bing.com"]
    assert standing(own, above) == [*wanted]
    off = LayerSettings(engines=(EngineLine("google", False, LOCK),), youtube=YouTubeLine(YouTube.OFF, LOCK))
    assert standing(off, above, own) == [*wanted]

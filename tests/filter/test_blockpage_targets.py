"""The page of a name that is not blocked itself, but leads to one that is: known by the answer that was just given."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from filter.lists.entries import AddressEntry
from filter.plane.choosing import is_compiled
from filter.settings import NameRule, RewriteSettings, Verdict
from tests.filter.conftest import LISTS, compile_pair, make_list
from tests.filter.running import RunningFilter, records_of
from tests.filter.scripted import ScriptedUpstream, free_port
from tests.filter.test_blockpage import Page, get, with_profile

RECORDS = {
    ("suivi.boutique.example", "A"): [
        "suivi.boutique.example. 60 IN CNAME www.tracker.example.",
        "www.tracker.example. 60 IN A 198.51.100.7",
    ],
    ("suivi.permis.example", "A"): [
        "suivi.permis.example. 60 IN CNAME www.tracker.example.",
        "www.tracker.example. 60 IN A 198.51.100.7",
    ],
    ("service.example", "HTTPS"): ["service.example. 60 IN HTTPS 1 nu.example. alpn=h2"],
    ("serveur.example", "AAAA"): ["serveur.example. 60 IN AAAA 2a0e:e701::7"],
    ("piege.example", "A"): ["piege.example. 60 IN A 192.168.1.1"],
    ("journal.example", "A"): ["journal.example. 60 IN A 198.51.100.8"],
    ("cible.example", "A"): ["cible.example. 60 IN CNAME jeu.example.", "jeu.example. 60 IN A 198.51.100.9"],
}
SETTINGS = with_profile(
    names=(NameRule("permis.example", Verdict.ALLOW),), rewrites=(RewriteSettings("local.example", ("cible.example",)),)
)
SERVERS = make_list("serveurs", AddressEntry("2a0e:e701::/32"), category="jeux")


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        running.records.update(RECORDS)
        yield running


@pytest.fixture
def page_port() -> int:
    return free_port()


@pytest.fixture(params=["python", "compiled", "two workers"])
def served(
    request: pytest.FixtureRequest, tmp_path: Path, upstream: ScriptedUpstream, page_port: int
) -> Iterator[RunningFilter]:
    """Whoever keeps the answers: this process, its plane, other processes."""
    if request.param == "compiled" and not is_compiled():
        pytest.skip("the plane is not compiled: a C compiler is needed")
    how = ["--workers", "2"] if request.param == "two workers" else ["--plane", request.param]
    names = compile_pair((*LISTS, SERVERS), SETTINGS, tmp_path / "ecole.preau", serial=7)
    page = ["--block-page", f"127.0.0.1:{page_port}", "--block-address", "192.0.2.80"]
    with RunningFilter("--bundle", str(names), "--upstream", f"127.0.0.1:{upstream.port}", *page, *how) as running:
        yield running


def test_a_name_that_leads_to_a_blocked_one_says_where(served: RunningFilter, page_port: int) -> None:
    assert records_of(served.ask("suivi.boutique.example", "A")) == ["A 192.0.2.80"]

    response, html = get(page_port, "suivi.boutique.example")

    words = Page(html).words
    assert response.status == 403
    assert {"suivi.boutique.example", "Il mène à un autre site, qui est bloqué.", "www.tracker.example"} <= set(words)
    assert words[words.index("Mène à") + 1] == "www.tracker.example"
    assert words[words.index("Catégorie") + 1] == "Liste jeux"
    assert words[words.index("Nom inscrit") + 1] == "tracker.example"


@pytest.mark.parametrize(
    ("name", "qtype", "expected"),
    [
        ("service.example", "HTTPS", {"Il mène à un autre site, qui est bloqué.", "nu.example", "Liste adultes"}),
        ("local.example", "A", {"Il mène à un autre site, qui est bloqué.", "jeu.example", "Liste jeux"}),
        ("serveur.example", "AAAA", {"Adresse inscrite", "2a0e:e701::/32", "Liste serveurs"}),
        ("piege.example", "A", {"Sa réponse mène à une machine du réseau de l’école : c’est le signe d’une attaque."}),
    ],
)
def test_every_way_to_be_stopped_is_said(
    served: RunningFilter, page_port: int, name: str, qtype: str, expected: set[str]
) -> None:
    served.ask(name, qtype)

    response, html = get(page_port, name)

    assert response.status == 403
    assert expected <= set(Page(html).words)


@pytest.mark.parametrize("name", ["journal.example", "suivi.permis.example"])
def test_a_name_that_leads_nowhere_bad_or_is_allowed_by_a_person_is_not_blocked(
    served: RunningFilter, page_port: int, name: str
) -> None:
    served.ask(name, "A")

    response, html = get(page_port, name)

    assert response.status == 404
    assert "pas bloqué" in html


def test_what_nobody_here_asked_for_is_looked_up(
    served: RunningFilter, upstream: ScriptedUpstream, page_port: int
) -> None:
    assert get(page_port, "suivi.boutique.example")[0].status == 403
    assert {qtype for _, qtype in upstream.asked_for("suivi.boutique.example")} == {"A", "AAAA", "HTTPS"}


def test_a_name_that_is_blocked_itself_is_not_looked_up(
    served: RunningFilter, upstream: ScriptedUpstream, page_port: int
) -> None:
    assert get(page_port, "www.tracker.example")[0].status == 403
    assert upstream.asked_for("www.tracker.example") == []


def test_without_a_resolver_the_page_knows_of_no_reason(
    served: RunningFilter, upstream: ScriptedUpstream, page_port: int
) -> None:
    upstream.close()
    assert get(page_port, "suivi.boutique.example")[0].status == 404

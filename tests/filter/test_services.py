"""The catalogue of services: nothing in it blocks what a school needs or what other sites share."""

import pytest

from filter.deciding.bypass import BYPASS_NAMES
from filter.deciding.safesearch import ENGINES, YOUTUBE_NAMES
from filter.deciding.services import SERVICES, Service, list_sources
from filter.lists.source import ListReport
from filter.lists.suffixes import is_public_suffix
from filter.names import clean_name, suffixes

SHARED = frozenset(
    """
    akamaihd.net akamaized.net akamai.net cloudfront.net amazonaws.com azureedge.net azurefd.net fastly.net
    fastlylb.net cloudflare.com cloudflare.net jsdelivr.net unpkg.com gstatic.com googleapis.com
    googleusercontent.com ggpht.com googlevideo.com google.com fbcdn.net microsoft.com bing.com live.com
    office.com apple.com icloud.com amazon-adsystem.com edgekey.net edgesuite.net llnwd.net bunnycdn.com
    b-cdn.net ssl-images-amazon.com media-amazon.com
    """.split()  # noqa: SIM905  # a table of names reads best as text
)
"""What many sites are served from, and what pupils' and teachers' accounts live under."""
EDUCATION = frozenset(
    """
    education.gouv.fr education.fr ac-amiens.fr cned.fr lumni.fr pix.fr reseau-canope.fr eduscol.education.fr
    phet.colorado.edu monlycee.net ent.fr pronote.net index-education.net e-primo.fr one.education oneplus.fr
    beneylu.com klassly.com scratch.mit.edu geogebra.org wikipedia.org vikidia.org education.minecraft.net
    khanacademy.org calculatice.ac-lille.fr tuxpaint.org classroom.google.com docs.google.com drive.google.com
    teams.microsoft.com arte.tv bayard-jeunesse.com
    """.split()  # noqa: SIM905
)
"""What lessons use: none of it may lie under a service's domain, but for what EXPECTED says."""
EXPECTED = {("education.minecraft.net", "minecraft")}
"""Minecraft Education lies under Minecraft: a profile that blocks the one allows the other by its own name."""
PAIRS = [(service, domain) for service in SERVICES.values() for domain in service.domains]


def test_the_services_that_schools_ask_for_are_there() -> None:
    wanted = "tiktok snapchat instagram facebook x youtube twitch discord whatsapp telegram roblox minecraft epic steam"
    wanted += " netflix disney-plus spotify chatgpt gemini character-ai shein temu search-unsafe"
    assert set(wanted.split()) <= SERVICES.keys()
    assert len(SERVICES) >= 35


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())
def test_a_service_has_a_title_a_group_and_domains(service: Service) -> None:
    assert service.title
    assert service.group
    assert service.domains
    assert service.category == f"service:{service.slug}"


def test_every_domain_is_a_clean_name_and_no_public_suffix() -> None:
    for _, domain in PAIRS:
        assert clean_name(domain) == domain
        assert not is_public_suffix(domain), domain


def test_no_domain_is_shared_by_other_sites() -> None:
    assert [(s.slug, d) for s, d in PAIRS if d in SHARED] == []


def test_no_education_name_lies_under_a_service() -> None:
    by_domain = {domain: service.slug for service, domain in PAIRS}
    found = {(name, by_domain[s]) for name in EDUCATION for s in suffixes(name) if s in by_domain}
    assert found == EXPECTED


def test_no_domain_is_in_two_services_or_under_another_ones() -> None:
    owners: dict[str, str] = {}
    for service, domain in PAIRS:
        assert owners.setdefault(domain, service.slug) == service.slug, domain
    for service, domain in PAIRS:
        above = {owners[s] for s in suffixes(domain) if s in owners}
        assert above == {service.slug}, domain


def test_no_service_holds_a_safe_engine_or_a_resolver() -> None:
    domains = {domain for service, domain in PAIRS if service.slug != "youtube"}
    safe = {engine.target for engine in ENGINES.values() if engine.target}
    for name in {*safe, *BYPASS_NAMES}:
        assert not domains & set(suffixes(name)), name
    youtube = set(SERVICES["youtube"].domains)
    assert all(youtube & set(suffixes(name)) for name in YOUTUBE_NAMES)


def test_each_service_is_a_list_of_its_own_category() -> None:
    sources = list_sources()
    assert [source.slug for source in sources] == sorted(f"service:{slug}" for slug in SERVICES)
    for source in sources:
        report = ListReport()
        names = list(source.read(report))
        assert tuple(names) == SERVICES[source.category.removeprefix("service:")].domains
        assert (report.lines, report.names) == (len(names), len(names))
        assert list(source.read(ListReport())) == names

"""The role "gateway", applied to a throw-away machine; then a tablet behind it, which believes it asks 8.8.8.8."""

import re

import pytest

from tests.ansible.conftest import WithGateway
from tests.ansible.namespaces import wait_until
from tests.ansible.site import CONTROLLER, ELSEWHERE, PUBLIC_RESOLVER, SCHOOL_GATEWAY, Applied
from tests.ansible.upstream import ANSWER
from tests.requirements import needs

pytestmark = [
    needs("sshd", "nft", "ip", "curl", "pgrep", "kdig", root=True),
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("site"),
]
BLOCKED, ALLOWED = "www.000-online-casino.com", "www.education.gouv.fr"


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_a_tablet_that_asks_a_public_resolver_is_answered_by_the_filter(
    with_gateway: WithGateway, transport: str
) -> None:
    blocked = with_gateway.site.dig(BLOCKED, "+edns", transport)
    assert f"A\t{SCHOOL_GATEWAY}\n" in blocked
    assert "17 (Filtered)" in blocked
    assert ANSWER not in blocked
    allowed = with_gateway.site.dig(ALLOWED, "+edns", transport)
    assert f"A\t{ANSWER}\n" in allowed
    assert "EDE" not in allowed


def test_before_the_role_nothing_stood_between_the_tablet_and_the_internet(with_gateway: WithGateway) -> None:
    assert set(with_gateway.before.values()) == {"open"}


def test_encrypted_dns_is_closed_at_once_and_nothing_else(with_gateway: WithGateway) -> None:
    assert with_gateway.site.reachable() == {
        f"tcp {PUBLIC_RESOLVER} 53": "open",  # our filter, in truth
        f"tcp {PUBLIC_RESOLVER} 853": "ECONNREFUSED",
        f"udp {PUBLIC_RESOLVER} 853": "ECONNREFUSED",
        f"tcp {PUBLIC_RESOLVER} 443": "ECONNREFUSED",
        f"tcp {ELSEWHERE} 443": "open",
    }


def test_the_filter_answers_the_school_only(with_gateway: WithGateway) -> None:
    """No open resolver on the side of the internet."""
    listening = with_gateway.site.gateway.run("ss", "-Hlnptu")
    fields = [line.split() for line in listening.splitlines() if "preau-filter" in line]
    dns, others = f"{SCHOOL_GATEWAY}:53", (f"{SCHOOL_GATEWAY}:80", "127.0.0.1:9153")
    assert {(each[0], each[4]) for each in fields} == {("udp", dns), *(("tcp", each) for each in (dns, *others))}


def test_a_blocked_page_says_why_in_french(with_gateway: WithGateway) -> None:
    page = with_gateway.site.tablet.run(
        "curl", "-s", "--resolve", f"{BLOCKED}:80:{SCHOOL_GATEWAY}", f"http://{BLOCKED}/"
    )
    assert '<html lang="fr"' in page
    assert BLOCKED in page


def test_the_controller_hears_from_its_filter(with_gateway: WithGateway) -> None:
    site = with_gateway.site
    # Its first report may be from before it had lists; the next comes after 15 to 45 seconds.
    wait_until(lambda: "à jour" in site.preau("filter", "list"), "a report of the filter", seconds=90)
    assert '"WARNING"' not in site.log("preau-filter").read_text().split("pair in use")[1]


def test_its_credential_is_readable_by_the_filter_alone(with_gateway: WithGateway) -> None:
    gateway = with_gateway.site.gateway
    seen = gateway.run("stat", "-c", "%a %U %G", "/etc/preau/filter.credential")
    assert seen.strip() == "640 root preau-filter"
    secret = gateway.read("/etc/preau/filter.credential").splitlines()[0]
    assert secret not in with_gateway.applied.output
    for pid in gateway.run("pgrep", "-u", "preau-filter").split():  # the supervisor, and its workers
        environment = gateway.run("cat", f"/proc/{pid}/environ")
        assert f"PREAU_FILTER_CONTROLLER=https://{CONTROLLER}" in environment
        assert secret not in environment


def test_the_rules_are_loaded_at_boot_too(with_gateway: WithGateway) -> None:
    """nftables.service loads /etc/nftables.conf, which flushes everything first."""
    gateway = with_gateway.site.gateway
    before = without_counters(gateway.run("nft", "list", "table", "inet", "preau"))
    gateway.run("nft", "-f", "/etc/nftables.conf")
    assert without_counters(gateway.run("nft", "list", "table", "inet", "preau")) == before


def without_counters(rules: str) -> str:
    return re.sub(r"packets \d+ bytes \d+", "", rules)


def test_the_second_application_changes_nothing(with_gateway: WithGateway, again: Applied) -> None:
    assert with_gateway.applied.changed("gateway") > 10
    assert again.changed("gateway") == 0


def test_rules_that_somebody_flushed_come_back(with_gateway: WithGateway) -> None:
    site = with_gateway.site
    site.gateway.run("nft", "delete", "table", "inet", "preau")
    assert site.reachable()[f"tcp {PUBLIC_RESOLVER} 853"] == "open"
    applied = site.apply("gateway.yml", "--start-at-task", "Rules")
    assert applied.changed("gateway") == 2  # what is missing is seen, then loaded
    assert site.reachable()[f"tcp {PUBLIC_RESOLVER} 853"] == "ECONNREFUSED"

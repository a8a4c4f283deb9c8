"""The Grafana board: its shape, and each of its questions asked to a real Prometheus. Never seen in a real Grafana."""

import json
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from filter.compiler import compile_names, compile_policy
from filter.updates.pair import policy_beside
from fleet.devices.models import DeviceKind, DeviceStatus
from fleet.embedded.postgres import Postgres
from fleet.filtering.models import FilterNode, Publication, PublicationState
from fleet.migrate import migrate
from tests.certificates import Authority
from tests.factories import make_device, make_school, make_ticket
from tests.filter.conftest import LISTS, SCHOOL
from tests.filter.running import RunningFilter
from tests.filter.scripted import ScriptedUpstream
from tests.observability.running import Prometheus, running_controller, running_prometheus, wait_until
from tests.requirements import needs

GRAFANA = Path(__file__).parent.parent.parent / "dashboards" / "grafana"
BOARD: dict[str, Any] = json.loads((GRAFANA / "boards/fleet.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUESTIONS = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]


def with_interval(expression: str) -> str:
    """The expression as Grafana sends it: its variable is a duration."""
    return expression.replace("$__rate_interval", "1m")


@pytest.mark.parametrize("expression", QUESTIONS)
def test_every_question_is_promql(expression: str) -> None:
    promql_parser.parse(with_interval(expression))


def test_the_board_is_one_that_grafana_can_read() -> None:
    assert BOARD["schemaVersion"] >= 36
    assert [v["name"] for v in BOARD["templating"]["list"]] == ["datasource"]
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    for panel in PANELS:
        assert panel["type"] in {"stat", "timeseries"}
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_fill_their_rows_and_never_overlap() -> None:
    cells = [
        (x, y)
        for panel in BOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} == set(range(24))
    assert len(cells) == 24 * (max(y for _, y in cells) + 1)


def test_provisioning_names_a_prometheus_and_the_boards() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/preau.yml").read_text())["providers"]
    assert (source["type"], provider["type"]) == ("prometheus", "file")


def fill(session: Session) -> None:
    """A little of everything that the board counts."""
    now = datetime.now(UTC)
    school = make_school(session)
    make_device(session, school=school, last_seen_at=now)
    make_device(session, school=school, kind=DeviceKind.TABLET, status=DeviceStatus.STAGED)
    make_ticket(session, school=school)
    newest = Publication(state=PublicationState.PUBLISHED, requested_at=now, published_at=now - timedelta(hours=5))
    session.add(newest)
    session.flush()
    node = FilterNode(name="laon", secret_hash="", registered_at=now, last_seen_at=now, bundle_serial=newest.serial)
    session.add(node)


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    """A database of this test's own: what is committed here, other tests must not see."""
    postgres.ensure_database("observed")
    url = postgres.url("observed")
    migrate(url)
    engine = create_engine(url)
    with Session(engine) as session, session.begin():
        fill(session)
    engine.dispose()
    return url


@pytest.fixture(scope="module")
def prometheus(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has seen a controller and a filter at work."""
    directory = tmp_path_factory.mktemp("observed")
    authority = Authority.make(directory)
    bundle, made_at = directory / "ecole.preau", datetime.now(UTC) - timedelta(hours=5)
    compile_names(LISTS, bundle, serial=7, compiled_at=made_at)
    compile_policy(SCHOOL, policy_beside(bundle), serial=7, compiled_at=made_at)
    with ExitStack() as stack:
        upstream = stack.enter_context(ScriptedUpstream())
        upstream.add("journal.example. 300 IN A 93.184.216.34")
        served = stack.enter_context(RunningFilter("--bundle", str(bundle), "--upstream", upstream.address))
        controller = stack.enter_context(running_controller(database, authority, directory))
        seen = stack.enter_context(running_prometheus(directory, authority, controller, served.metrics))
        work(served, controller, authority)
        wait_until(lambda: have_two_samples(seen), seen.log)
        yield seen


def have_two_samples(seen: Prometheus) -> bool:
    """Whether rate() can speak of what the filter and the controller counted last."""
    asked = ['rate(filter_queries_total{action="blocked"}[1m])', 'rate(fleet_http_seconds_count{part="agent"}[1m])']
    return all(seen.query(each) for each in asked)


def work(served: RunningFilter, controller: int, authority: Authority) -> None:
    """Names asked, blocked, allowed and known already; a device that fetches the CA."""
    for name in ("jeu.example", "journal.example", "journal.example"):
        served.ask(name)
    trusted = ssl.create_default_context(cafile=str(authority.certificate))
    urllib.request.urlopen(f"https://127.0.0.1:{controller}/agent/v1/ca", context=trusted, timeout=10).close()


@needs("prometheus")
def test_both_are_scraped_over_what_the_documentation_says(prometheus: Prometheus) -> None:
    targets = prometheus.get("targets", state="active")
    assert {(t["scrapePool"], t["health"], t["lastError"]) for t in targets} == {
        ("controller", "up", ""),
        ("filter", "up", ""),
    }


@needs("prometheus")
@pytest.mark.parametrize("expression", QUESTIONS)
def test_every_question_has_an_answer(prometheus: Prometheus, expression: str) -> None:
    assert prometheus.query(with_interval(expression)) != []


@needs("prometheus")
def test_every_metric_that_an_alert_reads_exists(prometheus: Prometheus) -> None:
    """A rule on a metric that is spelt otherwise would be silent for ever."""
    rules = yaml.safe_load((GRAFANA.parent / "prometheus/alerts.yml").read_text())
    names = {
        word
        for group in rules["groups"]
        for rule in group["rules"]
        for word in metric_names(promql_parser.parse(rule["expr"]))
    }
    assert {"up", "fleet_devices_silent", "filter_upstream_seconds_count"} < names
    assert {name for name in names if not prometheus.query(name)} == set()


def metric_names(node: Any) -> set[str]:
    """Every metric below a node of a parsed expression."""
    own = {node.name} if isinstance(node, promql_parser.VectorSelector) and node.name else set()
    below = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "vector_selector", "vs")]
    below += list(getattr(node, "args", None) or [])
    return own.union(*(metric_names(child) for child in below if child is not None))


@needs("prometheus")
def test_nothing_is_wrong_with_a_site_that_is_well(prometheus: Prometheus) -> None:
    """No rule fires, or is about to, on a filled and healthy site."""
    wait_until(lambda: prometheus.get("rules") != [], prometheus.log)
    wait_until(lambda: prometheus.query("ALERTS") == [], prometheus.log)

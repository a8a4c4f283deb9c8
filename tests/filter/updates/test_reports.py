"""What a filter reports: totals that name nobody; and swaps under load."""

import re
from collections import Counter

from tests.filter.controller import SmallController
from tests.filter.publishing import Publisher, installed
from tests.filter.running import RunningFilter
from tests.filter.updates.served import is_blocked


def counts_of(report: dict[str, object]) -> list[tuple[str, str, str, int]]:
    """(hour, action, category, queries) that a report tells."""
    assert isinstance(report["counts"], list)
    return [(each["hour"], each["action"], each["category"], each["queries"]) for each in report["counts"]]


def test_reports_are_totals_that_name_nobody(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        for _ in range(3):
            assert is_blocked(running, "www.neuf.example")
        running.ask("journal.example")
        controller.forget()
        controller.wait_for(204, "/filter/v1/reports", times=2)
    last, before = controller.reports[-1], controller.reports[-2]
    assert controller.names
    assert controller.policy

    assert last["run"] == before["run"]
    assert (last["bundle_serial"], last["policy_serial"]) == (8, 8)
    assert f"{last['bundle_digest']}.8" == controller.names.etag
    assert f"{last['policy_digest']}.8" == controller.policy.etag
    told = {(hour, *rest): queries for report in controller.reports for hour, *rest, queries in counts_of(report)}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00:00\+00:00", hour) for hour, *_ in told)
    totals: Counter[tuple[str, ...]] = Counter()
    for (_, *rest), queries in told.items():
        totals[tuple(rest)] += queries
    assert totals == {("blocked", "jeux"): 3, ("allowed", ""): 1}
    assert "neuf" not in str(controller.reports)
    assert "neuf" not in str(running.lines)

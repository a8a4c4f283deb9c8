"""Kinds rewrite, safesearch, schedule, schedule_validate: what people set, decided by the live path."""

from datetime import datetime, time
from functools import lru_cache

from filter.deciding.safesearch import ENGINES
from filter.policy import Action
from filter.schedules import RangeInvalid, is_active, parse_range
from filter.settings import RewriteSettings, ScheduleSettings, WeeklyRange, YouTube
from tests.conformance.cases import Case, compare, first_of, mapping, texts
from tests.conformance.engine import Engine, local_top, one_profile, start

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@lru_cache(maxsize=4)
def engine_with_rewrites(rewrites: tuple[tuple[str, str], ...], local: frozenset[str]) -> Engine:
    grouped: dict[str, list[str]] = {}
    for domain, answer in rewrites:
        grouped.setdefault(domain.lower(), []).append(answer)
    settings = tuple(RewriteSettings(domain, tuple(answers)) for domain, answers in grouped.items())
    return start((), one_profile(private=local, rewrites=settings))


def check_rewrite(case: Case) -> str:
    """Whether the name is rewritten, the alias at the end of the chain, and the addresses of the type asked for."""
    given = case.data.get("rewrites")
    rows = [mapping(each) for each in given] if isinstance(given, list) else []
    pairs = tuple((str(row["domain"]), str(row["answer"])) for row in rows if row.get("enabled", True))
    name, qtype = str(case.query["qname"]), str(case.query["qtype"])
    decision = engine_with_rewrites(pairs, frozenset(local_top(name))).decide(name, qtype)
    rewrite = decision.rewrite
    found = sorted(record.value for record in rewrite.records) if rewrite else []
    return first_of(
        compare("rewritten", decision.rule == "rewrite", case.expect["rewritten"]),
        compare("cname", rewrite.target if rewrite else None, case.expect["cname"]) if "cname" in case.expect else "",
        compare("ips", found, sorted(texts(case.expect.get("ips")))),
    )


@lru_cache(maxsize=4)
def engine_with_safe_search(youtube: YouTube) -> Engine:
    return start((), one_profile(safe_search=tuple(ENGINES), youtube=youtube))


def check_safesearch(case: Case) -> str:
    """Every engine is made safe; YouTube is moderate where the case expects that."""
    value = str(case.expect.get("value", ""))
    engine = engine_with_safe_search(YouTube.MODERATE if "moderate" in value else YouTube.STRICT)
    decision = engine.decide(str(case.query["qname"]), str(case.query["qtype"]))
    if case.expect.get("nodata"):
        return compare("action", decision.action, Action.NODATA)
    rewrite = decision.rewrite
    if rewrite is None:
        return compare("rewritten", f"{decision.action} ({decision.rule})", value)
    if case.expect.get("type") == "CNAME":
        return compare("target", rewrite.target, value)
    return compare("addresses", [record.value for record in rewrite.records], [value])


def check_schedule(case: Case) -> str:
    """Whether it is active at an instant."""
    given = mapping(case.data.get("schedule"))
    weekly = tuple(
        WeeklyRange((number,), *parse(texts(given[day]))) for number, day in enumerate(WEEKDAYS) if day in given
    )
    schedule = ScheduleSettings("s", "S", timezone=str(given.get("tz", "UTC")), weekly=weekly)
    now = datetime.fromisoformat(case.text("at"))
    return compare("active", is_active(schedule, now), case.expect["active"])


def parse(times: list[str]) -> tuple[time, time]:
    start_at, end_at = times
    return parse_range(start_at, end_at)


def check_range(case: Case) -> str:
    """Whether two times make a range."""
    try:
        start, end = parse(case.lines("range"))
    except RangeInvalid:
        return compare("valid", False, case.expect["valid"])
    return compare("valid (past midnight)" if end < start else "valid", True, case.expect["valid"])

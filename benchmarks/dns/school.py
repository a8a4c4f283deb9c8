"""The policy of a département for the DNS benchmark: ``python -m benchmarks.dns.school NAMES [SERIAL]`` writes
NAMES.policy.

483 schools with a network and a profile each, schedules, an override, own names, SafeSearch, and the benchmark's client
(127.0.0.0/8) in the last school: everything that a filter has to heed for each query.
"""

import argparse
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from filter.compiler import compile_policy
from filter.settings import (
    BlockMode,
    CategoryRule,
    NameRule,
    NetworkSettings,
    OverrideSettings,
    PolicySettings,
    ProfileSettings,
    ScheduleSettings,
    Verdict,
    WeeklyRange,
    YouTube,
)

SCHOOLS = 483
NOW = datetime.now(UTC).replace(microsecond=0)
WEEK = tuple(range(5))
BREAKS = ScheduleSettings(
    "recreations", "Récréations",
    weekly=(WeeklyRange(WEEK, time(10), time(10, 15)), WeeklyRange(WEEK, time(12), time(13, 30))),
)  # fmt: skip
CLASS = ScheduleSettings("classe", "Classe", weekly=(WeeklyRange(WEEK, time(8, 30), time(16, 30)),), in_holidays=False)


def make_profile(number: int) -> ProfileSettings:
    return ProfileSettings(
        f"ecole-{number}", f"École {number}",
        categories=(
            CategoryRule("jeux", Verdict.BLOCK, layer="Aisne"),
            CategoryRule("social_networks", Verdict.BLOCK, layer="Aisne"),
            CategoryRule("press", Verdict.NEUTRAL, "recreations", Verdict.BLOCK, layer=f"École {number}"),
            CategoryRule("shopping", Verdict.BLOCK, "classe", layer=f"École {number}"),
        ),
        names=(
            NameRule("jeu-permis.example", Verdict.ALLOW, f"École {number}"),
            NameRule("distraction.example", Verdict.BLOCK, f"École {number}"),
        ),
        overrides=(
            OverrideSettings(
                f"derogation-{number}", Verdict.ALLOW, NOW - timedelta(days=1), NOW + timedelta(days=1),
                names=("sortie.example",), reason="sortie scolaire",
            ),
        ),
        safe_search=("google", "bing", "duckduckgo"), youtube=YouTube.STRICT, block_mode=BlockMode.NXDOMAIN,
        school=f"002{number:04d}A",
    )  # fmt: skip


def make_settings() -> PolicySettings:
    networks = [NetworkSettings(f"10.{n // 250}.{n % 250}.0/24", f"ecole-{n}") for n in range(SCHOOLS - 1)]
    return PolicySettings(
        profiles=tuple(make_profile(n) for n in range(SCHOOLS)), default_profile="ecole-0",
        networks=(*networks, NetworkSettings("127.0.0.0/8", f"ecole-{SCHOOLS - 1}")), schedules=(BREAKS, CLASS),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", type=Path)
    parser.add_argument("serial", type=int, nargs="?", default=1)
    given = parser.parse_args()
    out = given.names.with_name(f"{given.names.name}.policy")
    compile_policy(make_settings(), out, serial=given.serial, compiled_at=NOW)


if __name__ == "__main__":
    main()

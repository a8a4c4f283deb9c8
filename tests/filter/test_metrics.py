"""What the filter counts is what its documentation lists."""

import re
from pathlib import Path

from filter.metrics import Metrics

GUIDE = Path(__file__).parents[2] / "docs" / "filter.md"


def test_every_measure_is_documented() -> None:
    families = list(Metrics().registry.collect())
    counted = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    documented = set(re.findall(r"`(filter_\w+)(?:\{[a-z,]+\})?`", GUIDE.read_text("utf-8")))
    assert documented == {name for name in counted if not name.endswith("_created")}

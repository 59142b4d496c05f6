"""The analysis duration_percentiles: by hand, and against another computation on random worlds."""

from __future__ import annotations

import numpy as np
import pytest

from tests.builders import at
from tests.warehouse.cases import ALONE, FIVE, MINUTE, groups_of, only, terminated
from tests.warehouse.reference import (
    assert_table,
    facts_of,
    falls_to,
    fit,
    gather,
    name_group,
    newest,
    table_of,
)
from tests.warehouse.worlds import World, build_one

# lifelines says so wherever a percentile is read off a curve with steps.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Approximating using `survival_function_`:lifelines.exceptions.ApproximationWarning"
)


def test_duration_percentiles_by_hand() -> None:
    """The same five: percentiles between two lifetimes lie on the line from one to the other."""
    world = World()
    world.poll(100, *FIVE)
    rows = build_one(world, "duration_percentiles")
    assert groups_of(rows) == ALONE
    names = ("p50", "p75", "p90", "p95", "p99", "mean", "max", "km_p50", "km_p90")
    expected = {
        "archived": (3, 1, 20, 35, 44, 47, 49.4, 80 / 3, 50, None, None),
        "closed": (4, 1, 25, 35, 44, 47, 49.4, 27.5, 50, 30, 50),
        "terminated": (1, 1, 30, 30, 30, 30, 30, 30, 30, None, None),
    }
    for dimension, value in ALONE:
        own = only(rows, dimension=dimension, value=value, role="coordinator", as_of=at(100))
        assert [row["basis"] for row in own] == list(expected)
        for row in own:
            n, n_open, *minutes = expected[row["basis"]]
            assert (row["n"], row["n_open"]) == (n, n_open)
            wanted = [None if cell is None else pytest.approx(cell * MINUTE) for cell in minutes]
            assert [row[name] for name in names] == wanted


def test_percentiles_of_equal_lifetimes() -> None:
    """Lifetimes equal to the microsecond, between which floating point falls, fail no check."""
    lasted = 47930.000003 / MINUTE
    world = World()
    world.poll(1000, terminated("a", 0, lasted), terminated("b", 0, lasted))
    (row,) = only(build_one(world, "duration_percentiles"), dimension="all", basis="terminated")
    assert (row["n"], row["max"]) == (2, pytest.approx(47930.000003))


def test_duration_percentiles(name: str) -> None:
    """Percentiles and means are numpy's, medians of the curves those of lifelines."""
    curves = fit(name)
    expected = {}
    for group, members in gather(facts_of(name), by_role=True).items():
        for basis in ("closed", "archived", "terminated"):
            lifetimes = [
                fact["elapsed"]
                for fact in members
                if fact["elapsed"] is not None
                and (fact["basis"] == basis or (basis == "closed" and fact["basis"] != "open"))
            ]
            if not lifetimes and basis != "closed":
                continue
            wanted = (50, 75, 90, 95, 99)
            quantiles = np.percentile(lifetimes, wanted) if lifetimes else [None] * 5
            falls = {"km_p50": 0.5, "km_p90": 0.1}
            has_curve = basis == "closed" and group in curves
            expected[(*group, basis)] = name_group(name, group) | {
                "n": len(lifetimes),
                "n_open": sum(fact["is_open"] for fact in members),
                **dict(zip([f"p{share}" for share in wanted], quantiles, strict=True)),
                "mean": np.mean(lifetimes) if lifetimes else None,
                "max": max(lifetimes, default=None),
                **{
                    c: falls_to(curves[group][0], s) if has_curve else None
                    for c, s in falls.items()
                },
                "as_of": newest(members),
            }
    rows = table_of(name, "duration_percentiles")
    assert_table(rows, ("dimension", "value", "role", "basis"), expected)

"""The analysis duration_percentiles: by hand, and against another computation on random worlds."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.builders import at
from tests.warehouse.cases import ALONE, FIVE, MINUTE, groups_of, only, terminated
from tests.warehouse.reference import (
    Group,
    assert_table,
    facts_of,
    find_percentile,
    fit,
    gather,
    name_group,
    newest,
    oldest,
    table_of,
)
from tests.warehouse.worlds import World, build_one

if TYPE_CHECKING:
    from tests.warehouse.worlds import Row


def test_duration_percentiles_by_hand() -> None:
    """The same five: each percentile is one of the lifetimes."""
    world = World()
    world.poll(100, *FIVE)
    rows = build_one(world, "duration_percentiles")
    assert groups_of(rows) == ALONE
    names = ("p50", "p75", "p90", "p95", "p99", "mean", "max", "km_p50", "km_p90")
    expected = {
        "archived": (3, 1, 20, 50, 50, 50, 50, 80 / 3, 50, None, None),
        "closed": (4, 1, 20, 30, 50, 50, 50, 27.5, 50, 30, 50),
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
    bounds = defaultdict(list)
    for row in table_of(name, "survival"):
        bounds[row["dimension"], row["value"], row["role"]].append(row)
    expected = {}
    for group, members in gather(facts_of(name), by_role=True).items():
        for basis in ("closed", "archived", "terminated", "cancelled", "vanished"):
            lifetimes = [
                fact["elapsed"]
                for fact in members
                if fact["elapsed"] is not None
                and (fact["basis"] == basis or (basis == "closed" and fact["basis"] != "open"))
            ]
            late = sum(fact["entry"] > 0 for fact in members) / len(members)
            vanished = [f for f in members if f["basis"] == "vanished" and f["elapsed"] is not None]
            if not lifetimes and basis != "closed":
                continue
            wanted = (50, 75, 90, 95, 99)
            quantiles = [find_percentile(lifetimes, share) for share in wanted]
            falls = {"km_p50": 0.5, "km_p90": 0.1}
            has_curve = basis == "closed" and group in curves
            expected[(*group, basis)] = name_group(name, group) | {
                "n": len(lifetimes),
                "n_open": sum(fact["basis"] == "open" for fact in members),
                "late_share": late,
                "vanished_share": {"closed": len(vanished), "vanished": len(lifetimes)}.get(
                    basis, 0
                )
                / len(lifetimes)
                if lifetimes
                else None,
                "p50_of_sessions": None,
                "km_p50_of_sessions": None,
                **dict(zip([f"p{share}" for share in wanted], quantiles, strict=True)),
                "mean": np.mean(lifetimes) if lifetimes else None,
                "max": max(lifetimes, default=None),
                **{
                    c: curves[group][0].falls_to(s) if has_curve else None for c, s in falls.items()
                },
                **{
                    f"km_p50_{end}": find_bound(bounds[group], f"ci_{end}") if has_curve else None
                    for end in ("low", "high")
                },
                "as_of": newest(members),
                "as_of_oldest": oldest(members),
            }
    medians: dict[Group, list[float]] = defaultdict(list)
    for (dimension, _, *kind), row in expected.items():
        if dimension == "session" and row["p50"] is not None:
            medians[tuple(kind)].append(row["p50"])
    for key, own in medians.items():
        expected[("all", "all", *key)]["p50_of_sessions"] = find_percentile(own, 50)
    for key, median in find_typical(expected).items():
        expected[("all", "all", *key)]["km_p50_of_sessions"] = median
    rows = table_of(name, "duration_percentiles")
    assert_table(rows, ("dimension", "value", "role", "basis"), expected)


def find_typical(rows: dict[Group, Row]) -> dict[Group, float | None]:
    """Return the median of the sessions' km_p50, for each role; none if that is beyond them."""
    typical: dict[Group, list[float]] = defaultdict(list)
    for (dimension, _, *kind), row in rows.items():
        if dimension == "session" and kind[-1] == "closed":
            typical[tuple(kind)].append(row["km_p50"] or math.inf)
    medians = {key: find_percentile(own, 50) for key, own in typical.items()}
    return {key: None if median == math.inf else median for key, median in medians.items()}


def find_bound(curve: list[Row], column: str) -> float | None:
    """Return the first time at which a bound of a curve is at a half or below."""
    reached = [r["t_seconds"] for r in curve if r[column] is not None and r[column] <= 0.5]
    return min(reached, default=None)

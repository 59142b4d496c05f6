"""The analysis survival: by hand, and against another computation on random worlds."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from tests.builders import at
from tests.warehouse.cases import ALONE, FIVE, MINUTE, archived, columns, groups_of, only
from tests.warehouse.reference import fit, newest, oldest, table_of
from tests.warehouse.worlds import World, build_all, build_one, state

# lifelines says so wherever a percentile is read off a curve with steps.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Approximating using `survival_function_`:lifelines.exceptions.ApproximationWarning"
)


def test_survival_by_hand() -> None:
    """Five lifetimes, one of them censored at the time of a closing: a textbook's figures."""
    world = World()
    world.poll(100, *FIVE)
    rows = build_one(world, "survival")
    assert groups_of(rows) == ALONE
    # Greenwood's sums: 1/20, + 1/12, + 1/6; the censored one is at risk at 30 minutes.
    curve = [
        (10 * MINUTE, 5, 1, 0, 0.8, 0.2038, 0.9692),
        (20 * MINUTE, 4, 1, 0, 0.6, 0.1257, 0.8818),
        (30 * MINUTE, 3, 1, 1, 0.4, 0.0520, 0.7528),
        (50 * MINUTE, 1, 1, 0, 0.0, None, None),
    ]
    names = ("t_seconds", "at_risk", "closed", "censored", "survival", "ci_low", "ci_high")
    for dimension, value in ALONE:
        own = only(rows, dimension=dimension, value=value, role="coordinator", as_of=at(100))
        assert [
            tuple(cell if cell is None else round(cell, 4) for cell in cells)
            for cells in columns(own, *names)
        ] == curve


@pytest.mark.parametrize(("open_threads", "half", "tenth"), [(0, 500, 900), (350, 540, 908)])
def test_thinned_curve_is_exact(open_threads: int, half: int, tenth: int) -> None:
    """A thousand lifetimes of 1 to 1000 s: few rows, and the median falls on the very second.

    350 threads more are open after 250.5 s: from then on 750 of 1100 are left.
    """
    age = 250.5 / 60
    waiting = [state(f"open{i}", "idle", 100 - age, 100 - age) for i in range(open_threads)]
    world = World()
    world.poll(100, *(archived(f"t{i}", 0, i / 60) for i in range(1, 1001)), *waiting)
    tables = build_all(world)
    curve = only(tables["survival"], dimension="all")
    assert 160 < len(curve) <= 225
    assert sum(row["closed"] for row in curve) == 1000
    for row in curve:
        if row["t_seconds"] != 250.5:
            second = round(row["t_seconds"])
            left = 1000 - second
            early = second < 251
            share = left / 750 * (750 + open_threads) / (1000 + open_threads)
            if early:
                share = (left + open_threads) / (1000 + open_threads)
            assert row["at_risk"] == left + 1 + early * open_threads
            assert row["survival"] == pytest.approx(share, abs=1e-11)
    (row,) = only(tables["duration_percentiles"], dimension="all", basis="closed")
    assert (row["km_p50"], row["km_p90"], row["p50"]) == (half, tenth, 500)


def test_survival(name: str) -> None:
    """Each curve is that of lifelines at every time it has: estimate, bounds and counts."""
    found = defaultdict(list)
    for row in table_of(name, "survival"):
        found[row["dimension"], row["value"], row["role"]].append(row)
    curves = fit(name)
    assert found.keys() == curves.keys()
    for group, rows in found.items():
        curve, members = curves[group]
        times = [row["t_seconds"] for row in rows]
        events = curve.event_table
        if len(members) <= 200:
            assert times == sorted({fact["elapsed"] for fact in members}), group
        assert times == sorted(times)
        assert times[-1] == max(fact["elapsed"] for fact in members), group
        # At risk at an age is who was first seen before it.
        at_once = events["entrance"].where(events.index > 0, 0)
        counts = (events["at_risk"] - at_once).loc[times]
        assert [row["at_risk"] for row in rows] == list(counts), group
        for column, count in (("closed", "observed"), ("censored", "censored")):
            sums = np.cumsum([row[column] for row in rows])
            assert list(sums) == list(events[count].cumsum().loc[times]), (group, column)
        estimate = curve.survival_function_.loc[times].to_numpy()[:, 0]
        bounds = curve.confidence_interval_.loc[times].to_numpy()
        survival = np.array([row["survival"] for row in rows])
        assert survival == pytest.approx(estimate, abs=1e-9), group
        has_bounds = (survival > 0) & (survival < 1)
        assert [row["ci_low"] is not None for row in rows] == list(has_bounds), group
        for index, column in enumerate(("ci_low", "ci_high")):
            inner = [row[column] for row in rows if row[column] is not None]
            assert inner == pytest.approx(bounds[has_bounds, index], abs=1e-7), (group, column)
        assert {row["as_of"] for row in rows} == {newest(members)}
        assert {row["as_of_oldest"] for row in rows} == {oldest(members)}

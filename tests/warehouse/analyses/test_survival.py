"""The analysis survival: by hand, and against another computation on random worlds."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pytest
from lifelines import KaplanMeierFitter

from tests.builders import at
from tests.warehouse.cases import ALONE, FIVE, MINUTE, archived, columns, groups_of, only
from tests.warehouse.reference import count_until, fit, newest, oldest, table_of
from tests.warehouse.worlds import World, build_all, build_one, state

if TYPE_CHECKING:
    from tests.warehouse.reference import Product
    from tests.warehouse.worlds import Row


CURVES = {"survival": "shares", "ci_low": "lows", "ci_high": "highs"}


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
    """Each curve is the product-limit one at every time it has: estimate, bounds and counts.

    Where nobody vanished lifelines says the same.
    """
    found = defaultdict(list)
    for row in table_of(name, "survival"):
        found[row["dimension"], row["value"], row["role"]].append(row)
    curves = fit(name)
    assert found.keys() == curves.keys()
    for group, rows in found.items():
        curve, members = curves[group]
        times = np.array([row["t_seconds"] for row in rows])
        # Places between two bounds are floating point's.
        places = np.searchsorted(curve.times, times * (1 - 1e-12))
        assert times == pytest.approx(curve.times[places]), group
        assert places[-1] == len(curve.times) - 1
        assert len(members) > 200 or len(times) == len(curve.times), group
        at_risk = np.array([row["at_risk"] for row in rows])
        of_kinds = [curve.at_risk(kind)[places] for kind in (False, True)]
        assert ((at_risk == of_kinds[0]) | (at_risk == of_kinds[1])).all(), group
        most = np.maximum(at_risk, 1)
        doubts = {
            "ci_low": np.maximum(1 - curve.maybe_sooner[places] / most, 0),
            "ci_high": 1 + curve.maybe_later[places] / most,
        }
        for column, values in CURVES.items():
            own = np.minimum(getattr(curve, values)[places] * doubts.get(column, 1), 1)
            inner = np.array([row[column] is not None for row in rows])
            is_inside = (curve.shares[places] > 0) & (curve.shares[places] < 1)
            assert list(inner) == list(is_inside | (column == "survival")), group
            found_ = [row[column] for row in rows if row[column] is not None]
            assert found_ == pytest.approx(own[inner], abs=1e-7), (group, column)
        assert {row["as_of"] for row in rows} == {newest(members)}
        assert {row["as_of_oldest"] for row in rows} == {oldest(members)}
        assert_counts(rows, curve)
        if not any(fact["basis"] == "vanished" for fact in members):
            assert_lifelines(rows, members)


def assert_counts(rows: list[Row], curve: Product) -> None:
    """Hold the sums of both counts against the threads gone by then."""
    times = np.array([row["t_seconds"] for row in rows]) * (1 + 1e-12)
    for column, is_censored in (("closed", False), ("censored", True)):
        expected = count_until(np.sort(curve.ages[curve.is_open == is_censored]), times, "right")
        assert list(np.cumsum([row[column] for row in rows])) == list(expected)


def assert_lifelines(rows: list[Row], members: list[Row]) -> None:
    """Hold estimates and bounds against lifelines."""
    curve = KaplanMeierFitter().fit(
        [fact["elapsed"] for fact in members],
        [fact["basis"] != "open" for fact in members],
        entry=[fact["entry"] for fact in members],
    )
    times = [row["t_seconds"] for row in rows]
    survival = np.array([row["survival"] for row in rows])
    estimate = curve.survival_function_.loc[times].to_numpy()[:, 0]
    assert survival == pytest.approx(estimate, abs=1e-9)
    bounds = curve.confidence_interval_.loc[times].to_numpy()
    has_bounds = (survival > 0) & (survival < 1)
    assert [row["ci_low"] is not None for row in rows] == list(has_bounds)
    for index, column in enumerate(("ci_low", "ci_high")):
        inner = [row[column] for row in rows if row[column] is not None]
        assert inner == pytest.approx(bounds[has_bounds, index], abs=1e-7)

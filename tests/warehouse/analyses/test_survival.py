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
    from tests.warehouse.reference import Numbers, Product
    from tests.warehouse.worlds import Row


# Of Student's 97.5 % quantile, by powers of 1 / df.
STUDENT = (
    1.959963984540054,
    2.372271230298562,
    2.82249861573964,
    2.555849679507722,
    1.589534053393823,
)
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


def test_names_of_one_hash() -> None:
    """Groups are apart whose names are one number to DuckDB's hash; so are sessions.

    It takes two changes for none if they are in the last bytes of eight and of sixteen.
    """
    alike = ("agent_00.2.10.10", "agent_09.2.10.17", "agent_00.2.10.12", "agent_09.2.10.15")
    world = World()
    for number, name in enumerate(alike):
        ended = [
            archived(f"t{each}", 0, 10 * (number + 1), agent_id=name, agent_model=name)
            for each in range(10)
        ]
        world.poll(100, *ended, session_id=name)
    tables = build_all(world)
    for dimension in ("session", "agent", "model"):
        rows = only(tables["survival"], dimension=dimension)
        assert [(row["value"], row["closed"], row["t_seconds"]) for row in rows] == [
            (name, 10, 10 * MINUTE * (alike.index(name) + 1)) for name in sorted(alike)
        ]


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


def test_sessions_alike() -> None:
    """Intervals are those of a delete-one-session jackknife, also where chance alone differs.

    Sessions of 40 threads, each with another speed; what is open is censored at any age.
    """
    chance = np.random.default_rng(5)
    for spread, limits in ((0.0, (1.0, 1.6)), (0.7, (1.8, 4.0))):
        speeds = np.exp(spread * chance.standard_normal((14, 1)))
        ends, until = 20 * speeds * chance.exponential(size=(14, 40)), 60 * chance.random((14, 40))
        world = World()
        for session, own in enumerate(zip(ends, until, strict=True)):
            shown = [
                archived(f"t{i}", 100 - censored, 100 - censored + end)
                if end <= censored
                else state(f"t{i}", "idle", 100 - censored, 100 - censored)
                for i, (end, censored) in enumerate(zip(*own, strict=True))
            ]
            world.poll(100, *shown, session_id=f"s{session}")
        rows = only(build_one(world, "survival"), dimension="all")
        ages, is_closed = np.minimum(ends, until), ends <= until
        for share in (0.75, 0.5, 0.25):
            row = next(row for row in rows if row["survival"] <= share)
            wide = [
                np.log(-np.log(share_open(ages[kept], is_closed[kept], row["t_seconds"] / 60)))
                for kept in (np.arange(14) != left_out for left_out in range(14))
            ]
            error = np.sqrt(13 * np.var(wide))
            low, high = (np.log(-np.log(row[name])) for name in ("ci_high", "ci_low"))
            assert (
                limits[0] <= (high - low) / 2 / 1.96 / greenwood(ages, is_closed, row) <= limits[1]
            )
            if spread:
                # Of 13 degrees of freedom the quantile is 2.16.
                assert (high - low) / 2 == pytest.approx(2.16 * error, rel=0.25), share


def share_open(ages: Numbers, is_closed: Numbers, age: float) -> float:
    """Return the Kaplan-Meier share that is open after an age."""
    fitted = KaplanMeierFitter().fit(ages.ravel(), is_closed.ravel())
    return float(fitted.predict(age + 1e-9))


def greenwood(ages: Numbers, is_closed: Numbers, row: Row) -> float:
    """Return Greenwood's standard deviation on the log-log scale, at a row of the curve."""
    closings = np.sort(ages[is_closed])
    at_risk = np.array(
        [(ages >= closing).sum() for closing in closings if closing <= row["t_seconds"] / 60 + 1e-9]
    )
    return float(np.sqrt((1 / at_risk / (at_risk - 1)).sum()) / -np.log(row["survival"]))


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
        wider = np.ones(len(rows)) if group[0] == "session" else widen(rows, members)
        for column, values in CURVES.items():
            own = stretch(curve.shares[places], getattr(curve, values)[places], wider)
            own = np.minimum(own * doubts.get(column, 1), 1)
            inner = np.array([row[column] is not None for row in rows])
            is_inside = (curve.shares[places] > 0) & (curve.shares[places] < 1)
            assert list(inner) == list(is_inside | (column == "survival")), group
            found_ = [row[column] for row in rows if row[column] is not None]
            assert found_ == pytest.approx(own[inner], abs=1e-7), (group, column)
        assert {row["as_of"] for row in rows} == {newest(members)}
        assert {row["as_of_oldest"] for row in rows} == {oldest(members)}
        assert_counts(rows, curve)
        if not any(fact["basis"] == "vanished" for fact in members):
            assert_lifelines(rows, members, wider)


def stretch(shares: Numbers, bounds: Numbers, wider: Numbers) -> Numbers:
    """Return bounds that are so much further from the shares, on the log-log scale."""
    with np.errstate(all="ignore"):
        further: Numbers = shares ** ((np.log(bounds) / np.log(shares)) ** wider)
    return np.where(bounds == shares, bounds, further)


def widen(rows: list[Row], members: list[Row]) -> Numbers:
    """Return by how much wider the intervals of a curve are for its sessions, at each of its times.

    By the age at which it has fallen to three quarters, to half, and to a quarter: how far from
    each other sessions are in how many closed, of as many as their threads' ages would have made.
    """
    times = np.array([row["t_seconds"] for row in rows])
    shares = np.array([row["survival"] for row in rows])
    reached = [int(np.argmax(shares <= q)) if shares[-1] <= q else -1 for q in (0.75, 0.5, 0.25)]
    ages, hazards = times[reached], -np.log(np.maximum(shares[reached], 0.05))
    knots = {0.0: 0.0, **dict(zip(ages, hazards, strict=True))}
    at, hazard = np.array(sorted(knots)), np.array([knots[age] for age in sorted(knots)])
    names = [f"{fact['key'][:2]}" for fact in members]
    own = np.array([[name == session for name in names] for session in set(names)])
    ends, entries = (np.array([fact[name] for fact in members]) for name in ("spread", "entry"))
    has_closed = np.array([fact["basis"] != "open" for fact in members])
    n, sizes = len(own), own.sum(axis=1)
    df = max(1.0, sizes.sum() ** 2 / (sizes**2).sum() - 1)
    student = sum(c / df**power for power, c in enumerate(STUDENT)) / STUDENT[0]
    factors = []
    for age in ages:
        closed = has_closed & (ends <= age * (1 + 1e-12))
        due = np.interp(np.minimum(ends, age), at, hazard)
        due -= np.interp(np.minimum(entries, age), at, hazard)
        squares = float(((own @ (closed - due)) ** 2).sum())
        effect = squares / closed.sum() * n / (n - 1) if closed.any() and n > 1 else 0.0
        factors.append(max(1.0, effect**0.5 * student))
    return np.select([shares > 0.625, shares > 0.375], factors[:2], factors[2])


def assert_counts(rows: list[Row], curve: Product) -> None:
    """Hold the sums of both counts against the threads gone by then."""
    times = np.array([row["t_seconds"] for row in rows]) * (1 + 1e-12)
    for column, is_censored in (("closed", False), ("censored", True)):
        expected = count_until(np.sort(curve.ages[curve.is_open == is_censored]), times, "right")
        assert list(np.cumsum([row[column] for row in rows])) == list(expected)


def assert_lifelines(rows: list[Row], members: list[Row], wider: Numbers) -> None:
    """Hold estimates and bounds against lifelines, bounds so much wider."""
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
        own = stretch(survival[has_bounds], bounds[has_bounds, index], wider[has_bounds])
        assert inner == pytest.approx(own, abs=1e-7)

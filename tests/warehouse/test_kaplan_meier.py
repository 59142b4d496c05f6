"""The macro kaplan_meier, on lifetimes that come under observation late, against lifelines."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from lifelines import KaplanMeierFitter
from lifelines.exceptions import StatError

from pipelines.warehouse.sql import fetch_records
from tests.warehouse.worlds import World, connect

Life = tuple[float, bool, float]


def draw(seed: int, count: int, closing: float, grain: float, late: float) -> list[Life]:
    """Return lifetimes with ties of `grain`: age, whether open, and age when first seen."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    lives: list[Life] = []
    while len(lives) < count:
        elapsed = max(1.0, round(rng.expovariate(1 / 50) / grain) * grain)
        entry = round(rng.uniform(0, 80) / grain) * grain if rng.random() < late else 0.0
        if entry < elapsed:
            lives.append((elapsed, rng.random() > closing, entry))
    return lives


CASES = {
    "late": draw(1, 150, 0.7, 0.01, 0.5),
    "ties": draw(2, 150, 0.6, 5, 0.5),
    "all late": draw(3, 100, 0.8, 0.01, 1),
    "all open": draw(4, 50, 0, 1, 0.5),
    "all closed": draw(5, 50, 1, 1, 0.5),
    "single": [(40.0, False, 30.0)],
    "never at risk": [
        (40.0, True, 40.0),
        (40.0, False, 0.0),
        (50.0, False, 10.0),
        (50.0, True, 40.0),
    ],
    "alone for a while": [(5.0, False, 0.0), (30.0, False, 20.0), (40.0, True, 20.0)],
    "many": draw(6, 3000, 0.7, 0.001, 0.5),
}


@pytest.mark.parametrize("case", CASES)
def test_delayed_entry(case: str) -> None:
    """Estimate and bounds are those of lifelines, where it gives any, and of the product itself.

    At risk at an age is who was first seen before it and is not yet gone. The last one at risk does
    not take all while others are still to come: there lifelines gives nothing.
    """
    lives = CASES[case]
    with connect(World()) as connection:
        connection.execute(
            "CREATE TABLE lives (elapsed_seconds DOUBLE, is_censored BOOLEAN, entry_seconds DOUBLE)"
        )
        connection.executemany("INSERT INTO lives VALUES (?, ?, ?)", lives)
        connection.execute(
            "CREATE VIEW given AS SELECT 1 AS curve, *, FALSE AS is_vanished, 0 AS listed_seconds, "
            "0 AS elapsed_low, 0 AS elapsed_high FROM lives"
        )
        rows = fetch_records(connection, "FROM kaplan_meier('given') ORDER BY t_seconds")
    ages, are_open, entries = zip(*lives, strict=True)
    times = [row["t_seconds"] for row in rows]
    assert times == sorted(set(ages)) or len(lives) > 200
    product, curve = 1.0, {}
    for moment in sorted(set(ages)):
        at_risk = sum(entry < moment <= age for age, _, entry in lives)
        closed = sum(age == moment and not is_open for age, is_open, _ in lives)
        is_awaiting = any(entry >= moment > 0 for _, _, entry in lives)
        product *= 1 - (closed - (closed == at_risk and is_awaiting)) / at_risk if closed else 1
        curve[moment] = (at_risk, product)
    assert [row["at_risk"] for row in rows] == [curve[moment][0] for moment in times]
    survival = [row["survival"] for row in rows]
    assert survival == pytest.approx([curve[moment][1] for moment in times], abs=1e-9)
    try:
        fitted = KaplanMeierFitter().fit(ages, [not is_open for is_open in are_open], entry=entries)
    except StatError:
        assert case in {"alone for a while", "all closed"}
        return
    estimate = fitted.survival_function_.loc[times].to_numpy()[:, 0]
    assert survival == pytest.approx(estimate, abs=1e-9)
    bounds = fitted.confidence_interval_.loc[times].to_numpy()
    inner = [number for number, row in enumerate(rows) if row["ci_low"] is not None]
    for column, name in enumerate(("ci_low", "ci_high")):
        found = [rows[number][name] for number in inner]
        assert found == pytest.approx(bounds[inner, column], abs=1e-7)


def test_closings_unseen() -> None:
    """Whoever vanished is one of those listed by then; the bounds hold every time it may have been.

    `a` was first listed when it had closed. Of five at risk it closes; `c` vanishes when b and c
    alone had been listed, `d` when b, d and e had.
    """
    # Age, whether open, age when first listed, and of those that vanished both bounds of the age.
    lives = {
        "a": (10, False, 12, 10, 10),
        "b": (40, True, 5, 40, None),
        "c": (25, False, 15, 20, 30),
        "d": (35, False, 28, 34, 50),
        "e": (60, False, 32, 60, 60),
    }
    with connect(World()) as connection:
        connection.execute(
            "CREATE TABLE lives (elapsed_seconds DOUBLE, is_censored BOOLEAN, "
            "listed_seconds DOUBLE, elapsed_low DOUBLE, elapsed_high DOUBLE)"
        )
        connection.executemany("INSERT INTO lives VALUES (?, ?, ?, ?, ?)", list(lives.values()))
        connection.execute(
            "CREATE VIEW given AS SELECT 1 AS curve, *, 0 AS entry_seconds, "
            "elapsed_low < elapsed_high AS is_vanished FROM lives"
        )
        rows = fetch_records(connection, "FROM kaplan_meier('given') ORDER BY t_seconds")
    share = {10: 4 / 5, 25: 4 / 5 / 2, 35: 4 / 5 / 2 * 2 / 3, 40: 4 / 5 / 2 * 2 / 3, 60: 0}
    at_risk = {10: 5, 25: 2, 35: 3, 40: 2, 60: 1}
    assert {row["t_seconds"]: row["at_risk"] for row in rows} == at_risk
    assert {row["t_seconds"]: row["survival"] for row in rows} == pytest.approx(share)
    sums, variance = {10: 1 / 20, 25: 1 / 2, 35: 1 / 6}, 0.0
    bounds: dict[int, tuple[Any, Any]] = {60: (None, None)}
    for moment in (10, 25, 35, 40):
        variance += sums.get(moment, 0)
        spread = math.exp(1.959963984540054 * math.sqrt(variance) / math.log(share[moment]))
        later = {25: 1 / 2, 35: 1 / 3, 40: 1 / 2}.get(moment, 0)
        high = min(share[moment] ** spread * (1 + later), 1)
        bounds[moment] = (pytest.approx(share[moment] ** (1 / spread)), pytest.approx(high))
    assert {row["t_seconds"]: (row["ci_low"], row["ci_high"]) for row in rows} == bounds

"""The analysis agent_versions: by hand, and against another computation on random worlds."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from lifelines.statistics import logrank_test
from scipy.stats import binomtest

from tests.builders import at
from tests.warehouse.cases import archived, columns, terminated
from tests.warehouse.reference import Group, assert_table, facts_of, falls_to, fit, newest, table_of
from tests.warehouse.worlds import Row, World, build_one, parsed_analyses, state

# lifelines says so wherever a percentile is read off a curve with steps.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Approximating using `survival_function_`:lifelines.exceptions.ApproximationWarning"
)


def test_agent_versions_by_hand() -> None:
    """Six versions in a row: too few, worse, better and no different, chi-squared worked out."""
    lifetimes = {1: [1, 3], 2: [2, 4], 3: [1] * 10, 4: [2] * 10, 5: [1] * 10, 6: [1] * 10}
    world = World()
    listed = [
        (terminated if version == 1 and end == 1 else archived)(
            f"v{version}_{i}", 0, end, agent_id="x", agent_version=version
        )
        for version, ends in lifetimes.items()
        for i, end in enumerate(ends)
    ]
    listed += [
        state("open", "idle", 9, 9, agent_id="x", agent_version=6),
        state("no_version", agent_id="x"),
        state("no_agent", agent_version=1),
    ]
    world.poll(10, *listed)
    rows = build_one(world, "agent_versions")
    assert list(rows[0]) == list(parsed_analyses()["agent_versions"].header.columns)
    names = ("version", "n", "n_closed", "km_p50", "version_before", "ratio", "verdict")
    assert columns(rows, *names) == [
        (1, 2, 2, 60, None, None, None),
        (2, 2, 2, 120, 1, 2, "too few"),
        (3, 10, 10, 60, 2, 0.5, "too few"),
        (4, 10, 10, 120, 3, 2, "worse"),
        (5, 10, 10, 60, 4, 0.5, "better"),
        (6, 11, 10, 60, 5, 1, "unclear"),
    ]
    # Versions 1 and 2: observed 2, expected 1/2 + 2/3 + 1/2 + 1, variance 1/4 + 2/9 + 1/4.
    # Versions 3 and 4: 5 too few closed at the first minute, variance 10 * 1/4 * 10/19.
    # Versions 5 and 6: 10 and 10 of 10 and 11 closed: expected 20 * 11/21.
    excess, variance = 10 - 220 / 21, 20 * (11 / 21) * (10 / 21) * (1 / 20)
    chi = [row["log_rank"] for row in rows]
    assert chi[0] is None
    assert chi[1] == pytest.approx((2 / 3) ** 2 / (13 / 18))
    assert chi[3:] == pytest.approx([19, 19, excess**2 / variance])
    wilson = ("terminated_share", "terminated_share_low", "terminated_share_high")
    assert [round(cell, 4) for cell in columns(rows, *wilson)[0]] == [0.5, 0.0945, 0.9055]
    assert [round(cell, 4) for cell in columns(rows, *wilson)[3]] == [0, 0, 0.2775]
    before = ("n_before", "n_closed_before", "terminated_share_before", "km_p50_before")
    assert columns(rows, *before)[:3] == [(None,) * 4, (2, 2, 0.5, 60), (2, 2, 0, 120)]
    assert {(row["agent"], row["role"], row["as_of"]) for row in rows} == {
        ("x", "coordinator", at(10))
    }


def test_agent_versions(name: str) -> None:
    """Log-rank is that of lifelines, Wilson's bounds are scipy's, and the verdict follows them."""
    curves = fit(name)
    versions = defaultdict(list)
    for fact in facts_of(name):
        if fact["agent"] is not None and fact["agent_version"] is not None:
            versions[fact["agent"], fact["role"], fact["agent_version"]].append(fact)
    expected: dict[Group, Row] = {}
    before = None
    for group in sorted(versions):
        members = versions[group]
        agent, role, version = group
        closed = [fact for fact in members if not fact["is_open"]]
        terminated = sum(fact["basis"] == "terminated" for fact in closed)
        bounds: Any = (None, None)
        if closed:
            interval = binomtest(terminated, len(closed)).proportion_ci(method="wilson")
            bounds = (interval.low, interval.high)
        fitted = curves.get(("agent_version", f"{agent}@{version}", role))
        own = {
            "n": len(members),
            "n_closed": len(closed),
            "terminated_share": terminated / len(closed) if closed else None,
            "km_p50": falls_to(fitted[0], 0.5) if fitted else None,
        }
        if before is None or before[:2] != group[:2]:
            before = None
        last = expected[before] if before else dict.fromkeys(own)
        median, median_before = own["km_p50"], last["km_p50"]
        judged = judge(versions[before], members) if before else (None, None)
        expected[group] = {
            **own,
            "terminated_share_low": bounds[0],
            "terminated_share_high": bounds[1],
            "version_before": before[2] if before else None,
            **{f"{column}_before": last[column] for column in own},
            "ratio": median / median_before if median and median_before else None,
            "log_rank": judged[0],
            "verdict": judged[1],
            "as_of": newest(members),
        }
        before = group
    assert_table(table_of(name, "agent_versions"), ("agent", "role", "version"), expected)


def judge(old: list[Row], new: list[Row]) -> tuple[float | None, str]:
    """Return lifelines' log-rank statistic of two versions, and what to say of them."""
    known = [[fact for fact in members if fact["elapsed"] is not None] for members in (old, new)]
    times = [[fact["elapsed"] for fact in members] for members in known]
    ends = [[not fact["is_open"] for fact in members] for members in known]
    statistic, is_sure, sign = None, False, 0.0
    if all(times) and any(map(any, ends)):
        with np.errstate(all="ignore"):
            test = logrank_test(*times, *ends)
        if math.isfinite(test.test_statistic):
            statistic, is_sure = float(test.test_statistic), bool(test.p_value < 0.05)
            sign = count_excess(times, ends)
    if min(sum(not fact["is_open"] for fact in members) for members in (old, new)) < 10:
        return statistic, "too few"
    return statistic, "unclear" if not is_sure else "better" if sign > 0 else "worse"


def count_excess(times: list[list[float]], ends: list[list[bool]]) -> float:
    """Return how many more of the new version closed than were to be expected."""
    pairs = [list(zip(*both, strict=True)) for both in zip(times, ends, strict=True)]
    excess = 0.0
    for moment in {time for both in pairs for time, is_end in both if is_end}:
        at_risk = [sum(time >= moment for time, _ in both) for both in pairs]
        closed = [sum(time == moment and is_end for time, is_end in both) for both in pairs]
        excess += closed[1] - sum(closed) * at_risk[1] / sum(at_risk)
    return excess

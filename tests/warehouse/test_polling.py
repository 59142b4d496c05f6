"""What the analyses claim of times and transitions, on fleets whose true histories are known."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest

from benchmarks.polling import (
    FLEETS,
    Polled,
    TimeRow,
    TransitionRow,
    compare_times,
    compare_transitions,
    simulate,
    summarize,
)
from pipelines.warehouse.analyses import list_analyses

if TYPE_CHECKING:
    from collections.abc import Iterable

CLAIM = 0.95
HOURS = {1: 1, 15: 8, 60: 24}


@cache
def poll(interval: int) -> Polled:
    """Return small fleets of every kind, polled every so many minutes."""
    return simulate(interval, HOURS[interval], (3, 15))


def share_that_holds(rows: Iterable[TimeRow | TransitionRow]) -> dict[str | None, float]:
    """Return the share of each fleet's rows whose claim holds."""
    verdicts = defaultdict(list)
    for row in rows:
        verdicts[row.fleet].append(row.holds)
    return {fleet: sum(held) / len(held) for fleet, held in verdicts.items()}


def narrow(row: TimeRow, share: float) -> TimeRow:
    """Return the row with bounds that are nearer to the estimate."""
    low, high = ((1 - share) * row.seconds + share * bound for bound in (row.low, row.high))
    return replace(row, low=low, high=high)


@pytest.mark.slow
@pytest.mark.parametrize("interval", HOURS)
def test_times_lie_within_their_bounds(interval: int) -> None:
    """In every fleet 95 % of the rows contain the truth, also of statuses that no poll saw."""
    shares = share_that_holds(compare_times(poll(interval)))
    assert shares.keys() >= set(FLEETS)
    assert min(shares.values()) >= CLAIM, shares


@pytest.mark.slow
@pytest.mark.parametrize("interval", [15, 60])
def test_bounds_are_not_too_wide(interval: int) -> None:
    """Bounds half as wide would break the claim."""
    shares = share_that_holds(narrow(row, 0.5) for row in compare_times(poll(interval)))
    assert min(shares.values()) < CLAIM, shares


@pytest.mark.slow
@pytest.mark.parametrize("interval", HOURS)
def test_transitions_are_as_direct_as_claimed(interval: int) -> None:
    """Of 95 % of the rows, all but the possibly missed were direct and lasted within bounds."""
    rows = compare_transitions(poll(interval))
    assert sum(row.holds for row in rows) >= CLAIM * len(rows), [r for r in rows if not r.holds]


@pytest.mark.slow
@pytest.mark.parametrize("interval", HOURS)
def test_claims_are_not_empty(interval: int) -> None:
    """Slow fleets are not said to be missed: where polls are frequent, most transitions count."""
    rows = {row["fleet"]: row for row in summarize(poll(interval))}
    for row in rows.values():
        assert row["indirect"] <= row["possibly_missed"]
    if interval == 1:
        assert rows["long turns, 90 min"]["possibly_missed"] < 50


@pytest.mark.slow
def test_transitions_claim_less_than_all() -> None:
    """A rule that flags half as many would break the claim."""
    rows = compare_transitions(poll(60))
    halved = [replace(row, possibly_missed=row.possibly_missed // 2) for row in rows]
    assert sum(row.holds for row in halved) < CLAIM * len(rows)


@pytest.mark.slow
def test_estimates_come_nearer_with_more_polls() -> None:
    """The estimate of time in status errs less at 1 minute than at 60, in every fleet."""
    often, seldom = (
        {row["fleet"]: row["error"] for row in summarize(poll(interval))} for interval in (1, 60)
    )
    assert all(often[fleet] < seldom[fleet] for fleet in FLEETS)


@pytest.mark.parametrize("name", ["time_in_status", "status_transitions"])
def test_claim_is_written_down(name: str) -> None:
    """The header says which share of the rows is claimed."""
    assert "at least 95 % of" in " ".join(list_analyses()[name].header.columns.values())

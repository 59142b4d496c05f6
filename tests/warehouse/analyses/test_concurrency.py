"""The analysis concurrency: by hand, and against another computation on random worlds."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tests.builders import at
from tests.warehouse.cases import only, overlapping
from tests.warehouse.reference import (
    HOUR,
    Group,
    assert_table,
    floor,
    lives_of,
    newest_of_source,
    oldest_of_source,
    table_of,
    world_of,
)
from tests.warehouse.worlds import NEVER, SOURCE, Row, build_one

if TYPE_CHECKING:
    from collections.abc import Iterable


def test_concurrency_by_hand() -> None:
    """Ends at the stroke of an hour, a moment's life, one gone missing, and two without a birth.

    One of these is undated, the other of the future: they are there from when they were seen.
    """
    names = ("hour", "open_peak", "open_mean", "arrivals", "completions", "backlog")
    rows = build_one(overlapping(), "concurrency")
    same = {"source": SOURCE, "as_of": at(150), "as_of_oldest": at(150), "threads_unwatched": 0}
    assert only(rows, **same) == [
        dict(zip(names, cells, strict=True))
        for cells in [
            (at(0), 3, (60 + 30 + 30) / 60, 4, 1, 3),
            (at(60), 4, (30 + 60 + 20 + 2 * 9.5) / 60, 3, 2, 4),
            (at(120), 3, 3, 0, 1, 3),
        ]
    ]


def test_concurrency(name: str) -> None:
    """Peak, mean, arrivals, completions and backlog of each hour are those of a sweep line."""
    world = world_of(name)
    expected: dict[Group, Row] = {}
    for source in sorted({poll["source"] for poll in world.polls}):
        as_of = newest_of_source(world, source)
        if as_of is None:
            continue
        first = as_of - timedelta(hours=87_660)
        lives = lives_of(world, source)
        steps: Counter[datetime] = Counter()
        arrivals: Counter[datetime] = Counter()
        completions: Counter[datetime] = Counter()
        unwatched: Counter[datetime] = Counter()
        for born, gone, is_completion in lives:
            start = min(max(born, first), as_of)
            arrivals[floor(start)] += 1
            steps[start] += 1
            if gone is not None:
                end = min(max(gone, start), as_of)
                steps[end] -= 1
                (completions if is_completion else unwatched)[floor(end)] += 1
        oldest = oldest_of_source(world, source)
        expected |= {
            (source, hour): row
            | {"arrivals": arrivals[hour], "completions": completions[hour], "as_of": as_of}
            | {"threads_unwatched": sum(n for at_, n in unwatched.items() if at_ <= hour)}
            | {"as_of_oldest": oldest}
            for hour, row in sweep(steps, as_of)
        }
    assert_table(table_of(name, "concurrency"), ("source", "hour"), expected)


def sweep(steps: Counter[datetime], as_of: datetime) -> Iterable[tuple[datetime, Row]]:
    """Give each hour's peak, mean and last number of open threads."""
    moments = sorted(steps)
    level = index = 0
    hour = floor(moments[0]) if moments else NEVER
    while hour <= as_of:
        end = min(hour + HOUR, as_of)
        levels, area, since = [], 0.0, hour
        if index == len(moments) or moments[index] > hour:
            levels.append(level)
        while index < len(moments) and moments[index] < hour + HOUR:
            area += level * (moments[index] - since).total_seconds()
            since = moments[index]
            level += steps[since]
            levels.append(level)
            index += 1
        area += level * (end - since).total_seconds()
        length = (end - hour).total_seconds()
        mean = area / length if length else float(level)
        yield hour, {"open_peak": max(levels), "open_mean": mean, "backlog": level}
        hour += HOUR

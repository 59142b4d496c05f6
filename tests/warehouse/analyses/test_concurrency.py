"""The analysis concurrency: by hand, and against another computation on random worlds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.builders import at
from tests.warehouse.cases import archived, columns, only, overlapping
from tests.warehouse.reference import (
    EPOCH,
    HOUR,
    Group,
    assert_table,
    dated_hour_of_source,
    floor,
    hours_of_source,
    lives_of,
    newest_of_source,
    oldest_of_source,
    table_of,
    world_of,
)
from tests.warehouse.worlds import SOURCE, Row, World, build_one, build_some, state

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


def test_concurrency_by_hand() -> None:
    """Ends at the stroke of an hour, a moment's life, one gone missing, and two without a birth.

    One of these is undated, the other of the future: they are there from when they were seen. The
    hour before the first poll is that of dates; no poll brings anything after 150.
    """
    names = ("hour", "is_polled", *("open_peak", "open_mean", "arrivals", "completions", "backlog"))
    rows = build_one(overlapping(), "concurrency")
    same = {"source": SOURCE, "as_of": at(150), "as_of_oldest": at(150), "threads_unwatched": 0}
    assert only(rows, **same) == [
        dict(zip(names, cells, strict=True))
        for cells in [
            (at(0), False, 3, (60 + 30 + 30) / 60, 4, 1, 3),
            (at(60), True, 4, (30 + 60 + 20 + 2 * 9.5) / 60, 3, 2, 4),
            (at(120), True, 3, 3, 0, 1, 3),
            *((at(hour), True, 3, 3, 0, 0, 3) for hour in range(180, 420, 60)),
        ]
    ]


def test_hours_before_the_first_poll() -> None:
    """A source that lists what had closed shows the hours before; one that does not, does not."""
    open_one = state("open", "running", 30, 200)
    for listed, hours in (
        ([open_one, archived("short", 70, 80)], [0, 60, 120, 180]),
        ([open_one], [180]),
    ):
        world = World()
        world.poll(190, *listed)
        tables = build_some(world, "concurrency", "status_over_time")
        assert columns(tables["concurrency"], "hour") == [(at(hour),) for hour in hours]
        assert {row["hour"] for row in tables["status_over_time"]} == {at(180)}


@pytest.mark.parametrize(
    ("polls", "born", "hours"),
    [
        ([(10, {}), (60, {})], 5, [0, 60]),
        # A poll ends on, or just after, a full hour.
        ([(59, {}), (119, {})], 5, [0, 60, 120]),
        ([(59.999, {}), (60.001, {})], 5, [0, 60]),
        # A clock, or the server's, said 1970 or another year.
        (
            [(10, {"started_at": EPOCH, "observed_at": EPOCH, "finished_at": EPOCH}), (70, {})],
            5,
            [0, 60],
        ),
        ([(10, {}), (70, {})], -29_500_000, [0, 60]),
        ([(10, {}), (70, {})], 5_000_000, [0, 60]),
        # Nothing was brought since.
        ([(10, {}), (130, {"outcome": "failed"})], 5, [0, 60, 120]),
    ],
)
def test_hours(polls: list[tuple[float, Row]], born: float, hours: list[float]) -> None:
    """Both tables have each hour that polls speak of, and as many open threads; one has no other.

    The other one has those of dates before them, of 31 days at most.
    """
    world = World()
    for minute, fields in polls:
        listed = (
            [] if fields.get("outcome") else [state("odd", "running", born, 5), archived("a", 2, 4)]
        )
        world.poll(minute, *listed, **fields)
    tables = build_some(world, "concurrency", "status_over_time")
    polled = only(tables["concurrency"], is_polled=True)
    assert columns(polled, "hour", "backlog") == [(at(hour), 1) for hour in hours]
    before = only(tables["concurrency"], is_polled=False)
    days = range(-31 * 24 * 60, 0, 60) if born < 0 else ()
    assert columns(before, "hour", "backlog") == [(at(hour), 1) for hour in days]
    running = only(tables["status_over_time"], status="running")
    assert columns(running, "hour", "threads") == [(at(hour), 1) for hour in hours]


def test_concurrency(name: str) -> None:
    """Peak, mean, arrivals, completions and backlog of each hour are those of a sweep line."""
    world = world_of(name)
    expected: dict[Group, Row] = {}
    for source in sorted({poll["source"] for poll in world.polls}):
        as_of = newest_of_source(world, source)
        if as_of is None:
            continue
        polled, last = hours_of_source(world, source)
        first = dated_hour_of_source(world, source, polled)
        lives = lives_of(world, source)
        if not lives:
            continue
        steps: Counter[datetime] = Counter()
        arrivals: Counter[datetime] = Counter()
        completions: Counter[datetime] = Counter()
        unwatched: Counter[datetime] = Counter()
        for born, gone, is_completion in lives:
            start = min(max(born, first), as_of)
            arrivals[floor(start)] += born >= first
            steps[start] += 1
            if gone is not None:
                end = min(max(gone, start), as_of)
                steps[end] -= 1
                if is_completion:
                    completions[floor(end)] += gone >= first
                else:
                    unwatched[floor(end)] += 1
        oldest = oldest_of_source(world, source)
        expected |= {
            (source, hour): row
            | {"arrivals": arrivals[hour], "completions": completions[hour], "as_of": as_of}
            | {"threads_unwatched": sum(n for at_, n in unwatched.items() if at_ <= hour)}
            | {"as_of_oldest": oldest, "is_polled": hour >= polled}
            for hour, row in sweep(steps, as_of, first, last)
        }
    assert_table(table_of(name, "concurrency"), ("source", "hour"), expected)


def sweep(
    steps: Counter[datetime], as_of: datetime, hour: datetime, last: datetime
) -> Iterable[tuple[datetime, Row]]:
    """Give each hour's peak, mean and last number of open threads."""
    moments = sorted(steps)
    level = index = 0
    while hour <= last:
        end = max(min(hour + HOUR, as_of), hour)
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

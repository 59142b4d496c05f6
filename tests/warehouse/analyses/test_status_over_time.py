"""The analysis status_over_time: by hand, and against another computation on random worlds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.builders import at
from tests.warehouse.cases import columns, only
from tests.warehouse.reference import (
    HOUR,
    assert_table,
    floor,
    hours_of_source,
    newest_of_source,
    table_of,
    unwatched_of,
    world_of,
)
from tests.warehouse.worlds import EVER, NEVER, SOURCE, Row, World, build_one, state

if TYPE_CHECKING:
    from datetime import datetime


def test_status_over_time_by_hand() -> None:
    """Two sessions of three hours, one of them polled no more after the first."""
    world = World()
    world.poll(10, state("a", "running", 5, 5))
    world.poll(20, state("b", "running", 15, 15), session_id="sess_2")
    world.poll(70, state("a", "idle", 5, 50), state("c", "running", 65, 65))
    world.poll(80, outcome="failed", session_id="sess_2")
    world.poll(130, state("a", "idle", 5, 50))
    world.poll(-50, outcome="overtaken")
    rows = only(build_one(world, "status_over_time"), source=SOURCE)
    assert columns(rows, *rows[0]) == [
        (at(0), at(60), "idle", 1, 2, 0, 0),
        (at(0), at(60), "running", 1, 2, 0, 0),
        (at(60), at(120), "idle", 1, 1, 0, 1),
        (at(60), at(120), "running", 2, 1, 0, 1),
        (at(120), at(130), "idle", 1, 1, 0, 1),
        (at(120), at(130), "running", 1, 1, 0, 1),
    ]


def test_status_over_time_with_overlapping_polls() -> None:
    """A thread that a short poll missed before a long one's late page listed it counts as 0."""
    world = World()
    late: Row = {"finished_at": at(66), "observed_at": at(65)}
    world.poll(40, state("a", "running", 5, 5), state("new", "idle", 64, 64), **late)
    world.poll(50, state("a", "running", 5, 5))
    rows = build_one(world, "status_over_time")
    assert columns(rows, "hour", "status", "threads") == [
        (at(0), "idle", 0),
        (at(0), "running", 1),
        (at(60), "idle", 0),
        (at(60), "running", 1),
    ]


def test_status_over_time(name: str) -> None:
    """At each hour's end as many threads are in each status as their spells say."""
    world = world_of(name)
    expected = {}
    for source in {poll["source"] for poll in world.polls}:
        polls = [p for p in world.polls if p["source"] == source and p["outcome"] != "overtaken"]
        spells = [spell for spell in world.spells() if spell["source"] == source]
        first, last = hours_of_source(world, source)
        hour = first
        as_of = newest_of_source(world, source) or EVER
        while hour <= last:
            end = NEVER if as_of < hour + HOUR else hour + HOUR
            known = {poll["session_id"] for poll in polls if poll["started_at"] < hour + HOUR}
            polled = {
                poll["session_id"]
                for poll in polls
                if poll["is_complete"] and max(first, floor(poll["started_at"])) == hour
            }
            counts = Counter(spell["status"] for spell in spells if is_in_status(world, spell, end))
            counts["(unobserved)"] = sum(is_unobserved(spell, end) for spell in spells)
            statuses = {spell["status"] for spell in spells}
            if any(is_unobserved(spell, spell["changed_at"]) for spell in spells):
                statuses |= {"(unobserved)"}
            for status in statuses:
                expected[source, hour, status or "(none)"] = {
                    "counted_at": min(max(as_of, hour), hour + HOUR),
                    "threads": counts[status],
                    "sessions_polled": len(polled),
                    "sessions_resting": 0,
                    "sessions_stale": len(known) - len(polled),
                }
            hour += HOUR
    assert_table(table_of(name, "status_over_time"), ("source", "hour", "status"), expected)


def is_in_status(world: World, spell: Row, moment: datetime) -> bool:
    """Tell whether a spell lasts just before the moment, as far as is known."""
    key = (spell["source"], spell["session_id"], spell["thread_id"])
    left = world.threads[key]["missing_since"] or unwatched_of(world).get(key[:2])
    end = spell["ended_at"] if spell["ended_before"] else left
    is_on = end is None or (end >= moment and max(end, spell["changed_at"]) >= moment)
    return bool(spell["changed_at"] < moment and is_on)


def is_unobserved(spell: Row, moment: datetime) -> bool:
    """Tell whether a thread lives just before the moment, but was in no spell yet."""
    born = spell["changed_after"]
    return bool(spell["spell"] == 1 and born and born < moment <= spell["changed_at"])

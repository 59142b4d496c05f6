"""Sessions that nobody watches: gone, forbidden, or no longer in the configuration."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import SESSION, at
from tests.warehouse.cases import MINUTE, columns, only, terminated
from tests.warehouse.reference import EACH_WORLD, table_of
from tests.warehouse.worlds import CLOSED, SOURCE, World, build_all, build_one, state


def unwatch(world: World, how: str, minute: float) -> None:
    """Let nobody watch the session any more."""
    if how == "out_of_scope":
        world.left[SOURCE, SESSION] = at(minute)
    else:
        world.poll(minute, outcome=how)


@pytest.mark.parametrize("how", ["gone", "forbidden", "out_of_scope"])
def test_threads_of_an_unwatched_session_are_no_present(how: str) -> None:
    """They are left out of all that says now, counted beside it, and censored."""
    world = World()
    world.poll(10, state("a", "running", 0, 5), terminated("b", 0, 8))
    world.poll(20, state("a", "running", 0, 5), terminated("b", 0, 8))
    world.poll(15, state("c", "blocked", 0, 5), session_id="watched")
    unwatch(world, how, 130)
    world.poll(140, outcome="failed", session_id="elsewhere")
    world.poll(250, state("c", "blocked", 0, 5), session_id="watched")
    tables = build_all(world)
    now = only(tables["status_distribution"], dimension="all", status="blocked")
    names: tuple[str, ...] = ("threads", "n", "threads_unwatched", "as_of", "as_of_oldest")
    assert columns(now, *names) == [(1, 1, 2, at(250), at(250))]
    own = only(tables["status_distribution"], dimension="session", value=SESSION)
    assert {(row["threads"], row["n"], row["threads_unwatched"]) for row in own} == {(0, 0, 2)}
    reasons = only(tables["stop_reasons"], dimension="session", value=SESSION)
    assert columns(reasons, "threads", "share", "n", "threads_unwatched") == [(0, None, 0, 2)]
    assert columns(tables["attention"], "thread_id") == [("c",)]
    names = ("hour", "backlog", "completions", "threads_unwatched")
    assert columns(tables["concurrency"], *names) == [
        (at(0), 2, 1, 0),
        (at(60), 2, 0, 0),
        (at(120), 1, 0, 1),
        (at(180), 1, 0, 1),
        (at(240), 1, 0, 1),
    ]
    over = {(row["hour"], row["status"]): row["threads"] for row in tables["status_over_time"]}
    assert [over[at(60 * hour), "running"] for hour in range(5)] == [1, 1, 0, 0, 0]
    assert [over[at(60 * hour), "terminated"] for hour in range(5)] == [1, 1, 0, 0, 0]
    names = ("thread_id", "unwatched_since", "is_censored", "elapsed_seconds")
    assert columns(tables["thread_durations"], *names) == [
        ("a", at(130), True, 20 * MINUTE),
        ("b", at(130), False, 8 * MINUTE),
        ("c", None, True, 250 * MINUTE),
    ]
    since = {row["session_id"]: row["unwatched_since"] for row in tables["session_summary"]}
    assert since == {SESSION: at(130), "watched": None, "elsewhere": None}


def test_since_when() -> None:
    """The first poll that said so counts; a failed one says nothing, a whole one the contrary."""
    since = {
        ("gone", "forbidden", "gone"): at(100),
        ("gone", "failed", "gone"): at(100),
        ("gone", "complete", "gone"): at(120),
        ("gone", "failed"): None,
        ("failed",): None,
        ("gone", "overtaken"): at(100),
    }
    world = World()
    for ends in since:
        session = " ".join(ends)
        world.poll(50, state("a"), session_id=session)
        for number, outcome in enumerate(ends):
            shown = [state("a")] if outcome == "complete" else []
            world.poll(100 + 10 * number, *shown, outcome=outcome, session_id=session)
    rows = build_one(world, "thread_durations")
    found = {tuple(row["session_id"].split()): row["unwatched_since"] for row in rows}
    assert found == since


@pytest.mark.parametrize("name", [world for world in EACH_WORLD if world.id != "hostile"])
def test_levels_agree(name: str) -> None:
    """In every hour as many threads are open as are in open statuses, and in the last as now."""
    open_threads: dict[Any, int] = {}
    for row in table_of(name, "status_over_time"):
        hour = (row["source"], row["hour"])
        is_open = row["status"] not in CLOSED
        open_threads[hour] = open_threads.get(hour, 0) + is_open * row["threads"]
    levels = table_of(name, "concurrency")
    polled = only(levels, is_polled=True)
    backlogs = {(row["source"], row["hour"]): row["backlog"] for row in polled}
    assert backlogs == open_threads
    now: dict[str, int] = {}
    for row in only(table_of(name, "status_distribution"), dimension="source"):
        now[row["value"]] = (
            now.get(row["value"], 0) + (row["status"] not in CLOSED) * row["threads"]
        )
    last = {row["source"]: row["backlog"] for row in levels}
    assert {source: last[source] for source in now} == now

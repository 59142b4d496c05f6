"""Odd, small and hostile worlds in every analysis; the same bytes; and that worlds are worth it."""

from __future__ import annotations

from math import log
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.sql import fetch_records
from tests.builders import SESSION, at, land, load_all, read
from tests.warehouse.cases import KNOWN, MINUTE, archived, columns, only, terminated
from tests.warehouse.reference import (
    WORLDS,
    facts_of,
    newest_loaded,
    newest_poll,
    table_of,
    unwatched_of,
    world_of,
)
from tests.warehouse.worlds import Row, World, build_all, connect, parsed_analyses, simulate, state

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


pytestmark = [pytest.mark.slow, pytest.mark.loads]  # together they take long


def test_outage_by_hand() -> None:
    """Complete polls, then a day of 404 and 400: nothing is taken to go on that no poll saw."""
    world = World()
    world.poll(50, state("a", "running", 0, 48), terminated("b", 0, 40), state("c", "running"))
    world.poll(70, state("a", "idle", 0, 50), terminated("b", 0, 40), state("c", "running"))
    for hour in range(2, 24):
        outcome = "gone" if hour < 12 else "failed"
        world.poll(60 * hour, outcome=outcome, error_message=str(404 if hour < 12 else 400))
    tables = build_all(world)
    names = ("hour", "open_peak", "open_mean", "arrivals", "completions", "backlog", "as_of")
    assert columns(tables["concurrency"], *names) == [
        (at(0), 3, (60 + 40 + 60) / 60, 3, 1, 2, at(70)),
        *((at(60 * hour), 2, 2, 0, 0, 2, at(70)) for hour in range(1, 24)),
    ]
    assert columns(tables["session_summary"], "open", "peak_concurrency", "as_of") == [
        (2, 3, at(70))
    ]
    assert columns(tables["status_transitions"], "from_status", "to_status", "as_of") == [
        ("running", "idle", at(70))
    ]
    assert {row["as_of"] for row in tables["data_quality"]} == {at(70)}
    health = ("failure_streak", "last_outcome", "lag_seconds", "as_of")
    assert columns(tables["ingestion_health"], *health) == [
        (22, "failed", (1380 - 70) * MINUTE, at(1380))
    ]
    # Of failures a person is told elsewhere: whether the session is still there nobody knows.
    assert columns(tables["attention"], "thread_id", "as_of", "quiet_seconds") == [
        ("c", at(70), 70 * MINUTE)
    ]


def test_pages_of_a_failed_poll_count() -> None:
    """A poll that broke off after a page brought that page; one before its first page nothing."""
    world = World()
    world.poll(10, state("a"), state("b"))
    world.poll(80, state("a", "idle", 0, 75), outcome="incomplete")
    world.poll(130, outcome="incomplete", pages=0)
    world.poll(190, state("a", "idle", 0, 76), outcome="overtaken")
    tables = build_all(world)
    assert columns(tables["concurrency"], "hour", "backlog", "as_of") == [
        (at(0), 2, at(80)),
        (at(60), 2, at(80)),
        (at(120), 2, at(80)),
    ]
    for name in ("session_summary", "status_transitions", "data_quality"):
        assert {row["as_of"] for row in tables[name]} == {at(80)}


ROWS_OF_NOTHING = {"status_distribution": 7}


def test_no_poll() -> None:
    """An empty warehouse: known statuses at 0, and nothing else."""
    tables = build_all(World())
    sizes = {name: len(rows) for name, rows in tables.items() if rows}
    assert sizes == ROWS_OF_NOTHING
    assert (
        columns(tables["status_distribution"], "threads", "share", "n", "as_of")
        == [(0, None, 0, None)] * 7
    )


def test_polls_without_threads() -> None:
    """Failed and empty polls alone: the sessions are listed, with no thread and no error."""
    world = World()
    world.poll(0, outcome="failed", error_message="broken")
    world.poll(10, session_id="empty")
    tables = build_all(world)
    sizes = {name: len(rows) for name, rows in tables.items() if rows}
    per_session = {"ingestion_health": 2, "session_summary": 2}
    assert sizes == ROWS_OF_NOTHING | per_session | {"data_quality": 12}
    found = columns(tables["session_summary"], "session_id", "threads", "as_of")
    assert found == [("empty", 0, at(10)), (SESSION, 0, None)]
    world = World()
    world.poll(0, outcome="failed", error_message="broken")
    tables = build_all(world)
    assert columns(tables["session_summary"], "session_id", "as_of") == [(SESSION, None)]
    assert len(tables["data_quality"]) == 12
    assert {row["as_of"] for row in tables["data_quality"]} == {None}
    assert {row["as_of"] for row in tables["ingestion_health"]} == {at(0)}


def test_one_open_thread() -> None:
    """One open thread: a curve that has not fallen, no percentile, one backlog, nothing to do."""
    world = World()
    world.poll(10, state("a", "idle", 0, 5, stop_reason_type="end_turn"))
    tables = build_all(world)
    (row,) = only(tables["survival"], dimension="all", value="all")
    assert columns([row], "t_seconds", "at_risk", "closed", "censored", "survival", "ci_low") == [
        (10 * MINUTE, 0, 0, 1, 1, None)
    ]
    (row,) = only(tables["duration_percentiles"], dimension="all", value="all")
    assert (row["n"], row["n_open"], row["p50"], row["km_p50"]) == (0, 1, None, None)
    assert columns(tables["concurrency"], "open_peak", "open_mean", "backlog") == [(1, 1, 1)]
    assert tables["attention"] == tables["status_transitions"] == tables["agent_versions"] == []


def test_one_closed_thread() -> None:
    """One closed thread: its lifetime is every percentile, and its curve falls to 0 there."""
    world = World()
    world.poll(10, archived("a", 0, 5))
    tables = build_all(world)
    (row,) = only(tables["survival"], dimension="all", value="all")
    assert columns([row], "t_seconds", "at_risk", "closed", "survival", "ci_low", "ci_high") == [
        (5 * MINUTE, 1, 1, 0, None, None)
    ]
    names = ("p50", "p75", "p90", "p95", "p99", "mean", "max", "km_p50", "km_p90")
    for row in only(tables["duration_percentiles"], basis="closed"):
        assert {row[name] for name in names} == {5 * MINUTE}
    assert columns(tables["time_in_status"], "status", "seconds") == [("(unobserved)", 300)] * 7


def test_closed_at_an_unknown_time() -> None:
    """A closed thread without any date of its end is no backlog: for all that is known, never."""
    world = World()
    world.poll(90, state("a", "terminated") | {"updated_at": None}, state("b", "idle", 0, 0))
    world.poll(150, state("a", "terminated") | {"updated_at": None}, state("b", "idle", 0, 0))
    tables = build_all(world)
    found = columns(tables["concurrency"], "open_peak", "arrivals", "completions", "backlog")
    assert found == [(1, 0, 0, 1), (1, 0, 0, 1)]
    assert tables["session_summary"][0]["peak_concurrency"] == 1
    assert columns(tables["thread_durations"], "elapsed_seconds") == [(None,), (150 * MINUTE,)]


def test_a_night_without_polls_is_no_silence(home: Path) -> None:
    """A thread that moves every minute was seen quiet for a minute, however rarely that is seen.

    One that hangs was quiet for as long as polls saw it hang.
    """
    for begun in (0, 10, 20, 900, 910):
        moved = {"hangs": 0 if begun < 910 else begun, "lives": begun - 0.5}
        threads = [
            {"id": name, "agent": {"id": name}, "status": "running", "updated_at": at(when)}
            for name, when in moved.items()
        ]
        land(home, begun, *threads)
    load_all(home)
    found = read(home, "SELECT agent, step, silences FROM silences ORDER BY ALL")
    night, minute = round(100 * log(900 * MINUTE)), round(100 * log(MINUTE))
    assert columns(found, "agent", "step", "silences") == [
        ("hangs", night, 1),
        ("lives", minute, 4),
    ]


def test_worlds_are_what_the_loader_makes(home: Path) -> None:
    """The polls of a random world, loaded from landed pages, leave the very rows of that world."""
    world = simulate(11, 80, polls=16, gap=30, odd=0.06)
    for number, (_, shown, fields) in enumerate(world.given[4:12]):
        kind = {name: fields[name] for name in ("source", "session_id")}
        kind["outcome"] = "incomplete" if number % 3 else "complete"
        world.poll(520 + 10 * number, *shown, **kind)
    later: Row = {"status": "blocked", "updated_at": at(605)}
    moved = [row | later for row in shown if row["is_open"]]
    world.poll(610, *moved, **kind | {"outcome": "incomplete"})
    for minute, shown, fields in world.given:
        known = {name: fields[name] for name in ("outcome", "status_filter") if name in fields}
        if known["outcome"] != "overtaken":
            land(home, minute, *map(send, shown), **known)
    load_all(home)
    assert any(len(spells) > 4 for spells in world.history.values())
    assert sum(poll["threads_regressed"] for poll in world.polls[-8:]) > 50
    unseen = list(world.unseen())
    assert {row["last_seen_at"] is None for row in unseen} == {True, False}
    tables: dict[str, Iterable[Row]] = {
        "threads": world.threads.values(),
        "thread_status_history": world.spells(),
        "spells_unseen": unseen,
        "silences": world.list_silences(),
    }
    for table, rows in tables.items():
        loaded = {key_row(row): row for row in read(home, f"FROM {table}")}
        own = {key_row(row): row for row in rows}
        assert loaded.keys() == own.keys()
        for key, row in own.items():
            names = row.keys() - {"source", "session_id"}
            assert {name: loaded[key][name] for name in names} == {
                name: row[name] for name in names
            }


def key_row(row: Row) -> tuple[Any, ...]:
    """Return what tells a row of a world's tables from the others of its table."""
    return tuple(row.get(name) for name in ("thread_id", "spell", "agent", "status", "step"))[
        : 2 if "thread_id" in row else None
    ]


def send(row: Row) -> dict[str, Any]:
    """Return a thread of a world as a server would send it."""
    agent = {name: row.get(f"agent_{name}") for name in ("id", "name", "model", "version")}
    stop = row["stop_reason_type"]
    thread = {
        **{name: row[name] for name in ("parent_thread_id", "role", "status")},
        **{name: row[name] for name in ("created_at", "updated_at", "archived_at")},
        "id": row["thread_id"],
        "agent": {name: cell for name, cell in agent.items() if cell is not None},
        "stop_reason": {"type": stop} if stop else {},
        "stats": {"active_seconds": row["active_seconds"]},
    }
    sent: dict[str, Any] = msgspec.to_builtins(thread)
    return sent


@pytest.mark.parametrize("parents", ["a root", "nobody", "themselves"])
def test_deep_chain(parents: str) -> None:
    """A chain of 3,000 threads below a root, below a stranger or in a ring takes seconds."""
    above = {"a root": None, "nobody": "nobody", "themselves": "t2999"}
    chain = [
        state(f"t{i}", "idle", parent_thread_id=f"t{i - 1}" if i else above[parents])
        for i in range(3000)
    ]
    world = World()
    world.poll(10, *chain)
    start = perf_counter()
    tables = build_all(world)
    assert perf_counter() - start < 20
    (row,) = tables["session_summary"]
    depth, orphans = {"a root": (2999, 0), "nobody": (None, 1), "themselves": (None, 0)}[parents]
    assert (row["depth"], row["max_fan_out"], row["orphans"]) == (depth, 1, orphans)
    found = {row["check"]: row["rows"] for row in tables["data_quality"]}
    rings = 3000 if parents == "themselves" else 0
    assert (found["orphan"], found["parent_cycle"]) == (orphans, rings)


@pytest.fixture(scope="module")
def varied() -> tuple[World, str]:
    """Return a world with everything in it, and its analyses as text."""
    world = simulate(12, 1000, sources=2, sessions=3, odd=0.03)
    return world, repr(build_all(world))


@pytest.mark.parametrize(
    ("zone", "threads", "seed"),
    [
        ("UTC", 1, None),
        ("Asia/Kolkata", 2, None),
        ("America/St_Johns", 1, None),
        ("UTC", 2, 5),
        ("Asia/Kathmandu", 1, 6),
    ],
)
def test_same_bytes(varied: tuple[World, str], zone: str, threads: int, seed: int | None) -> None:
    """The same rows, in any order, time zone and number of threads, give the same tables."""
    world, text = varied
    assert repr(build_all(world, zone, threads, seed)) == text


def test_built_again() -> None:
    """Building all a second time in the same warehouse changes no row, nor their order."""
    with connect(simulate(13, 300, odd=0.05)) as connection:
        tables = []
        for _ in range(2):
            for name, analysis in parsed_analyses().items():
                build_analysis(connection, analysis)
                tables.append((name, fetch_records(connection, f"FROM analytics.{name}")))
    half = len(parsed_analyses())
    assert tables[:half] == tables[half:]


def test_worlds_are_worth_it() -> None:
    """The worlds hold what the analyses must cope with, or the tests below would show nothing."""
    facts = [fact for name in WORLDS for fact in facts_of(name)]
    spells = [spell for name in WORLDS for spell in world_of(name).spells()]
    bases = {"open", "archived", "terminated", "cancelled", "vanished"}
    assert {fact["basis"] for fact in facts} == bases
    assert sum(fact["entry"] > 0 for fact in facts) > 30
    assert {fact["status"] for fact in facts} >= {*KNOWN, "hibernating", "cancelled", None}
    assert {fact["role"] for fact in facts} == {"coordinator", "child", "reviewer"}
    for column in ("agent", "agent_id", "agent_version", "agent_model", "elapsed", "quiet"):
        assert any(fact[column] is None for fact in facts), column
    assert sum(fact["missing_since"] is not None for fact in facts) > 100
    assert sum(fact["depth"] is None for fact in facts) > 50
    assert max(fact["depth"] or 0 for fact in facts) > 8
    assert max(spell["spell"] for spell in spells) > 5
    assert {row["threshold_basis"] for row in table_of("five thousand", "attention")} == {
        "agent_and_status",
        "configured",
    }
    assert {row["reason"] for row in table_of("five thousand", "attention")} == {
        "gave_up",
        "needs_you",
        "blocked",
        "stuck",
    }
    listed = [key for key, row in world_of("behind").threads.items() if not row["missing_since"]]
    unseen = {
        (row["source"], row["session_id"], row["thread_id"]) for row in world_of("behind").unseen()
    }
    assert len(unseen & set(listed)) > 10
    cut = world_of("cut off")
    gone = [
        key for key, row in cut.threads.items() if row["is_open"] and key[:2] in unwatched_of(cut)
    ]
    assert len({key[:2] for key in gone}) == 3
    late = {
        source: (newest_poll(cut, source=source), newest_loaded(cut, source=source))
        for source in ("source_0", "source_1", "source_2", "dead")
    }
    assert late == {
        "source_0": (at(810), at(403)),
        "source_1": (at(810), at(670)),
        "source_2": (at(810), at(810)),
        "dead": (at(720), None),
    }
    versions = [row for name in WORLDS for row in table_of(name, "agent_versions")]
    assert {row["failures"] for row in versions} == {"fewer", "unclear", "too few", None}
    assert {row["speed"] for row in versions} == {"slower", "faster", "unclear", "too few", None}

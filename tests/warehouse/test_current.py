"""An analysis whose inputs are as they were keeps its table, as if it had been built anew."""

from __future__ import annotations

import random
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.build import build_all
from pipelines.warehouse.current import STEADY
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.parser import find_tables
from pipelines.warehouse.sql import fetch_records, read_sql
from tests.builders import born, instant, load
from tests.empty import open_tables

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

pytestmark = pytest.mark.slow  # every analysis is built many times

# What follows from the ledger's newest rows, and from nothing else in it: STEADY begins with these.
GROUND = frozenset({"latest_polls", "complete_polls", "loaded_polls", "unwatched_sessions"})
# Those that say how every poll went, or when a session was found quiet.
OF_ALL_POLLS = {"attention", "concurrency", "data_quality", "ingestion_health", "status_over_time"}
OUTCOMES = ("complete", "incomplete", "failed", "failed", "gone", "overtaken", "filtered", "none")


def read_all(connection: duckdb.DuckDBPyConnection) -> dict[str, list[dict[str, Any]]]:
    """Return every analysis with its rows in order."""
    return {name: fetch_records(connection, f"FROM analytics.{name}") for name in list_analyses()}


def poll_at_random(home: Path, rng: random.Random, minute: int) -> None:
    """Load a poll of any outcome, of threads that have changed or not; or load nothing."""
    outcome = rng.choice(OUTCOMES)
    fields: dict[str, Any] = {"session_id": rng.choice(["one", "two"])}
    threads = [
        born(f"t{number}", number, rng.choice([5, minute]), status=rng.choice(["idle", "archived"]))
        for number in range(rng.randint(0, 4))
    ]
    if outcome == "filtered":
        outcome, fields["status_filter"] = "complete", "idle"
    if outcome in {"failed", "gone"}:
        threads, fields["pages"] = [], 0
    if outcome == "overtaken":
        outcome, fields["sequence"] = "complete", 1
    if outcome != "none":
        load(home, minute, *threads, outcome=outcome, **fields)


def test_same_as_built_from_nothing(home: Path, tmp_path: Path) -> None:
    """After any polls every table has the rows, in order, that it has if all are built anew."""
    rng = random.Random(4)  # noqa: S311 - no secret
    load(home, 0, born("t0", 0, 1), born("t1", 0, 1), session_id="one")
    for minute in range(10, 50, 10):
        poll_at_random(home, rng, minute)
        with open_tables(home).write() as connection:
            build_all(connection, list_analyses(), anew=False)
            kept = read_all(connection)
        other = tmp_path / f"other{minute}"
        other.mkdir(mode=0o700)
        shutil.copy(home / "warehouse.duckdb", other)
        with DuckdbFile(other).write() as connection:
            build_all(connection, list_analyses())
            assert kept == read_all(connection)


def test_what_is_kept(home: Path) -> None:
    """A poll that brings nothing has all but the ledger's analyses kept; any other keeps none."""
    changes = []
    load(home, 0, born("t0", 0, 1))
    for minute, how in enumerate(["failed", "failed", "complete"], 10):
        with open_tables(home).write() as connection:
            build_all(connection, list_analyses(), anew=False)
        threads = [born("t0", 0, 1)] if how == "complete" else []
        load(home, minute, *threads, outcome=how, pages=len(threads))
        with open_tables(home).write() as connection:
            outcomes = build_all(connection, list_analyses(), anew=False)
            counted = {name: len(rows) for name, rows in read_all(connection).items()}
        assert {o.analysis.name: o.built and o.built.rows for o in outcomes} == counted
        changes.append({outcome.analysis.name for outcome in outcomes if outcome.seconds > 0})
    assert changes == [set(list_analyses()), OF_ALL_POLLS, set(list_analyses())]


def build_marked(home: Path, tmp_path: Path) -> bool:
    """Mark thread_durations if it is there, build it; whether the mark stays.

    All else is as if the table were built anew.
    """
    analyses = {"thread_durations": list_analyses()["thread_durations"]}
    with open_tables(home).write() as connection:
        if connection.execute("FROM duckdb_tables() WHERE schema_name = 'analytics'").fetchall():
            connection.execute("UPDATE analytics.thread_durations SET name = 'marked'")
        build_all(connection, analyses, anew=False)
        kept = fetch_records(connection, "FROM analytics.thread_durations")
    shutil.copytree(home, other := tmp_path / f"other{time.monotonic_ns()}")
    with DuckdbFile(other).write() as connection:
        build_all(connection, analyses)
        built = fetch_records(connection, "FROM analytics.thread_durations")
    (name,) = {row["name"] for row in kept}
    assert kept == [row | {"name": name} for row in built]
    return name is not None


AGING = [
    born("open", 0, 3),
    born("closed", 1, 4, status="terminated"),
    born("archived", 1, 4, status="archived", archived_at=instant(5)),
    born("odd", 12, 20),  # dated after the poll that lists it
    born("child", 2, 4, parent_thread_id="open"),
]
MOVED = [born("open", 0, 9), *AGING[1:]]
# What further polls bring, at which minute, and whether the table stays.
POLLS: list[tuple[float, list[dict[str, Any]], dict[str, Any], bool]] = [
    (20, AGING, {}, True),
    (8, AGING, {}, True),  # a clock was set back
    (22, [], {"outcome": "failed", "pages": 0}, True),
    (23, AGING, {"session_id": "two"}, True),
    (24, AGING, {"outcome": "incomplete"}, False),
    (25, AGING, {"outcome": "incomplete"}, True),
    (26, AGING, {}, False),
    (27, AGING, {"label": "called so"}, False),
    (28, AGING, {}, True),
    (29, MOVED, {}, False),
    (30, MOVED[:-1], {}, False),
    (31, MOVED[:-1], {}, True),
    (32, MOVED, {}, False),
    (33, [*MOVED, born("new", 9)], {}, False),
    (34, [*MOVED, born("new", 9)], {}, True),
    (35, [], {"outcome": "gone", "pages": 0}, False),
    (36, AGING, {"session_id": "two"}, True),
]


def test_ages(home: Path, tmp_path: Path) -> None:
    """While threads are as they were their table stays, and ages as if it were built anew."""
    for minute, session in ((9.5, "one"), (10.5, "two")):
        load(home, minute, *AGING, born("lost", 3), session_id=session)
        load(home, minute + 2, *AGING, session_id=session)
    marks = [build_marked(home, tmp_path)]
    for minute, threads, fields, _ in POLLS:
        load(home, minute, *threads, **{"session_id": "one"} | fields)
        marks.append(build_marked(home, tmp_path))
    assert marks == [False, *(stays for *_, stays in POLLS)]


def test_ages_of_a_damaged_table(home: Path, tmp_path: Path) -> None:
    """A table that would not pass its checks is built anew."""
    load(home, 10, *AGING)
    build_marked(home, tmp_path)
    with open_tables(home).write() as connection:
        connection.execute("DELETE FROM analytics.thread_durations WHERE thread_id = 'closed'")
    load(home, 20, *AGING)
    assert not build_marked(home, tmp_path)


def test_steady_views_read_steady_tables() -> None:
    """What is said to change with certain tables alone reads nothing else."""
    for name, text in read_sql("views"):
        view = name.partition("_")[2]
        if view in STEADY - GROUND:
            query = text.partition(" AS\n")[2].partition("COMMENT ON VIEW")[0].strip()
            assert find_tables(query.removesuffix(";")) <= STEADY, view

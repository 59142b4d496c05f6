"""The main job, from HTTP to the published tables, by the steps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pipelines import steps
from pipelines.config.loader import load_settings
from pipelines.extract.history import History
from pipelines.providers.registry import PROVIDERS
from pipelines.records import Selection
from pipelines.sandbox.world import World, draw_sizes
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.history import read_history
from tests.support import decode_json_columns, expect_row, read_table, serve_world

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.sandbox.world import Revision

pytestmark = pytest.mark.slow  # together they take long

LISTED = "FROM threads ORDER BY session_id, thread_id"


@pytest.mark.parametrize("revision", ["a", "b"])
def test_threads_equal_the_server(
    revision: Revision, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every thread of 20 sessions of 1 to 1,000 threads is in the table, in every column."""
    now = datetime(2026, 10, 1, tzinfo=UTC)
    sizes = draw_sizes(20, largest=1000, seed=7)
    world = World(sizes, seed=7, revision=revision, clock=lambda: now)
    with serve_world(world, monkeypatch):
        ledger = steps.run(load_settings(PROVIDERS)).ledger
    listed = {session_id: world.list_threads(session_id) for session_id in world.sessions}
    expected = [expect_row(thread) for threads in listed.values() for thread in threads]
    expected.sort(key=lambda row: (row["session_id"], row["thread_id"]))

    rows = [decode_json_columns(row) for row in read_table(home / "threads.duckdb", LISTED)]

    assert [{name: row[name] for name in expected[0]} for row in rows] == expected
    assert {len(threads) for threads in listed.values()} >= {1, len(max(listed.values(), key=len))}
    assert [(row["outcome"], row["threads_listed"], row["threads_new"]) for row in ledger] == [
        ("complete", size, size) for size in sorted(map(len, listed.values()), reverse=True)
    ]


@pytest.mark.parametrize("revision", ["a", "b"])
def test_filtered_poll(revision: Revision, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll for certain statuses updates what it lists and retires nothing.

    Revision B ignores the filter: the answer is checked, so that other statuses are left alone.
    """
    world = World([60, 20], seed=3, revision=revision)
    with serve_world(world, monkeypatch):
        steps.run(load_settings(PROVIDERS))
        before = {row["thread_id"]: row for row in read_table(home / "threads.duckdb", LISTED)}
        world.advance(120)
        ledger = steps.run(load_settings(PROVIDERS), Selection(statuses=("running",))).ledger
    after = {row["thread_id"]: row for row in read_table(home / "threads.duckdb", LISTED)}
    changed = [row for thread_id, row in after.items() if row != before.get(thread_id)]

    assert changed
    assert {row["status"] for row in changed} == {"running"}
    assert before.keys() <= after.keys()
    assert {row["missing_since"] for row in after.values()} == {None}
    assert {(row["outcome"], row["status_filter"]) for row in ledger} == {("complete", "running")}


def test_evolving_world(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls of a moving fleet end in what the server shows last; the ledger adds up each time."""
    world = World([0, 80, 30], seed=5)
    with serve_world(world, monkeypatch):
        for _ in range(2):
            ledger = steps.run(load_settings(PROVIDERS)).ledger
            world.advance(90)
            for row in ledger:
                parts = ("threads_new", "threads_changed", "threads_unchanged")
                assert sum(row[part] for part in parts) == row["threads_listed"]
        assert sum(row["threads_changed"] for row in ledger) > 0
        now = world.now()
        monkeypatch.setattr(world, "_clock", lambda: now)
        monkeypatch.setattr(world, "_offset", now - now)
        steps.run(load_settings(PROVIDERS))
    listed = [thread for session in world.sessions for thread in world.list_threads(session)]
    rows = [decode_json_columns(row) for row in read_table(home / "threads.duckdb", LISTED)]
    expected = [expect_row(thread) for thread in listed]
    expected.sort(key=lambda row: (row["session_id"], row["thread_id"]))
    assert [{name: row[name] for name in expected[0]} for row in rows] == expected


def test_runs_remember(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run begins with the sessions that waited longest, and knows the statuses seen."""
    world = World([2, 2, 2], seed=5)
    ids = list(world.sessions)
    with serve_world(world, monkeypatch):
        assert read_history(DuckdbFile(home)) == History()
        for chosen in (ids, ids[:1], ids[2:]):
            steps.run(load_settings(PROVIDERS), Selection(sessions=tuple(chosen)))
        history = read_history(DuckdbFile(home))
        settings = load_settings(PROVIDERS)
        found = steps.discover(settings, history).sources
        (planned,) = steps.plan(settings, found, Selection(), history)
    assert [session.id for session in planned.sessions] == [ids[1], ids[0], ids[2]]
    assert planned.deadline_s == 1800
    assert history.answered == {("qoder", id_) for id_ in ids}
    query = "SELECT DISTINCT status FROM thread_status_history"
    rows = read_table(home / "threads.duckdb", query)
    assert history.statuses == {row["status"] for row in rows}


@pytest.mark.parametrize("damage", ["log", "garbage", "empty"])
def test_a_damaged_copy_stops_no_run(
    home: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A published copy that nobody can read is made anew by the next run."""
    world = World([3], seed=5)
    copy = home / "threads.duckdb"
    with serve_world(world, monkeypatch):
        steps.run(load_settings(PROVIDERS))
        copy.chmod(0o600)
        if damage == "log":
            copy.with_name(f"{copy.name}.wal").write_bytes(b"?" * 100)
        else:
            copy.write_bytes(b"?" * 5000 if damage == "garbage" else b"")
        result = steps.run(load_settings(PROVIDERS))
    assert [row["outcome"] for row in result.ledger] == ["complete"]
    assert read_table(copy, "SELECT count(*) AS n FROM runs") == [{"n": 2}]


def test_a_session_taken_out_is_no_present(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the configuration names no more is counted apart, not what a run leaves out."""
    world = World([5, 3], seed=5)
    first, second = world.sessions
    query = """
        SELECT max(n) AS n, max(threads_unwatched) AS threads_unwatched
        FROM analytics.status_distribution WHERE dimension = 'all'
    """
    sizes = {session: len(world.list_threads(session)) for session in world.sessions}
    with serve_world(world, monkeypatch):
        steps.run(load_settings(PROVIDERS))
        steps.run(load_settings(PROVIDERS), Selection(sessions=(first,)))
        everything = read_table(home / "threads.duckdb", query)
        monkeypatch.setenv("QODER_SESSION_IDS", first)
        steps.run(load_settings(PROVIDERS))
        rest = read_table(home / "threads.duckdb", query)
        monkeypatch.setenv("QODER_SESSION_IDS", f"{first},{second}")
        steps.run(load_settings(PROVIDERS))
        again = read_table(home / "threads.duckdb", query)
    assert everything == again == [{"n": sum(sizes.values()), "threads_unwatched": 0}]
    assert rest == [{"n": sizes[first], "threads_unwatched": sizes[second]}]

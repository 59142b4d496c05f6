"""Threads that came as they are known are not read: rows that were tampered with show it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pipelines.warehouse.duckdb_file import DuckdbFile
from tests.builders import land, load, load_all, read, replay_all, thread

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # together they take long

A, B, MOVED = thread("a", "idle"), thread("b", "idle"), thread("b", "running", updated=5)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a data directory."""
    return tmp_path


def grown(seconds: float, status: str = "idle", **fields: Any) -> dict[str, Any]:
    """Return thread a with numbers, some of which grow by themselves in its status."""
    numbers: dict[str, Any] = {"stats": {"duration_seconds": seconds, "startup_seconds": 1}}
    if status == "running":
        numbers["usage"] = {"input_tokens": seconds}
    return thread("a", status, **numbers, **fields)


class Case(msgspec.Struct, frozen=True):
    """Two listings, how the second went, and the threads of it that need not be read."""

    first: list[dict[str, Any]]
    second: list[dict[str, Any]]
    known: set[str]
    minutes: float = 10
    poll: dict[str, Any] = {}


ARCHIVED = {"archived_at": "2026-10-01T00:00:00Z"}
CASES = {
    "another changed": Case([A, B], [A, MOVED], {"a"}),
    "another came": Case([A, B], [thread("c"), A, B], {"a", "b"}),
    "another is gone": Case([A, B], [A], {"a"}),
    "another order": Case([A, B], [MOVED, A], {"a"}),
    "incomplete": Case([A, B], [A, MOVED], {"a"}, poll={"outcome": "incomplete"}),
    "unknown fields": Case([A | {"x": [1]}, B], [A | {"x": [1]}, MOVED], {"a"}),
    "numbers grew": Case([grown(1), B], [grown(2), MOVED], {"a"}),
    "numbers grew while it ran": Case(
        [grown(1, "running"), B], [grown(2, "running"), MOVED], {"a"}
    ),
    "numbers grew for an hour": Case([grown(1), B], [grown(2), MOVED], set(), minutes=60),
    "nothing grows, an hour later": Case([A, B], [A, MOVED], {"a"}, minutes=60),
    "a number came": Case([A, B], [grown(1), MOVED], set()),
    "a number left": Case([grown(1), B], [A, MOVED], set()),
    "another number": Case([grown(1, **ARCHIVED), B], [grown(2, **ARCHIVED), MOVED], set()),
    "an unknown field": Case([A, B], [A | {"x": 1}, MOVED], set()),
    "listed twice": Case([A, B], [A, MOVED, A], set(), poll={"duplicates": 1}),
    "filtered": Case([A, B], [A, MOVED], set(), poll={"status_filter": "idle,running"}),
    "first poll": Case([], [A, B], set()),
}


def test_what_is_known_is_not_read(home: Path) -> None:
    """Of a poll that brings news, threads that came as they are known are passed over."""
    for number, case in enumerate(CASES.values()):
        if case.first:
            land(home, number / 100, *case.first, session_id=f"sess_{number}")
    load_all(home)
    tamper(home)
    for number, case in enumerate(CASES.values()):
        minute, session = number / 100 + case.minutes, f"sess_{number}"
        land(home, minute, *case.second, session_id=session, **case.poll)
    load_all(home)
    kept, polls = defaultdict(set), {}
    for row in read(home, "SELECT session_id, thread_id FROM threads WHERE name = 'kept'"):
        kept[row["session_id"]].add(row["thread_id"])
    for row in read(home, "FROM session_polls ORDER BY sequence"):
        polls[row["session_id"]] = row
    for number, (name, case) in enumerate(CASES.items()):
        listed, row = {item["id"] for item in case.second}, polls[f"sess_{number}"]
        assert kept[row["session_id"]] & listed == case.known, name
        assert row["threads_unchanged"] == len(case.known), name
        assert row["threads_new"] + row["threads_changed"] == len(listed - case.known), name


@pytest.mark.parametrize("between", [[B], [A, B]], ids=["missing", "incomplete"])
def test_what_was_in_doubt_is_read(home: Path, between: list[dict[str, Any]]) -> None:
    """After a poll that missed a thread, or was not whole, every thread is looked at once."""
    load(home, 0, A, B)
    load(home, 5, *between, outcome="complete" if len(between) == 1 else "incomplete")
    tamper(home)
    row = load(home, 10, A, MOVED)
    assert (row["threads_changed"], row["threads_unchanged"]) == (2, 0)
    assert read(home, "SELECT name, missing_since FROM threads WHERE thread_id = 'a'") == [
        {"name": None, "missing_since": None}
    ]


def test_what_is_known_was_seen(home: Path) -> None:
    """A thread that is passed over was listed: its spell goes on, and a replay ends alike."""
    load(home, 0, A, B)
    load(home, 10, A, thread("c"), outcome="incomplete")
    load(home, 20, A, MOVED, thread("c"))
    row = load(home, 30, A, thread("b", "idle", updated=9), thread("c"))
    assert (row["threads_changed"], row["threads_unchanged"], row["threads_missing"]) == (1, 2, 0)
    assert read(home, "FROM spells_unseen") == []
    tables = ("threads", "thread_status_history", "session_polls", "session_digests")
    before = {table: read(home, f"FROM {table} ORDER BY ALL") for table in tables}
    replay_all(home)
    assert {table: read(home, f"FROM {table} ORDER BY ALL") for table in tables} == before


def tamper(home: Path) -> None:
    """Change every row of threads so that a thread that is read differs from it."""
    with DuckdbFile(home).write() as tables:
        tables.execute("UPDATE threads SET name = 'kept'")

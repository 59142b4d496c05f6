"""The analysis ingestion_health: by hand, and against another computation on random worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.builders import at, build, load, thread
from tests.warehouse.cases import MINUTE
from tests.warehouse.reference import (
    assert_table,
    labels_of,
    newest,
    newest_poll,
    seconds,
    table_of,
    world_of,
)
from tests.warehouse.worlds import Row, World, build_one, state

if TYPE_CHECKING:
    from pathlib import Path


def test_ingestion_health_of_the_last_failure() -> None:
    """A session is called by its last label, and a failure without a message shows no older one."""
    world = World()
    world.poll(0, state("a"), label="old")
    world.poll(10, outcome="failed", label="old", error_message="first")
    world.poll(20, outcome="incomplete")
    (row,) = build_one(world, "ingestion_health")
    assert (row["label"], row["failure_streak"], row["last_error"]) == ("old", 2, None)
    assert (row["lag_seconds"], row["last_outcome"]) == (20 * MINUTE, "incomplete")


def test_ingestion_health_by_hand(home: Path) -> None:
    """One session well, failing, overtaken and filtered, which has no say, counted by hand."""
    load(home, 0, thread("a"), thread("b", "archived"), thread("c"))
    load(home, 20, thread("a"), thread("b", "archived"))
    load(home, 10, thread("a"))
    (row,) = build(home, "ingestion_health")
    well = {
        "source": "qoder",
        "session_id": "sess_1",
        "label": None,
        "last_complete_poll": at(20),
        "lag_seconds": 0.0,
        "polls": 3,
        "failures": 0,
        "failure_streak": 0,
        "last_outcome": "complete",
        "last_error": None,
        "threads": 3,
        "open_threads": 1,
        "missing": 1,
        "clock_skew_seconds": None,
        "quiet_as_of": None,
        "missed_share_upper": None,
        "as_of": at(20),
    }
    assert row == well
    load(home, 30, outcome="failed")
    load(home, 40, outcome="incomplete")
    (row,) = build(home, "ingestion_health")
    failing = {"polls": 5, "failures": 2, "failure_streak": 2, "last_outcome": "incomplete"}
    assert row == well | failing | {"lag_seconds": 1200.0, "as_of": at(40)}
    load(home, 50, thread("a"), status_filter="running")
    (row,) = build(home, "ingestion_health")
    filtered = {"polls": 6, "lag_seconds": 1800.0, "as_of": at(50)}
    assert row == well | failing | filtered
    load(home, 60, outcome="failed", status_filter="runing")
    (row,) = build(home, "ingestion_health")
    assert row == well | failing | {"polls": 7, "lag_seconds": 2400.0, "as_of": at(60)}


def test_ingestion_health_without_success(home: Path) -> None:
    """A session that never ended well has no last complete poll, and a streak of all its polls."""
    load(home, 0, outcome="gone")
    load(home, 10, outcome="forbidden")
    (row,) = build(home, "ingestion_health")
    assert (row["last_complete_poll"], row["lag_seconds"]) == (None, None)
    assert (row["failures"], row["failure_streak"], row["threads"]) == (2, 2, 0)


def test_ingestion_health(name: str) -> None:
    """Each session's polls, failures and lag are those of its ledger, read from its end."""
    world = world_of(name)
    expected = {}
    for session in {(poll["source"], poll["session_id"]) for poll in world.polls}:
        polls = [p for p in world.polls if (p["source"], p["session_id"]) == session]
        polls.sort(key=lambda poll: poll["started_at"])
        whole = [poll for poll in polls if not poll.get("status_filter")]
        counted = [poll for poll in whole if poll["outcome"] != "overtaken"]
        streak: list[Row] = []
        for poll in counted:
            streak = [] if poll["outcome"] == "complete" else [*streak, poll]
        complete = newest((poll for poll in polls if poll["is_complete"]), "started_at")
        rows = [row for key, row in world.threads.items() if key[:2] == session]
        expected[session] = {
            "label": labels_of(world).get(session),
            "last_complete_poll": complete,
            "lag_seconds": seconds(complete, newest_poll(world, source=session[0])),
            "polls": len(polls),
            "failures": sum(poll["outcome"] != "complete" for poll in counted),
            "failure_streak": len(streak),
            "last_outcome": counted[-1]["outcome"] if counted else None,
            "last_error": streak[-1].get("error_message") if streak else None,
            "threads": len(rows),
            "open_threads": sum(row["is_open"] and row["missing_since"] is None for row in rows),
            "missing": sum(row["missing_since"] is not None for row in rows),
            "clock_skew_seconds": None,
            "quiet_as_of": None,
            "missed_share_upper": None,
            "as_of": polls[-1]["started_at"],
        }
    assert_table(table_of(name, "ingestion_health"), ("source", "session_id"), expected)

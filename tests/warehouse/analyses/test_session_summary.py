"""The analysis session_summary: by hand, and against another computation on random worlds."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING

from tests.builders import SESSION, at
from tests.warehouse.cases import KNOWN, MINUTE, overlapping
from tests.warehouse.reference import (
    Life,
    assert_table,
    facts_of,
    labels_of,
    lives_of,
    newest,
    newest_loaded,
    seconds,
    table_of,
    unwatched_of,
    world_of,
)
from tests.warehouse.worlds import SOURCE, build_one

if TYPE_CHECKING:
    from collections.abc import Iterable

# Those with a column; the others are counted together.
SHOWN = [status for status in KNOWN if status != "cancelled"]


NOTHING_USED = {
    "tokens_from": None,
    "tokens_known": 0,
    "input_tokens": None,
    "output_tokens": None,
    "cost_from": None,
    "cost_known": 0,
    "cost_amount": None,
    "cost_currency": None,
}


def test_session_summary_by_hand() -> None:
    """The same world at a glance, every column."""
    world = overlapping()
    world.poll(40, outcome="gone", session_id="lost")
    lost, row = build_one(world, "session_summary")
    assert row == {
        "source": SOURCE,
        "session_id": SESSION,
        "label": "old",
        "unwatched_since": None,
        "threads": 6,
        "open": 3,
        "idle": 1,
        "running": 1,
        "rescheduling": 0,
        "blocked": 0,
        "archived": 3,
        "terminated": 0,
        "other": 1,
        "missing": 1,
        "depth": 2,
        "max_fan_out": 4,
        "orphans": 1,
        "peak_concurrency": 4,
        "first_created_at": at(0),
        "last_updated_at": at(105),
        "span_seconds": 105 * MINUTE,
        "last_child_lag_seconds": -45 * MINUTE,
        **NOTHING_USED,
        "as_of": at(150),
    }
    numbers = [cell for cell in lost.values() if isinstance(cell, int)]
    assert (lost["session_id"], lost["as_of"], lost["depth"]) == ("lost", None, None)
    assert numbers == [0] * 15
    assert lost["unwatched_since"] == at(40)


def peak_of(lives: Iterable[Life]) -> int:
    """Return how many lives overlap at most, each until just before its end."""
    known = [(born, gone) for born, gone, _ in lives if gone is None or born < gone]
    starts = sorted(born for born, _ in known)
    ends = sorted(gone for _, gone in known if gone is not None)
    overlaps = (bisect_right(starts, start) - bisect_right(ends, start) for start in starts)
    return max(overlaps, default=0)


def test_session_summary(name: str) -> None:
    """Every figure of a session is what counting and walking its threads gives."""
    world = world_of(name)
    expected = {}
    for session in {(poll["source"], poll["session_id"]) for poll in world.polls}:
        facts = [fact for fact in facts_of(name) if fact["key"][:2] == session]
        listed = [fact for fact in facts if fact["missing_since"] is None]
        statuses = Counter(fact["status"] for fact in listed)
        first = min((f["created_at"] for f in facts if f["created_at"]), default=None)
        moved = {
            role: newest((f for f in facts if f["role"] == role), "updated_at")
            for role in ("coordinator", "child")
        }
        expected[session] = {
            "label": labels_of(world).get(session),
            "unwatched_since": unwatched_of(world).get(session),
            "threads": len(listed),
            "open": sum(fact["is_open"] for fact in listed),
            **{status: statuses[status] for status in SHOWN},
            "other": len(listed) - sum(statuses[status] for status in SHOWN),
            "missing": len(facts) - len(listed),
            "depth": max((f["depth"] for f in facts if f["depth"] is not None), default=None),
            "max_fan_out": max((fact["children"] for fact in facts), default=0),
            "orphans": sum(
                fact["parent_thread_id"] is not None
                and (*session, fact["parent_thread_id"]) not in world.threads
                for fact in facts
            ),
            "peak_concurrency": peak_of(lives_of(world, *session)),
            "first_created_at": first,
            "last_updated_at": newest(facts, "updated_at"),
            "span_seconds": seconds(first, newest(facts, "updated_at")),
            "last_child_lag_seconds": seconds(moved["child"], moved["coordinator"]),
            **NOTHING_USED,
            "as_of": newest_loaded(world, source=session[0], session_id=session[1]),
        }
    assert_table(table_of(name, "session_summary"), ("source", "session_id"), expected)

"""The analysis thread_durations: by hand, and against another computation on random worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import at, born, build, instant, load, thread
from tests.warehouse.cases import MINUTE, columns, terminated
from tests.warehouse.reference import assert_table, facts_of, seconds, table_of
from tests.warehouse.worlds import SOURCE, World, build_all, state

if TYPE_CHECKING:
    from pathlib import Path


def test_thread_durations_by_hand(home: Path) -> None:
    """One thread of each kind, its lifetime worked out by hand (seconds; the poll began at 100)."""
    child: dict[str, Any] = {"parent_thread_id": "root"}
    load(
        home,
        100,
        born("root", 0, 10),
        born("archived", 10, 25, status="archived", archived_at=instant(30), **child),
        born("archived_b", 10, 25, status="terminated", archived_at=instant(30), **child),
        born("terminated", 10, 25, status="terminated", parent_thread_id="archived"),
        born("cancelled", 10, 12, status="cancelled", **child),
        born("during", 90, 100.25, status="idle", stats={"active_seconds": 1.5}, **child),
        born("future", 101, 101, **child),
        born("backwards", 30, 10, status="terminated", **child),
        thread("undated", **child),
        born("orphan", 0, 1, parent_thread_id="not_listed"),
        born("below_orphan", 0, 1, parent_thread_id="orphan"),
        born("cycle_a", 0, 1, parent_thread_id="cycle_b"),
        born("cycle_b", 0, 1, parent_thread_id="cycle_a"),
    )
    columns = [
        "basis",
        "elapsed_seconds",
        "is_censored",
        "active_span_seconds",
        "quiet_seconds",
        "active_seconds",
        "depth",
        "children",
    ]
    rows = {
        row["thread_id"]: tuple(row[column] for column in columns)
        for row in build(home, "thread_durations")
    }
    minute = 60
    lone = (100 * minute, True, minute, 99 * minute, None)
    assert rows == {
        "root": ("open", 6000, True, 600, 5400, None, 0, 7),
        "archived": ("archived", 20 * minute, False, 15 * minute, None, None, 1, 1),
        "archived_b": ("archived", 20 * minute, False, 15 * minute, None, None, 1, 0),
        "terminated": ("terminated", 15 * minute, False, 15 * minute, None, None, 2, 0),
        "cancelled": ("cancelled", 2 * minute, False, 2 * minute, None, None, 1, 0),
        "during": ("open", 10 * minute, True, 615, 0, 1.5, 1, 0),
        "future": ("open", None, True, 0, 0, None, 1, 0),
        "backwards": ("terminated", None, False, -20 * minute, None, None, 1, 0),
        "undated": ("open", None, True, None, 100 * minute, None, 1, 0),
        "orphan": ("open", *lone, None, 1),
        "below_orphan": ("open", *lone, None, 0),
        "cycle_a": ("open", *lone, None, 1),
        "cycle_b": ("open", *lone, None, 1),
    }


def test_names(home: Path) -> None:
    """Names stand beside ids: the newest of an agent, what it is if it has none, else its id."""
    agents: dict[str, dict[str, Any]] = {
        "older": {"id": "agent_1", "name": "Scribe", "version": 1},
        "newer": {"id": "agent_1", "name": "Writer", "version": 2},
        "unnamed": {"id": "agent_2"},
        "advisor": {"type": "advisor", "model": "ultimate"},
        "inline": {"type": "inline", "model": {"id": "lite"}},
        "step": {"type": "inline", "name": "step-2"},
        "nobody": {},
    }
    listed = [
        born(id_, 0, number, name=f"the {id_}", agent=agent)
        for number, (id_, agent) in enumerate(agents.items())
    ]
    load(home, 10, *listed, label="nightly")
    load(home, 20, *listed)
    rows = {row["thread_id"]: row for row in build(home, "thread_durations")}
    assert {id_: (row["agent"], row["agent_name"]) for id_, row in rows.items()} == {
        "older": ("agent_1", "Scribe"),
        "newer": ("agent_1", "Writer"),
        "unnamed": ("agent_2", "agent_2"),
        "advisor": ("advisor (ultimate)", "advisor (ultimate)"),
        "inline": ("inline", "inline"),
        "step": ("step-2", "step-2"),
        "nobody": (None, None),
    }
    assert {row["name"] for row in rows.values()} == {f"the {id_}" for id_ in agents}
    assert {row["session_label"] for row in rows.values()} == {"nightly"}
    groups = {
        (row["dimension"], row["value"]): (row["name"], row["agent"], row["agent_version"])
        for row in build(home, "duration_percentiles")
    }
    assert next(iter(groups)) == ("all", "all")
    assert groups["session", "sess_1"] == ("nightly", None, None)
    assert groups["agent", "agent_1"] == ("Writer", "agent_1", None)
    assert groups["agent_version", "agent_1@1"] == ("Scribe@1", "agent_1", 1)
    assert groups["agent_version", "agent_1@2"] == ("Writer@2", "agent_1", 2)
    assert groups["agent", "(none)"] == ("(none)", None, None)
    for name in ("status_distribution", "survival", "stop_reasons", "time_in_status"):
        found = {(row["dimension"], row["value"]): row["name"] for row in build(home, name)}
        assert next(iter(found)) == ("all", "all")
        assert found["agent", "agent_1"] == "Writer"


def test_sessions_are_called_by_label_or_title() -> None:
    """A label of the configuration comes before the title that the server gives."""
    world = World()
    world.titles = {(SOURCE, "titled"): "Nightly review", (SOURCE, "both"): "Title"}
    for session, label in (("titled", None), ("both", "label"), ("neither", None)):
        world.poll(10, state("a"), session_id=session, label=label)
    tables = build_all(world)
    called = {"titled": "Nightly review", "both": "label", "neither": None}
    rows = tables["thread_durations"]
    assert {row["session_id"]: row["session_label"] for row in rows} == called
    assert {row["session_id"]: row["label"] for row in tables["session_summary"]} == called
    groups = [row for row in tables["status_distribution"] if row["dimension"] == "session"]
    assert {row["value"]: row["name"] for row in groups} == called | {"neither": "neither"}


def test_late_touches_and_vanishing() -> None:
    """A thread closed when it was dated as it was first seen closed; one that is gone, unseen.

    However often it is touched later. `still` closed without a new date: in the middle between two
    polls, like `dateless`; `reopened` the second time; `early` was never seen open.
    """
    world = World()
    running = {id_: state(id_, "running", 0, 5) for id_ in ("touched", "lost", "still", "dateless")}
    reopened = state("reopened", "running", 0, 5)
    early = terminated("early", 0, 9)
    world.poll(10, *running.values(), terminated("reopened", 0, 6), early)
    ended = [
        terminated("touched", 0, 15),
        terminated("still", 0, 5),
        terminated("dateless", 0, 5) | {"updated_at": None},
        early | {"updated_at": at(15)},
    ]
    world.poll(20, *ended, running["lost"], reopened | {"updated_at": at(18)})
    for minute in (40, 50):
        touched = {"updated_at": at(minute - 5), "stop_reason_type": "x"}
        again = terminated("reopened", 0, 33) | ({} if minute == 40 else touched)
        world.poll(minute, *(row | touched for row in ended), again)
    rows = {row["thread_id"]: row for row in build_all(world)["thread_durations"]}
    names = ("basis", "elapsed_seconds", "elapsed_low", "elapsed_high", "is_censored")
    minutes = {
        "touched": ("terminated", 15, 10, 20.5),
        "still": ("terminated", 15.25, 10, 20.5),
        "dateless": ("terminated", 15.25, 10, 20.5),
        "reopened": ("terminated", 33, 20, 40.5),
        "early": ("terminated", 9, 0, 9),
        "lost": ("vanished", 30, 20, 40),
    }
    expected = {
        id_: [(basis, *(bound * MINUTE for bound in bounds), False)]
        for id_, (basis, *bounds) in minutes.items()
    }
    assert {id_: columns([row], *names) for id_, row in rows.items()} == expected


@pytest.mark.parametrize("is_listing", [False, True])
def test_delayed_entry(*, is_listing: bool) -> None:
    """If none that closed before was listed, threads count from their age at the first poll."""
    world = World()
    old = [state("old", "running", 0, 5), state("other", "running", 20, 25)]
    early = [terminated("early", 0, 50)] if is_listing else []
    world.poll(60, *old, *early)
    world.poll(120, terminated("old", 0, 100), old[1], state("new", "running", 110, 111), *early)
    rows = {row["thread_id"]: row["entry_seconds"] for row in build_all(world)["thread_durations"]}
    entered = dict.fromkeys(("old", "other", "early", "new"), 0.0)
    if not is_listing:
        del entered["early"]
        entered |= {"old": 60 * MINUTE, "other": 40 * MINUTE}
    assert rows == entered


def test_thread_durations(name: str) -> None:
    """Each thread's lifetime, silence, depth and children are those of a plain walk."""
    expected = {
        fact["key"]: {
            **{column: fact[column] for column in ("role", "agent", "agent_version", "status")},
            **{column: fact[column] for column in ("stop_reason_type", "missing_since")},
            **{column: fact[column] for column in ("name", "session_label", "closed_at")},
            **{column: fact[column] for column in ("created_at", "updated_at")},
            "agent_name": fact["called"],
            "model": fact["agent_model"],
            "elapsed_seconds": fact["elapsed"],
            **dict(zip(("elapsed_low", "elapsed_high"), fact["bounds"], strict=True)),
            "entry_seconds": fact["entry"],
            "listed_seconds": fact["listed"],
            "unwatched_since": fact["unwatched_since"],
            "is_censored": fact["basis"] == "open",
            "basis": fact["basis"],
            "active_span_seconds": seconds(fact["created_at"], fact["updated_at"]),
            "quiet_seconds": fact["quiet"] if fact["is_open"] else None,
            "active_seconds": fact["active_seconds"],
            "depth": fact["depth"],
            "children": fact["children"],
            "as_of": fact["as_of"],
        }
        for fact in facts_of(name)
    }
    rows = table_of(name, "thread_durations")
    assert_table(rows, ("source", "session_id", "thread_id"), expected)

"""Whatever the dialect, one change is one changed row, and what is archived is closed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pipelines.extract.discover import SourceSessions, name_sessions
from pipelines.extract.poll import poll_sessions
from pipelines.landing.directory import RAW
from pipelines.landing.writer import land_polls
from pipelines.records import Progress, Selection
from pipelines.sandbox.dialect import Dialect
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.world import World
from tests.builders import load_all
from tests.support import CANARY, make_source, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.sandbox.world import Revision

NOW = datetime(2026, 10, 1, tzinfo=UTC)
DIALECTS: dict[str, tuple[Revision, Dialect]] = {
    "naive times": ("a", Dialect(has_naive_times=True)),
    "growing": ("b", Dialect(has_growing_stats=True)),
    "advisors": ("b", Dialect(agents="advisor", newest_first=True)),
    "inline": ("a", Dialect(agents="inline", clips=True, page_limit=7)),
    "all at once": ("a", Dialect(has_naive_times=True, has_growing_stats=True, agents="inline")),
}


def poll(home: Path, base_url: str, session_id: str, number: int) -> None:
    """Poll the session once, and load it."""
    source = make_source(base_url, sessions=[session_id])
    plan = [SourceSessions(source, tuple(name_sessions(source).values()))]
    polls = poll_sessions(plan, Selection(), Progress(), backoff_s=0.001)
    asyncio.run(land_polls(polls, home / RAW, f"run-{number}"))
    load_all(home)


@pytest.mark.parametrize("name", DIALECTS)
def test_one_change_is_one_changed_row(name: str, home: Path) -> None:
    """A poll in which one thread changed changes one row, though all numbers have grown."""
    revision, dialect = DIALECTS[name]
    world = World([30], seed=2, revision=revision, clock=lambda: NOW)
    (session_id,) = world.sessions
    # Nothing happens to them any more, but for one that is archived between the polls.
    plans = world.sessions[session_id].threads = world.list_plans(session_id)
    for plan in plans:
        object.__setattr__(plan, "events", tuple(world.past(plan)))
    open_ = next(plan for plan in plans[1:] if not world.past(plan)[-1].is_archived)
    with serve(Sandbox(world, token=CANARY, dialect=dialect).app) as base_url:
        poll(home, base_url, session_id, 1)
        world.advance(600)
        poll(home, base_url, session_id, 2)
        archival = type(open_.events[-1])(world.elapsed() - 1, "terminated", None, is_archived=True)
        object.__setattr__(open_, "events", (*open_.events, archival))
        poll(home, base_url, session_id, 3)
    query = "SELECT threads_new, threads_changed, threads_missing FROM session_polls"
    rows = read_table(home / "warehouse.duckdb", f"{query} ORDER BY sequence")
    counts = [tuple(row.values()) for row in rows]
    assert counts == [(len(plans), 0, 0), (0, 0, 0), (0, 1, 0)]
    query = "SELECT thread_id, is_open, archived_at, agent_name, agent_model FROM threads"
    stored = {row["thread_id"]: row for row in read_table(home / "warehouse.duckdb", query)}
    for thread in world.list_threads(session_id):
        row = stored[thread["id"]]
        is_closed = bool(thread["archived_at"]) or thread["status"] == "terminated"
        assert row["is_open"] is not is_closed
        assert (row["archived_at"] is None) is (thread["archived_at"] is None)
        if dialect.agents == "inline":
            assert row["agent_name"] == thread["agent"].get("name", "helper")
        if dialect.agents != "agent":
            assert row["agent_model"]

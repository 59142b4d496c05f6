"""Each provider through discovery, from the first poll to changes: the tables equal the truth."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pipelines.config.loader import load_settings
from pipelines.providers.registry import PROVIDERS
from pipelines.sandbox.plans import Event
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.sessions import render_session
from pipelines.sandbox.world import World
from tests.builders import poll_once
from tests.providers.test_presets import SERVERS, write_source
from tests.support import CANARY, decode_json_columns, expect_row, read_instant, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.sandbox.plans import SessionPlan

pytestmark = pytest.mark.slow

NOW = datetime(2026, 10, 1, tzinfo=UTC)
# What else is said of the servers of a provider, beside what a request must be: how they show
# things, what their coordinators are called, and in what they count costs.
MANNERS: dict[str, tuple[dict[str, Any], str | None]] = {
    "qoder": ({"has_growing_stats": True, "costs_in": "credits"}, None),
    "qoder-cn": ({"newest_first": True, "costs_in": "CNY"}, None),
    "qoder-forward": ({"agents": "template"}, None),
    "claude": ({"agents": "advisor", "has_growing_stats": True, "costs_in": "USD"}, None),
    "zhipu": ({"agents": "inline", "page_limit": 7}, None),
    "baidu": ({"costs_in": "POINT"}, "{session_id}"),
    "custom": (
        {"agents": "flat", "has_naive_times": True, "has_growing_stats": True},
        "sthr_primary",
    ),
}
# Stored as they were when a thread or session changed last.
GROWING = ("active_seconds", "duration_seconds", "usage", *(
    "input_tokens", "output_tokens", "cost_amount"
))  # fmt: skip


def freeze(world: World, session: SessionPlan) -> None:
    """Let nothing happen to the threads of a session any more."""
    session.threads = [
        replace(plan, events=tuple(world.past(plan))) for plan in world.list_plans(session.id)
    ]


def happen(world: World, session: SessionPlan, number: int, *events: Event) -> None:
    """Let this happen to a thread of a session now."""
    plan = session.threads[number]
    moved = [Event(world.elapsed(), e.status, e.stop_reason, e.is_archived) for e in events]
    session.threads[number] = replace(plan, events=(*plan.events, *moved))


def expect_usage(item: dict[str, Any]) -> dict[str, Any]:
    """Return the typed columns of an object's usage."""
    usage = item.get("usage") or {}
    cost = usage.get("list_cost") or {"amount": usage.get("credits"), "currency": "credits"}
    divisor = 100 if cost["currency"] in {"USD", "CNY"} else 1
    is_said = cost["amount"] is not None
    return {
        "input_tokens": usage.get("input_tokens"),
        "output_tokens": usage.get("output_tokens"),
        "cost_amount": Decimal(cost["amount"]) / divisor if is_said else None,
        "cost_currency": cost["currency"] if is_said else None,
    }


def expect_session(session: dict[str, Any], source: str) -> dict[str, Any]:
    """Return the row of `sessions` that a sandbox's session must become."""
    agent, stats = session["agent"], session["stats"]
    named = ("title", "status", "environment_id", "deployment_id", "metadata", "usage")
    moments = ("created_at", "updated_at", "archived_at")
    return {
        "source": source,
        "session_id": session["id"],
        **{name: session[name] for name in named},
        **{name: read_instant(session[name]) for name in moments},
        "agent_id": agent["id"],
        "agent_name": agent["name"],
        "agent_version": agent["version"],
        "active_seconds": stats["active_seconds"],
        "duration_seconds": stats["duration_seconds"],
        "state": "polled",
        "origin": "discovered",
        "missing_since": None,
        **expect_usage(session),
    }


class Server:
    """A provider's server, and what the tables must say of it."""

    def __init__(self, provider: str) -> None:
        revision, dialect, self.keys = SERVERS[provider]
        manners, primary_id = MANNERS[provider]
        self.provider = provider
        self.dialect = msgspec.structs.replace(dialect, **manners)
        sizes = [30, 5, 1]
        self.world = World(
            sizes, seed=2, revision=revision, clock=lambda: NOW, primary_id=primary_id
        )
        self.sandbox = Sandbox(self.world, token=CANARY, dialect=self.dialect)
        for session in self.world.sessions.values():
            freeze(self.world, session)

    def expect(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the rows of `threads` and of `sessions`, each in the order of their keys."""
        world, threads = self.world, []
        for id_ in world.sessions:
            for plan in world.list_plans(id_):
                said = self.dialect.speak(world.render(id_, plan), world.elapsed() - plan.born)
                threads.append(expect_row(said, self.provider) | expect_usage(said))
        sessions = [
            expect_session(
                self.dialect.speak_session(render_session(world, session)), self.provider
            )
            for session in world.sessions.values()
        ]
        threads.sort(key=lambda row: (row["session_id"], row["thread_id"]))
        return threads, sorted(sessions, key=lambda row: row["session_id"])


def check_tables(home: Path, server: Server, *, is_first: bool = False) -> None:
    """Compare both tables with the truth; what grows by itself only after the first poll."""
    orders = {"threads": "session_id, thread_id", "sessions": "session_id"}
    for (table, order), truth in zip(orders.items(), server.expect(), strict=True):
        rows = read_table(home / "threads.duckdb", f"FROM {table} ORDER BY {order}")
        names = [name for name in truth[0] if is_first or name not in GROWING]
        stored = [decode_json_columns({name: row[name] for name in names}) for row in rows]
        assert stored == [{name: row[name] for name in names} for row in truth]


def count_changes(home: Path) -> list[tuple[int, ...]]:
    """Return (new, changed, missing) threads of each run."""
    counts = ("new", "changed", "missing")
    sums = ", ".join(f"sum(threads_{name})::BIGINT AS {name}" for name in counts)
    query = f"SELECT sequence, {sums} FROM session_polls GROUP BY ALL ORDER BY sequence"
    rows = read_table(home / "threads.duckdb", query)
    return [tuple(row[name] for name in counts) for row in rows]


@pytest.mark.parametrize("provider", SERVERS)
def test_provider_through_discovery(provider: str, home: Path, tmp_path: Path) -> None:
    """Threads and sessions equal the truth, in every row and column that the dialect can say.

    After the first poll; after all numbers have grown and one thread was archived, which changes
    one row and closes it; and after a thread has appeared, another one moved, and a session was
    added and another one renamed.
    """
    server = Server(provider)
    world = server.world
    first, second, third = world.sessions.values()
    with serve(server.sandbox.app) as base_url:
        source = {"provider": provider, "base_url": base_url, "discover": True, **server.keys}
        environ = write_source(
            tmp_path / "c.yaml",
            **source,
            min_page_interval_ms=0,
            max_requests_per_second=1000,
        )
        settings = load_settings(PROVIDERS, environ)
        poll_once(home, settings, "run-1")
        check_tables(home, server, is_first=True)
        world.advance(600)
        number = next(
            n for n, plan in enumerate(first.threads) if n and not plan.events[-1].is_archived
        )
        status = "archived" if world.revision == "a" else "terminated"
        happen(world, first, number, Event(0, status, "archive", is_archived=True))
        poll_once(home, settings, "run-2")
        check_tables(home, server)
        world.advance(60)
        parent = second.threads[0]
        born = Event(world.elapsed(), "running")
        second.threads.append(replace(parent, id="sthr_new", parent_id=parent.id, events=(born,)))
        happen(world, second, 0, Event(0, "idle", "end_turn"))
        third.title = "another title"
        freeze(world, world.add_session(2))
        polls = poll_once(home, settings, "run-3")
        check_tables(home, server)
    counts = count_changes(home)
    added = len(world.born_threads([*world.sessions.values()][-1]))
    assert counts[1:] == [(0, 1, 0), (1 + added, 1, 0)]
    assert {poll.outcome for poll in polls} == {"complete"}
    query = f"FROM threads WHERE thread_id = '{first.threads[number].id}'"
    (row,) = read_table(home / "threads.duckdb", query)
    assert (row["is_open"], row["archived_at"] is not None) == (False, True)
    drift = read_table(home / "threads.duckdb", "SELECT path, value FROM schema_drift")
    assert drift == []

"""Worlds whose truth is known: what happened to each thread, and what polls of it leave behind.

A world's server shows each thread as it is at the time of a poll, as JSON, and the real load reads
it. Times are seconds since START.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import msgspec
import numpy as np
import polars as pl

from pipelines.config.settings import Settings
from pipelines.landing.format import PAGES, Landed
from pipelines.records import THREADS_ENDPOINT, Poll, Run
from pipelines.warehouse.analyses import choose_analyses, list_analyses
from pipelines.warehouse.build import build_all, write_settings
from pipelines.warehouse.load import load_run
from pipelines.warehouse.schema import migrate
from pipelines.warehouse.sql import fetch_records

if TYPE_CHECKING:
    from collections.abc import Iterable

START = datetime(2026, 10, 1, tzinfo=UTC)
SOURCE = "simulated"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
Row = dict[str, Any]


class State(NamedTuple):
    """What a thread is from a time on."""

    at: float
    status: str
    stop: str | None = None
    is_archived: bool = False


class Finding(NamedTuple):
    """What a claim of an analysis was worth in a kind of world: a share or an error, its goal."""

    analysis: str
    world: str
    claim: str
    measured: float
    sign: str  # ≤, ≥ or within
    goal: float

    @property
    def holds(self) -> bool:
        """Whether the goal is met."""
        if self.sign == "within":
            return abs(self.measured) <= self.goal
        return self.measured <= self.goal if self.sign == "≤" else self.measured >= self.goal


@dataclass(frozen=True)
class Life:
    """All that happens to a thread.

    `touches` move updated_at and nothing else; from `leaves` on the server no longer lists it.
    """

    session: str
    id: str
    states: tuple[State, ...]
    agent: str = "agent"
    version: int = 1
    touches: tuple[float, ...] = ()
    leaves: float = math.inf

    @property
    def born(self) -> float:
        """When it was created."""
        return self.states[0].at

    def show(self, at: float) -> Row | None:
        """Return what the server shows of it, nothing before its birth or when it has left."""
        if not self.born <= at < self.leaves:
            return None
        state = [state for state in self.states if state.at <= at][-1]
        updated = max([state.at, *(touch for touch in self.touches if touch <= at)])
        shown = {
            "id": self.id,
            "parent_thread_id": "root",
            "agent": {"id": self.agent, "name": self.agent, "version": self.version},
            "status": state.status,
            "stop_reason": {"type": state.stop} if state.stop else {},
            "created_at": instant(self.born),
            "updated_at": instant(updated),
        }
        if state.is_archived:
            shown["archived_at"] = instant(state.at)
        return shown


@dataclass
class World:
    """Threads, when each session is polled, and from when on some sessions are gone.

    With `hides_closed` the server lists no thread that closed before the first poll.
    """

    threads: list[Life]
    polls: list[float]
    gone: dict[str, float] = field(default_factory=dict)
    hides_closed: bool = False

    def load(self) -> duckdb.DuckDBPyConnection:
        """Load all polls, each a run, into a new warehouse in memory; return it."""
        connection = connect()
        members = defaultdict(list)
        for life in self.threads:
            members[life.session].append(life)
        for number, at in enumerate(self.polls, 1):
            load_run(connection, self._land(number, at, members))
        return connection

    def _land(self, number: int, at: float, members: dict[str, list[Life]]) -> Landed:
        polls, pages = [], []
        for session, threads in members.items():
            is_gone = at >= self.gone.get(session, math.inf)
            shown = [] if is_gone else [life.show(at) for life in threads if self._lists(life, at)]
            body = msgspec.json.encode({"data": [row for row in shown if row], "has_more": False})
            polls.append(make_poll(session, at, "gone" if is_gone else "complete", len(body)))
            if not is_gone:
                moment = START + timedelta(seconds=at)
                pages.append((SOURCE, THREADS_ENDPOINT, session, 1, None, moment, 200, body))
        run = Run(
            id=f"run-{number}",
            sequence=number,
            started_at=polls[0].started_at,
            finished_at=polls[0].finished_at,
            version="simulated",
        )
        return Landed(run, polls, pl.DataFrame(pages, schema=PAGES, orient="row"))

    def _lists(self, life: Life, at: float) -> bool:
        last = life.states[-1]
        is_closed = last.is_archived or last.status in {"terminated", "archived"}
        return at < life.leaves and not (
            self.hides_closed and is_closed and last.at < self.polls[0]
        )


def make_poll(session: str, at: float, outcome: str, size: int) -> Poll:
    """Return the ledger's record of a poll that began a tenth of a second before its page came."""
    moment = START + timedelta(seconds=at)
    pages = 1 if outcome == "complete" else 0
    return Poll(
        source=SOURCE,
        session_id=session,
        label=None,
        started_at=moment - timedelta(milliseconds=100),
        finished_at=moment + timedelta(milliseconds=50),
        outcome=outcome,
        end_reason="has_more_false" if pages else "error",
        status_filter=None,
        pages=pages,
        requests=1,
        retries=0,
        wait_seconds=0.0,
        bytes=size,
        threads_listed=0,
        duplicates=0,
    )


def instant(at: float) -> str:
    """Return a time as the server writes it."""
    return f"{START + timedelta(seconds=round(at, 3)):%Y-%m-%dT%H:%M:%S.%fZ}"


def connect() -> duckdb.DuckDBPyConnection:
    """Return a warehouse in memory, on one core."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    migrate(connection, Path("memory"))
    write_settings(connection, Settings().for_analyses)
    return connection


def build(world: World, *names: str) -> dict[str, list[Row]]:
    """Load a world, and build analyses and what they read; return their rows."""
    found = list_analyses()
    needed = {n: a for name in names for n, a in choose_analyses(found, name).items()}
    ordered = {name: found[name] for name in found if name in needed}
    with world.load() as connection:
        for outcome in build_all(connection, ordered):
            if outcome.failures:
                raise RuntimeError(outcome.failures)
        return {name: fetch_records(connection, f"FROM analytics.{name}") for name in names}


def draw(seed: int, name: str) -> np.random.Generator:
    """Return the source of chance of a world."""
    return np.random.default_rng([seed, *name.encode()])


def share(cases: Iterable[bool]) -> float:
    """Return the share of the cases that are true."""
    return float(np.mean([float(case) for case in cases] or [math.nan]))

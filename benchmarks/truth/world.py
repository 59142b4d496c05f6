"""Worlds whose truth is known: what happened to each thread, and what polls of it leave behind.

A world's server shows each thread as it is at the time of a poll, as JSON, and the real load reads
it. Times are seconds since START.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

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
from pipelines.warehouse.sql import fetch_records, hide_progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipelines.warehouse.analysis import Analysis

START = datetime(2026, 10, 1, tzinfo=UTC)
BATCH = 10  # worlds that are loaded together
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

    def land(self, source: str, at: float) -> tuple[list[Poll], list[tuple[Any, ...]]]:
        """Return what polls of its sessions at a time leave behind: ledger and pages."""
        polls, pages = [], []
        for session, threads in self.members.items():
            is_gone = at >= self.gone.get(session, math.inf)
            shown = [] if is_gone else [life.show(at) for life in threads if self._lists(life, at)]
            body = msgspec.json.encode({"data": [row for row in shown if row], "has_more": False})
            outcome = "gone" if is_gone else "complete"
            polls.append(make_poll(source, session, at, outcome, len(body)))
            if not is_gone:
                moment = START + timedelta(seconds=at)
                pages.append((source, THREADS_ENDPOINT, session, 1, None, moment, 200, body))
        return polls, pages

    @cached_property
    def members(self) -> dict[str, list[Life]]:
        """Session -> its threads."""
        found = defaultdict(list)
        for life in self.threads:
            found[life.session].append(life)
        return found

    def _lists(self, life: Life, at: float) -> bool:
        last = life.states[-1]
        is_closed = last.is_archived or last.status in {"terminated", "archived"}
        return at < life.leaves and not (
            self.hides_closed and is_closed and last.at < self.polls[0]
        )


def make_poll(source: str, session: str, at: float, outcome: str, size: int) -> Poll:
    """Return the ledger's record of a poll that began a tenth of a second before its page came."""
    moment = START + timedelta(seconds=at)
    pages = 1 if outcome == "complete" else 0
    return Poll(
        source=source,
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
    moment = START + timedelta(seconds=round(at, 3))
    return f"{moment.replace(tzinfo=None).isoformat()}Z"


def connect() -> duckdb.DuckDBPyConnection:
    """Return a warehouse in memory, on one core."""
    spilled = Path(gettempdir()) / f"truth-{uuid4()}"  # processes would share the one beside them
    connection = duckdb.connect(config={"threads": 1, "temp_directory": str(spilled)})
    hide_progress(connection)
    connection.execute("SET TimeZone = 'UTC'")
    migrate(connection, Path("memory"))
    write_settings(connection, Settings().for_analyses)
    return connection


def load(worlds: Mapping[str, World]) -> duckdb.DuckDBPyConnection:
    """Load worlds of the same polls, each as a source, each poll a run; return the warehouse."""
    connection = connect()
    (times,) = {tuple(world.polls) for world in worlds.values()}
    for number, at in enumerate(times, 1):
        landed = [world.land(source, at) for source, world in worlds.items()]
        polls = [poll for own, _ in landed for poll in own]
        pages = [page for _, own in landed for page in own]
        run = Run(
            id=f"run-{number}",
            sequence=number,
            started_at=polls[0].started_at,
            finished_at=polls[0].finished_at,
            version="simulated",
        )
        frame = pl.DataFrame(pages, schema=PAGES, orient="row")
        load_run(connection, Landed(run, polls, frame))
    return connection


def build(worlds: Iterable[World], *names: str) -> Iterator[dict[str, list[Row]]]:
    """Load worlds of the same polls, and build analyses; yield the rows of each world.

    Loads are shared, and so is thread_durations. What reads that is built of each world alone.
    """
    found = list_analyses()
    needed = {n: a for name in names for n, a in choose_analyses(found, name).items()}
    ordered = {name: found[name] for name in found if name in needed}
    shared = {n: a for n, a in ordered.items() if not a.after}
    alone = {n: a for n, a in ordered.items() if a.after}
    numbered = enumerate(worlds)
    while batch := {f"world_{number}": world for number, world in islice(numbered, BATCH)}:
        with load(batch) as connection:
            for outcome in build_all(connection, shared):
                if outcome.failures:
                    raise RuntimeError(outcome.failures)
            connection.execute("ALTER TABLE analytics.thread_durations RENAME TO durations")
            for source in batch:
                fill(connection, source, alone)
                yield {
                    name: fetch_records(
                        connection,
                        f"FROM analytics.{name}" + ("" if name in alone else " WHERE source = $1"),
                        [] if name in alone else [source],
                    )
                    for name in names
                }


def fill(
    connection: duckdb.DuckDBPyConnection, source: str, analyses: Mapping[str, Analysis]
) -> None:
    """Build the analyses of one world's threads."""
    create = "CREATE OR REPLACE TABLE analytics."
    query = f"{create}thread_durations AS FROM analytics.durations WHERE source = $1"
    connection.execute(query, [source])
    for name, analysis in analyses.items():
        connection.execute(f"{create}{name} AS {analysis.query}")


def draw(seed: int, name: str) -> np.random.Generator:
    """Return the source of chance of a world."""
    return np.random.default_rng([seed, *name.encode()])


def share(cases: Iterable[bool]) -> float:
    """Return the share of the cases that are true."""
    return float(np.mean([float(case) for case in cases] or [math.nan]))

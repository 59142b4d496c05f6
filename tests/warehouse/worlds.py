"""Worlds of threads: the tables as many polls would have left them, made quickly from a seed.

`World.poll` is a second, plain reading of the data model beside the loader's SQL; a test holds the
two against each other. The analyses are tested on what it leaves.
"""

from __future__ import annotations

import bisect
import math
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.config.settings import Settings
from pipelines.frames.values import TIMESTAMP
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.build import build_analysis, write_settings
from pipelines.warehouse.sql import ArrowStream, fetch_records
from tests.builders import SESSION, at, sequence_of
from tests.empty import open_empty

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

    from pipelines.warehouse.analysis import Analysis

Row = dict[str, Any]
Key = tuple[str, str, str]
SOURCE = "qoder"
CLOSED = ("archived", "terminated", "cancelled")
NEVER = datetime.max.replace(tzinfo=UTC)
EVER = datetime.min.replace(tzinfo=UTC)
POLARS = {
    "VARCHAR": pl.String(),
    "JSON": pl.String(),
    "DECIMAL(38,9)": pl.Decimal(38, 9),
    "BIGINT": pl.Int64(),
    "UBIGINT": pl.UInt64(),
    "INTEGER": pl.Int64(),
    "DOUBLE": pl.Float64(),
    "BOOLEAN": pl.Boolean(),
    "TIMESTAMP WITH TIME ZONE": TIMESTAMP,
}


def state(
    id_: str, status: str | None = "running", created: float = 0, updated: float = 0, **fields: Any
) -> Row:
    """Return a thread as a page shows it; its times in minutes of the day."""
    role = "child" if fields.get("parent_thread_id") else "coordinator"
    row = {
        "thread_id": id_,
        "role": role,
        "status": status,
        "created_at": at(created),
        "updated_at": at(updated),
        "archived_at": None,
        **fields,
    }
    is_closed = row["archived_at"] is not None or status in CLOSED
    return {"is_open": not is_closed} | row


@dataclass
class World:
    """The tables, what it takes to bring them on by one poll, and the polls that were `given`.

    `sights` tells of each thread which complete poll was the last to see its current spell; `left`
    since when the configuration no longer names a session.
    """

    threads: dict[Key, Row] = field(default_factory=dict)
    history: dict[Key, list[Row]] = field(default_factory=dict)
    polls: list[Row] = field(default_factory=list)
    drift: list[Row] = field(default_factory=list)
    settings: dict[str, float] = field(default_factory=dict)
    given: list[tuple[float, tuple[Row, ...], Row]] = field(default_factory=list)
    sights: dict[Key, datetime | None] = field(default_factory=dict)
    left: dict[tuple[str, str], datetime] = field(default_factory=dict)
    titles: dict[tuple[str, str], str] = field(default_factory=dict)
    silences: Counter[tuple[str, str, str, int]] = field(default_factory=Counter)

    def poll(
        self,
        minute: float,
        *listed: Row,
        source: str = SOURCE,
        session_id: str = SESSION,
        outcome: str = "complete",
        **fields: Any,
    ) -> None:
        """Poll a session: it begins at the minute, the page comes 30 s later, it ends at 60 s."""
        session = (source, session_id)
        named = {"source": source, "session_id": session_id, "outcome": outcome}
        self.given.append((minute, listed, named | fields))
        ledger = {
            "run_id": f"run-{source}-{session_id}-{minute:g}",
            "sequence": sequence_of(minute),
            "source": source,
            "session_id": session_id,
            "started_at": at(minute),
            "finished_at": at(minute + 1),
            "outcome": outcome,
            "end_reason": "has_more_false" if outcome == "complete" else "error",
            **dict.fromkeys(("pages", "requests", "threads_listed"), len(listed)),
            **dict.fromkeys(("retries", "bytes", "duplicates", "threads_new"), 0),
            **dict.fromkeys(("threads_unlisted", "lookups", "threads_unconfirmed"), 0),
            **dict.fromkeys(("threads_changed", "threads_unchanged", "threads_missing"), 0),
            "wait_seconds": 0.0,
            "threads_regressed": 0,
            **fields,
        }
        is_complete = outcome == "complete" and not ledger.get("status_filter")
        if outcome != "overtaken":
            seen_at = fields.get("observed_at", at(minute + 0.5))
            for shown in listed:
                key = (*session, shown["thread_id"])
                if not self._observe(key, shown, seen_at, ledger["sequence"]):
                    ledger["threads_regressed"] += "threads_regressed" not in fields
                elif is_complete:
                    self.sights[key] = at(minute)
            if is_complete:
                self._retire(session, {shown["thread_id"] for shown in listed}, ledger)
        pages = fields.get("pages", max(1, len(listed)))
        self.polls.append({**ledger, "is_complete": is_complete, "pages": pages})
        if outcome in {"failed", "gone", "forbidden"} and not listed:
            self.polls[-1]["pages"] = 0

    def _observe(self, key: Key, shown: Row, seen_at: datetime, sequence: int) -> bool:
        """Take what a page shows of a thread; false where that is older than what is known."""
        stamps = {"last_changed_at": seen_at, "last_changed_sequence": sequence}
        known = self.threads.get(key)
        if known and (shown["updated_at"] or NEVER) < (known["updated_at"] or EVER):
            if known["missing_since"] is not None:
                known |= {"missing_since": None, "missing_sequence": None, **stamps}
            return False
        new = {"first_seen_at": seen_at, "missing_since": None, **shown, **stamps}
        if known is not None:
            new["first_seen_at"] = known["first_seen_at"]
            if all(known.get(name) == new[name] for name in shown) and not known["missing_since"]:
                return True
        new |= {"source": key[0], "session_id": key[1]}
        self._note_silence(key, known, new)
        self._begin_spell(key, known, new)
        self.threads[key] = new
        return True

    def _note_silence(self, key: Key, known: Row | None, new: Row) -> None:
        """Count how long a thread had been quiet when it was last seen so, if it was open."""
        if known is None or not known["is_open"]:
            return
        before, now = known["updated_at"], new["updated_at"]
        if before is not None and now is not None and now > before:
            agent = known.get("agent_id") or known.get("agent_name") or "(none)"
            complete = [
                poll["started_at"]
                for poll in self.polls
                if poll["is_complete"] and (poll["source"], poll["session_id"]) == key[:2]
            ]
            seen_at = max(known["last_changed_at"], known["missing_since"] or [EVER, *complete][-1])
            step = round(100 * math.log(max((seen_at - before) / timedelta(seconds=1), 1)))
            self.silences[key[0], agent, known["status"] or "(none)", step] += 1

    def list_silences(self) -> Iterator[Row]:
        """Give the rows of silences."""
        names = ("source", "agent", "status", "step", "silences")
        for key, count in self.silences.items():
            yield dict(zip(names, (*key, count), strict=True))

    def _begin_spell(self, key: Key, known: Row | None, new: Row) -> None:
        spells = self.history.setdefault(key, [])
        kind = (new["status"], new.get("stop_reason_type"))
        if spells and kind == (spells[-1]["status"], spells[-1]["stop_reason_type"]):
            return
        observed, updated, created = (
            new["last_changed_at"],
            new["updated_at"],
            new["created_at"],
        )
        if not spells or known is None:
            after = created
            otherwise = min(filter(None, (created, observed)))
        else:
            observed = max(observed, spells[-1]["observed_from"])
            after = self.sights[key] or spells[-1]["observed_from"]
            otherwise = after + timedelta(microseconds=(observed - after) // MICROSECOND // 2)
        fits = updated is not None and updated <= observed and (after is None or updated > after)
        changed = updated if fits else otherwise
        if spells:
            changed = max(changed, spells[-1]["changed_at"])
            spells[-1] |= {"ended_before": observed, "ended_after": after, "ended_at": changed}
            spells[-1]["next_status"] = kind[0]
        spells.append(
            {
                **dict(zip(("source", "session_id", "thread_id"), key, strict=True)),
                "spell": len(spells) + 1,
                "status": kind[0],
                "stop_reason_type": kind[1],
                "observed_from": observed,
                "changed_after": after,
                "changed_at": changed,
                **dict.fromkeys(("ended_before", "ended_after", "ended_at", "next_status")),
            }
        )
        self.sights[key] = None

    def _retire(self, session: tuple[str, str], listed: set[str], poll: Row) -> None:
        for key, row in self.threads.items():
            if key[:2] == session and key[2] not in listed and row["missing_since"] is None:
                row["missing_since"] = poll["started_at"]
                row["missing_sequence"] = poll["sequence"]

    def spells(self) -> Iterator[Row]:
        """Give the rows of thread_status_history."""
        for spells in self.history.values():
            yield from spells

    def sessions(self) -> Iterator[Row]:
        """Give the rows of the registry that say more than the ledger: titles, what has left."""
        for session in self.left.keys() | self.titles.keys():
            moment = self.left.get(session, EVER)
            times = dict.fromkeys(("first_seen_at", "last_changed_at", "state_since"), moment)
            key = {
                "source": session[0],
                "session_id": session[1],
                "title": self.titles.get(session),
            }
            state_ = "out_of_scope" if session in self.left else "polled"
            yield key | times | {"origin": "configured", "state": state_}

    def unseen(self) -> Iterator[Row]:
        """Give the rows of spells_unseen."""
        newest = {
            (poll["source"], poll["session_id"]): poll["started_at"]
            for poll in sorted(self.polls, key=lambda poll: poll["started_at"])
            if poll["is_complete"]
        }
        for key, last in self.sights.items():
            if last is None or last < newest[key[:2]]:
                names = ("source", "session_id", "thread_id", "last_seen_at")
                yield dict(zip(names, (*key, last), strict=True))


MICROSECOND = timedelta(microseconds=1)
STATUSES: list[str | None] = [
    "running",
    "running",
    "idle",
    "idle",
    "blocked",
    "rescheduling",
    "hibernating",
    None,
]
STOP_REASONS: dict[str, list[str | None]] = {
    "idle": ["end_turn", "end_turn", "requires_action", "retries_exhausted", "refusal", "odd"],
    "blocked": ["requires_action", None],
    "archived": ["archive", "end_turn"],
    "terminated": ["end_turn", "budget_reached", "retries_exhausted", None],
}
AGENTS: list[Row] = [
    {"agent_id": "agent_a", "agent_name": "Alpha"},
    {"agent_id": "agent_b", "agent_name": "Beta"},
    {"agent_id": None, "agent_name": "nameless id"},
    {"agent_id": None, "agent_name": None},
]
SCALES: dict[int | None, float] = {1: 60.0, 2: 60.0, 3: 150.0, 4: 25.0, None: 60.0}
OUTCOMES = ["complete"] * 12 + ["failed", "incomplete", "overtaken", "gone", "filtered", "filtered"]


def simulate(  # noqa: PLR0913 - each is a trait of the world
    seed: int,
    size: int,
    *,
    sources: int = 1,
    sessions: int = 1,
    polls: int = 20,
    gap: float = 20,
    closing: float = 0.6,
    grain: float = 0,
    odd: float = 0,
) -> World:
    """Return a world of `size` threads in sessions that are polled every `gap` minutes.

    `closing` is the share of threads that close in the end, `grain` rounds their times to so many
    minutes (ties), `odd` is the share of each oddity that a server should not show.
    """
    rng = random.Random(seed)  # noqa: S311 - no secret
    world = World(settings={"attention_after_minutes": 45.0})
    members: dict[tuple[str, str], list[_Life]] = {
        (f"source_{i % sources}", f"sess_{i}"): [] for i in range(sources * sessions)
    }
    everywhere = list(members)
    for number in range(size):
        siblings = members[rng.choice(everywhere)]
        siblings.append(_live(rng, number, siblings, (gap * polls, closing, grain, odd)))
    for index, (session, lives) in enumerate(members.items()):
        _poll_all(rng, world, session, lives, [index + gap * k for k in range(1, polls + 1)])
    if odd:
        for path, value in (("color", None), ("stats.depth", None), ("status", "hibernating")):
            row = {"path": path, "json_type": "string", "value": value, "examples": 1}
            world.drift.append(row | {"first_seen_at": at(gap), "run_id": "run-1"})
    return world


@dataclass
class _Life:
    """What truly happened to a thread: its states, each from a minute on."""

    states: list[tuple[float, Row]]
    absent: tuple[float, float]

    def show(self, minute: float) -> Row | None:
        """Return what a page of that minute shows, nothing before its birth or while it is away."""
        index = bisect.bisect_right(self.states, minute, key=lambda item: item[0])
        is_absent = self.absent[0] <= minute < self.absent[1]
        return None if not index or is_absent else self.states[index - 1][1]


def _live(
    rng: random.Random,
    number: int,
    siblings: list[_Life],
    traits: tuple[float, float, float, float],
) -> _Life:
    end, closing, grain, odd = traits

    def step(minutes: float) -> float:
        return max(1, round(minutes / grain)) * grain if grain else minutes

    def rare(factor: float = 1.0) -> bool:
        return rng.random() < odd * factor

    version = rng.choice([1, 1, 2, 2, 3, 4, None])
    parent = rng.choice(siblings).states[0][1]["thread_id"] if siblings else None
    if rare():
        parent = rng.choice([f"t{number}", f"t{number + 1}", f"t{number + 3}", "nobody", None])
    fixed = {
        **rng.choice(AGENTS),
        "agent_version": version,
        "agent_model": rng.choice(["lite", "pro", None]),
        "parent_thread_id": parent,
        "active_seconds": rng.choice([None, rng.uniform(0, 100)]),
    }
    if rare():
        fixed["role"] = "reviewer"
    born = step(rng.uniform(0.0, end))
    dies = born + step(rng.expovariate(1 / SCALES[version]))
    statuses = STATUSES if odd else STATUSES[:6]
    changes: list[tuple[float, str | None]] = [(born, "running")]
    while (minute := changes[-1][0] + step(rng.expovariate(1 / 30))) < min(dies, end):
        changes.append((minute, rng.choice(statuses)))
    if rng.random() < closing:
        changes.append((dies, rng.choice(["archived", "terminated", "terminated", "cancelled"])))
        if rng.random() < 0.2:
            changes.append((dies + step(rng.expovariate(1 / 30)), "archived"))
    created = rng.choice([None, end * 2, dies + 7, -1e6]) if rare(0.5) else born
    skew = rng.choice([None, 60.0, -born - 500]) if rare() else 0.0
    states = []
    for minute, status in changes:
        shown = state(f"t{number}", status, **fixed)
        shown["created_at"] = None if created is None else at(created)
        shown["updated_at"] = None if skew is None else at(minute + skew)
        shown["stop_reason_type"] = rng.choice(STOP_REASONS.get(status or "", [None]))
        if status == "archived" or (status == "terminated" and rng.random() < 0.5):
            shown["archived_at"] = at(minute + step(rng.choice([0.0, 2.0])))
        states.append((minute, shown))
    lost = rng.uniform(born, end) if rng.random() < 0.08 else 2 * end
    return _Life(states, (lost, lost + rng.choice([50, 1e9])))


def _poll_all(
    rng: random.Random,
    world: World,
    session: tuple[str, str],
    lives: list[_Life],
    minutes: list[float],
) -> None:
    for minute in minutes:
        outcome = rng.choice(OUTCOMES) if minute != minutes[-1] else "complete"
        shown = [seen for life in lives if (seen := life.show(minute + 0.25))]
        fields: Row = {"label": rng.choice(["mine", "ours", None]), "source": session[0]}
        fields["session_id"] = session[1]
        start = minute
        if outcome == "filtered":
            outcome, fields["status_filter"] = "complete", "running"
            shown = [row for row in shown if row["status"] == "running"]
        elif outcome == "incomplete":
            shown = [row for row in shown if rng.random() < 0.5] or shown[:1]
        elif outcome != "complete":
            shown = []
            start = minute - 2 if outcome == "overtaken" else minute
            fields["error_message"] = rng.choice([None, f"it broke at {minute:g}"])
        fields["threads_regressed"] = rng.choice([0, 0, 0, 2])
        fields["threads_unconfirmed"] = round(minute) % 3
        world.poll(start, *shown, outcome=outcome, **fields)


@cache
def parsed_analyses() -> dict[str, Analysis]:
    """Return the analyses in the order in which they are built, read once."""
    return list_analyses()


# Of a table whose rows have none: it would be sorted anew at each poll.
ORDERS = {"thread_durations": " ORDER BY source, session_id, thread_id"}
# What only a page can say, and no analysis reads.
OTHERWISE = {"grows": False}


def fill(connection: duckdb.DuckDBPyConnection, world: World, seed: int | None = None) -> None:
    """Write a world into migrated tables; with a seed, its rows in another order."""
    tables: dict[str, Iterable[Row]] = {
        "threads": world.threads.values(),
        "thread_status_history": world.spells(),
        "spells_unseen": world.unseen(),
        "session_polls": world.polls,
        "schema_drift": world.drift,
        "sessions": world.sessions(),
        "silences": world.list_silences(),
    }
    write_settings(connection, Settings().for_analyses | world.settings)
    for table, given in tables.items():
        rows = list(given)
        if seed is not None:
            random.Random(seed).shuffle(rows)  # noqa: S311 - no secret
        types = {
            row["column_name"]: POLARS[row["column_type"]]
            for row in fetch_records(connection, f"DESCRIBE {table}")
        }
        frame = pl.DataFrame(
            [[row.get(c, OTHERWISE.get(c)) for c in types] for row in rows], types, orient="row"
        )
        connection.register("given", ArrowStream(frame))
        connection.execute(f"INSERT INTO {table} BY NAME FROM given")
        connection.unregister("given")


def connect(
    world: World, zone: str = "UTC", threads: int = 1, seed: int | None = None
) -> duckdb.DuckDBPyConnection:
    """Return a new warehouse in memory that holds the world."""
    connection = open_empty()
    connection.execute(f"SET threads = {threads}")
    fill(connection, world, seed)
    connection.execute(f"SET TimeZone = '{zone}'")
    return connection


def build_all(
    world: World, zone: str = "UTC", threads: int = 1, seed: int | None = None
) -> dict[str, list[Row]]:
    """Return every analysis of the world, its rows in order; the header's checks have held."""
    with connect(world, zone, threads, seed) as connection:
        for analysis in parsed_analyses().values():
            build_analysis(connection, analysis)
        return {
            name: [
                {column: to_utc(cell) for column, cell in row.items()}
                for row in fetch_records(connection, f"FROM analytics.{name}{ORDERS.get(name, '')}")
            ]
            for name in parsed_analyses()
        }


def to_utc(cell: Any) -> Any:
    """Return a time as that of UTC: which zone it is read in cannot be set any more."""
    return cell.astimezone(UTC) if isinstance(cell, datetime) else cell


def build_one(world: World, name: str) -> list[Row]:
    """Return the rows of one analysis of the world in order, built after those that it reads."""
    return build_some(world, name)[name]


def build_some(world: World, *names: str) -> dict[str, list[Row]]:
    """Return the rows of some analyses of the world in order, built after those that they read."""
    with connect(world) as connection:
        for needed in dict.fromkeys(other for name in names for other in list_needed(name)):
            build_analysis(connection, parsed_analyses()[needed])
        return {
            name: fetch_records(connection, f"FROM analytics.{name}{ORDERS.get(name, '')}")
            for name in names
        }


def list_needed(name: str) -> list[str]:
    """Return the analyses that one reads, however far off, in order, and then itself."""
    deeper = (list_needed(after) for after in parsed_analyses()[name].after)
    return [*dict.fromkeys(other for names in deeper for other in names), name]

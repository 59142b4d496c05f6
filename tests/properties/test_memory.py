"""The tables of a moving, misbehaving world, held against a model in plain Python."""

from __future__ import annotations

import itertools
import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import polars as pl
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from pipelines.landing.format import PAGES, Landed
from pipelines.records import Poll, Run
from pipelines.warehouse.load import load_run
from tests.empty import open_empty
from tests.properties.memory_model import Listed, Model

if TYPE_CHECKING:
    import duckdb

pytestmark = pytest.mark.slow  # together they take long

START = datetime(2026, 10, 1, tzinfo=UTC)
SESSIONS = ("s1", "s2")
IDS = ("a", "b", "c")
YEAR_S = 365 * 86400
STATUSES = ("idle", "running", "hibernating")
TABLES = {
    "threads": "SELECT * EXCLUDE (digest, grows) FROM threads",
    "history": "SELECT * FROM thread_status_history",
    "spells": "SELECT * FROM thread_spells",
    "ledger": "SELECT * FROM session_polls",
    "drift": "SELECT * FROM schema_drift",
    "runs": "SELECT run_id, sequence, COLUMNS('sessions_.*') FROM runs",
}
FOUND = st.sampled_from([200, 200, 404, None])
ANSWERS = st.fixed_dictionaries(
    {
        "outcome": st.sampled_from(["complete"] * 4 + ["incomplete", "failed", "gone"]),
        "is_filtered": st.sampled_from([False, False, False, True]),
        "cut": st.integers(0, 3),
        "lagging": st.none() | st.sampled_from(IDS),
        "repeated": st.none() | st.sampled_from(IDS),
        # What a look-up of each would answer; without any what is not listed is missing.
        "found": st.none() | st.fixed_dictionaries(dict.fromkeys(IDS, FOUND)),
    }
)


class Memory(RuleBasedStateMachine):
    """A server's world moves; runs poll it, land, and are loaded at once or late."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = self.connect()
        self.model = Model()
        self.now = START
        self.skew = timedelta()
        self.error = timedelta()
        self.is_dated = False
        self.older = 0
        self.versions: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.hidden: set[tuple[str, str]] = set()
        self.held: list[Landed] = []
        self.loaded: list[Landed] = []
        self.numbers = itertools.count()

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a connection to new tables."""
        return open_empty()

    @initialize(seconds=st.integers(-400, 400), older=st.integers(0, 3))
    def set_clock(self, seconds: int, older: int) -> None:
        """The server's clock is wrong by some minutes; an older version lands the first runs."""
        self.skew = timedelta(seconds=seconds)
        self.older = older

    @rule(
        seconds=st.sampled_from([0, 0, 3600, -3600, 400, -400, -86400, YEAR_S, -50 * YEAR_S]),
        is_dated=st.booleans(),
    )
    def set_client_clock(self, seconds: int, *, is_dated: bool) -> None:
        """The client's clock is set: right, or forward or back; the server says its own, or not."""
        self.error = timedelta(seconds=seconds)
        self.is_dated = is_dated

    def clock(self) -> datetime:
        """Return the present as the client's clock says it."""
        return self.now + self.error

    def instant(self) -> str:
        """Return the server's present as it sends it."""
        return (self.now + self.skew).isoformat()

    @rule(
        key=st.tuples(st.sampled_from(SESSIONS), st.sampled_from(IDS)),
        status=st.sampled_from(STATUSES),
        reason=st.sampled_from([None, "end_turn", "whim"]),
        colour=st.sampled_from([None, "red", 7]),
        is_stamped=st.booleans(),
    )
    def change(
        self,
        key: tuple[str, str],
        status: str,
        reason: str | None,
        colour: str | int | None,
        *,
        is_stamped: bool,
    ) -> None:
        """A thread is born or changes; some changes leave updated_at as it was."""
        versions = self.versions.setdefault(key, [])
        self.now += timedelta(seconds=7)
        born = versions[0]["created_at"] if versions else self.instant()
        updated = self.instant() if is_stamped or not versions else versions[-1]["updated_at"]
        thread = {"id": key[1], "status": status, "created_at": born, "updated_at": updated}
        thread |= {"stop_reason": {"type": reason}} if reason else {}
        thread |= {"colour": colour} if colour else {}
        versions.append(thread)

    @rule(key=st.tuples(st.sampled_from(SESSIONS), st.sampled_from(IDS)))
    def hide_or_show(self, key: tuple[str, str]) -> None:
        """A thread vanishes from the listing, or comes back."""
        self.hidden ^= {key}

    @rule(answers=st.tuples(ANSWERS, ANSWERS), is_late=st.sampled_from([False, False, True]))
    def run(self, answers: tuple[dict[str, Any], ...], *, is_late: bool) -> None:
        """A run polls every session; another may overtake it before it is loaded."""
        self.now += timedelta(minutes=5)
        begun = self.clock()
        polls, pages = [], []
        for session, answer in zip(SESSIONS, answers, strict=True):
            poll, rows = self.poll(session, **answer)
            polls.append(poll)
            pages += rows
        # The numbers of killed runs are missing.
        number = 2 * next(self.numbers)
        run = Run(
            id=f"run-{number}",
            sequence=number if number >= 2 * self.older else None,
            started_at=begun,
            finished_at=self.clock(),
        )
        landed = Landed(run, polls, pl.DataFrame(pages, schema=PAGES, orient="row"))
        if is_late:
            self.held.append(landed)
        else:
            self.load(landed)

    @precondition(lambda self: self.held)
    @rule()
    def catch_up(self) -> None:
        """A run that was overtaken is loaded at last."""
        self.load(self.held.pop(0))

    def poll(
        self,
        session: str,
        *,
        outcome: str,
        is_filtered: bool,
        cut: int,
        lagging: str | None,
        repeated: str | None,
        found: dict[str, int | None] | None,
    ) -> tuple[Poll, list[tuple[Any, ...]]]:
        """Return a session's poll and pages: one thread a page, one of them perhaps twice."""
        started = self.clock()
        ids = [id_ for id_ in IDS if (session, id_) in self.versions]
        ids = [id_ for id_ in ids if (session, id_) not in self.hidden]
        ids += [repeated] if repeated in ids else []
        ids = {"complete": ids, "incomplete": ids[:cut]}.get(outcome, [])
        bodies = []
        for id_ in ids:
            versions = self.versions[(session, id_)]
            is_behind = id_ == lagging and len(versions) > 1
            bodies.append([versions[-2 if is_behind else -1]])
        if outcome == "complete" and not bodies:
            bodies = [[]]
        rows: list[tuple[Any, ...]] = []
        for number, threads in enumerate(bodies, 1):
            self.now += timedelta(seconds=3)
            body = json.dumps({"data": threads}).encode()
            rows.append(("qoder", "threads", session, number, None, self.clock(), 200, body))
        pages = len(rows)
        is_whole = outcome == "complete" and not is_filtered
        unlisted = [id_ for id_ in IDS if is_whole and (session, id_) in self.hidden]
        unlisted = [id_ for id_ in unlisted if (session, id_) in self.versions]
        answers = {id_: found[id_] for id_ in unlisted if found and found[id_]}
        for number, (id_, status) in enumerate(answers.items(), 1):
            self.now += timedelta(seconds=2)
            thread = self.versions[(session, id_)][-2 if id_ == lagging else -1 :][0]
            body = json.dumps(thread).encode() if status == 200 else b""
            cursor = f"thread_id={id_}"
            rows.append(("qoder", "thread", session, number, cursor, self.clock(), status, body))
        self.now += timedelta(seconds=1)
        listed = {thread["id"] for threads in bodies for thread in threads}
        skew = self.error - self.skew
        poll = Poll(
            source="qoder",
            session_id=session,
            label=None,
            started_at=started,
            finished_at=self.clock(),
            outcome=outcome,
            end_reason="has_more_false" if outcome == "complete" else "error",
            status_filter="idle,hibernating" if is_filtered else None,
            pages=pages,
            requests=1,
            retries=0,
            wait_seconds=0.0,
            bytes=0,
            threads_listed=len(listed),
            duplicates=len(ids) - len(set(ids)),
            clock_skew_seconds=skew.total_seconds() if self.is_dated else None,
            threads_unlisted=len(unlisted),
            lookups=len(answers),
            threads_unconfirmed=len(unlisted) - len(answers) if found else 0,
            missing_rule="not_found" if found else "unlisted",
        )
        return poll, rows

    def load(self, landed: Landed) -> None:
        """Load a run into the tables and the model, and hold the two against each other."""
        load_run(self.connection, landed)
        self.loaded.append(landed)
        self.model.load(
            landed.run,
            [(poll, self.listed(landed, poll), self.gone(landed, poll)) for poll in landed.polls],
        )
        assert dump(self.connection) == self.model.dump()

    @staticmethod
    def listed(landed: Landed, poll: Poll) -> list[Listed]:
        """Return what a poll's pages listed, and its look-ups gave, in order."""
        pages = landed.pages.filter(session_id=poll.session_id, status=200)
        return [
            Listed(observed_at, thread)
            for observed_at, body in pages.select("observed_at", "body").iter_rows()
            for thread in json.loads(body).get("data", [json.loads(body)])
        ]

    @staticmethod
    def gone(landed: Landed, poll: Poll) -> set[str]:
        """Return the threads that a poll's look-ups did not find."""
        pages = landed.pages.filter(session_id=poll.session_id, status=404)
        return {cursor.removeprefix("thread_id=") for cursor in pages["cursor"]}

    def teardown(self) -> None:
        """Loaded again, in any order, twice, nothing changes; loaded anew, all is the same."""
        before = dump(self.connection)
        again = sorted(self.loaded * 2, key=lambda landed: hash(landed.run.id))
        for landed in again:
            load_run(self.connection, landed)
        assert dump(self.connection) == before
        for number, landed in enumerate(again):
            renamed = Run(
                id=f"again-{number}",
                sequence=landed.run.sequence,
                started_at=landed.run.started_at,
                finished_at=landed.run.finished_at,
            )
            load_run(self.connection, Landed(renamed, landed.polls, landed.pages))
        after = dump(self.connection)
        for name in ("threads", "history", "spells", "drift"):
            assert after[name] == before[name]
        with self.connect() as connection:
            for landed in self.loaded:
                load_run(connection, landed)
            assert dump(connection) == before
        self.connection.close()


def dump(connection: duckdb.DuckDBPyConnection) -> dict[str, list[dict[str, Any]]]:
    """Return the tables' rows, sorted, without the columns that are null in all of this world."""
    tables = {}
    for name, query in TABLES.items():
        result = connection.execute(f"FROM ({query}) ORDER BY ALL")
        names = [column[0] for column in result.description]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        tables[name] = [{k: v for k, v in row.items() if v is not None} for row in rows]
    return tables


TestMemory = Memory.TestCase
IS_SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
TestMemory.settings = settings(
    max_examples=1000 if IS_SOAK else 2, stateful_step_count=60 if IS_SOAK else 30
)

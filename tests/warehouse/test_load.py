"""Loading runs: what changes, what does not, and what is undone."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import polars as pl
import pytest

from pipelines.errors import LandingError, WarehouseBusy, WarehouseError, WarehouseNewer
from pipelines.frames import threads as frames
from pipelines.frames.threads import THREADS
from pipelines.http.bodies import MAX_DEPTH
from pipelines.landing.directory import RAW, list_runs
from pipelines.landing.format import read_run
from pipelines.landing.store import Directory
from pipelines.warehouse.duckdb_file import WAREHOUSE, DuckdbFile
from pipelines.warehouse.history import read_history
from pipelines.warehouse.load import load_run
from pipelines.warehouse.sql import limit_memory
from pipelines.warehouse.staged import INCOMING
from tests.builders import DAY, SESSION, at, land, load, load_all, publish_all, read, thread
from tests.empty import open_tables

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


pytestmark = [pytest.mark.slow, pytest.mark.loads]  # together they take long


def state(home: Path) -> dict[str, tuple[Any, ...]]:
    """Return thread -> status, first seen, last changed, missing since, as minutes of the day."""
    rows = read(
        home,
        f"""
        SELECT thread_id, status, COLUMNS(['first_seen_at', 'last_changed_at', 'missing_since'])
        FROM threads WHERE session_id = '{SESSION}' ORDER BY thread_id
        """,
    )

    def minutes(moment: datetime | None) -> float | None:
        return (moment - DAY).total_seconds() / 60 if moment else None

    return {
        row["thread_id"]: (
            row["status"],
            *(minutes(row[c]) for c in ("first_seen_at", "last_changed_at", "missing_since")),
        )
        for row in rows
    }


def counts(row: dict[str, Any]) -> tuple[int, ...]:
    """Return new, changed, unchanged, missing and regressed threads of a ledger row."""
    kinds = ("new", "changed", "unchanged", "missing", "regressed")
    return tuple(row[f"threads_{kind}"] for kind in kinds)


@pytest.mark.anywhere
def test_insert_change_unchanged_missing(home: Path) -> None:
    """A poll tells new, changed, unchanged and missing threads apart, and stamps only changes."""
    assert counts(load(home, 0, thread("a"), thread("b"), thread("c"))) == (3, 0, 0, 0, 0)
    second = load(home, 10, thread("a"), thread("b", "idle", updated=5), thread("d"))
    assert counts(second) == (1, 1, 1, 1, 0)
    assert state(home) == {
        "a": ("running", 0.5, 0.5, None),
        "b": ("idle", 0.5, 10.5, None),
        "c": ("running", 0.5, 0.5, 10.0),
        "d": ("running", 10.5, 10.5, None),
    }


@pytest.mark.anywhere
def test_return(home: Path) -> None:
    """A thread that comes back is missing no longer, and that is a change."""
    load(home, 0, thread("a"))
    assert counts(load(home, 10)) == (0, 0, 0, 1, 0)
    assert counts(load(home, 20)) == (0, 0, 0, 0, 0)
    assert state(home) == {"a": ("running", 0.5, 0.5, 10.0)}
    assert counts(load(home, 30, thread("a"))) == (0, 1, 0, 0, 0)
    assert state(home) == {"a": ("running", 0.5, 30.5, None)}


@pytest.mark.anywhere
@pytest.mark.parametrize("outcome", ["incomplete", "failed", "gone", "forbidden"])
def test_only_complete_polls_retire(home: Path, outcome: str) -> None:
    """A poll that did not end well retires no thread, and applies what it saw."""
    load(home, 0, thread("a"), thread("b"))
    row = load(home, 10, thread("b", "idle", updated=5), outcome=outcome)
    assert counts(row) == (0, 1, 0, 0, 0)
    assert state(home) == {"a": ("running", 0.5, 0.5, None), "b": ("idle", 0.5, 10.5, None)}


@pytest.mark.anywhere
def test_filtered_polls_do_not_retire(home: Path) -> None:
    """A poll for certain statuses retires nothing."""
    load(home, 0, thread("a"), thread("b", "idle"))
    assert counts(load(home, 10, thread("b", "idle"), status_filter="idle")) == (0, 0, 1, 0, 0)
    assert state(home)["a"][-1] is None


@pytest.mark.anywhere
def test_regressed_thread(home: Path) -> None:
    """A thread whose updated_at went backwards is counted and not applied, and was listed."""
    load(home, 0, thread("a", "idle", updated=5))
    row = load(home, 10, thread("a", "running", updated=4))
    assert (counts(row), state(home)) == ((0, 0, 0, 0, 1), {"a": ("idle", 0.5, 0.5, None)})
    load(home, 20)
    row = load(home, 30, thread("a", "running", updated=4))
    assert (counts(row), state(home)) == ((0, 0, 0, 0, 1), {"a": ("idle", 0.5, 30.5, None)})


@pytest.mark.anywhere
def test_overtaken_poll(home: Path) -> None:
    """A poll that comes before the latest loaded one is recorded as such and changes nothing."""
    load(home, 10, thread("a", "idle", updated=5))
    before = state(home)
    row = load(home, 0, thread("a", "running", updated=9), thread("b"))
    assert (row["outcome"], counts(row), state(home)) == ("overtaken", (0, 0, 0, 0, 0), before)


@pytest.mark.anywhere
def test_order_without_a_clock(home: Path) -> None:
    """Polls come in the order of their numbers, whatever the clock said of when they began."""
    load(home, 20, thread("a", "idle"), thread("b"), sequence=1)
    row = load(home, 0, thread("a", "running", updated=1), sequence=2)
    assert (row["outcome"], row["sequence"], counts(row)) == ("complete", 2, (0, 1, 0, 1, 0))
    assert state(home) == {"a": ("running", 20.5, 0.5, None), "b": ("running", 20.5, 20.5, 0.0)}
    land(home, 40, thread("a", "idle", updated=40), sequence=4, run_id="later")
    land(home, 60, thread("a", "blocked", updated=39), sequence=3, run_id="earlier")
    assert load_all(home) == ["earlier", "later"]
    assert state(home)["a"] == ("idle", 20.5, 40.5, None)
    assert load(home, 80, sequence=4, run_id="same")["outcome"] == "overtaken"


@pytest.mark.anywhere
def test_clock_set_back(home: Path) -> None:
    """If the clock is set back between two polls, the bounds of a change stay in order."""
    load(home, 10, thread("a", "idle"), sequence=1)
    load(home, 90, thread("a", "idle"), sequence=2)
    load(home, 30, thread("a", "running"), sequence=3)
    (row,) = read(home, "FROM thread_status_history WHERE spell = 2")
    assert row["changed_after"] <= row["changed_at"] <= row["observed_from"] == at(30.5)
    (row,) = read(home, "FROM thread_spells WHERE spell = 1")
    assert row["seconds_low"] <= row["seconds"] <= row["seconds_high"]


def test_numbers_go_on_from_the_ledger(home: Path) -> None:
    """The highest number of the ledger is known without the landed files, and waits for nobody."""
    assert DuckdbFile(home).newest_sequence() == 0
    load(home, 0, thread("a"), sequence=None)
    assert DuckdbFile(home).newest_sequence() == 0
    load(home, 1, thread("a"), sequence=7)
    assert DuckdbFile(home).newest_sequence() == 7
    with DuckdbFile(home).write():
        assert DuckdbFile(home).newest_sequence() == 0
    publish_all(home, {})
    with DuckdbFile(home).write():
        assert DuckdbFile(home).newest_sequence() == 7


def test_numbers_of_the_copy(home: Path) -> None:
    """What was read of the copy is taken as long as nothing was written since, also to the log."""
    load(home, 1, thread("a"), sequence=7)
    assert DuckdbFile(home).newest_sequence(99) == 7
    publish_all(home, {})
    with DuckdbFile(home).write():
        pass  # nothing is written
    assert read_history(DuckdbFile(home)).newest_sequence == 7
    assert DuckdbFile(home).newest_sequence(99) == 99
    with duckdb.connect(home / WAREHOUSE) as tables:
        tables.execute("PRAGMA disable_checkpoint_on_shutdown")
        tables.execute("UPDATE runs SET sequence = 8")
    assert DuckdbFile(home).newest_sequence(99) == 8
    load(home, 2, thread("a"), sequence=9)
    assert DuckdbFile(home).newest_sequence(99) == 9


@pytest.mark.anywhere
def test_pending_runs_load_in_order(home: Path) -> None:
    """Runs that landed and were not loaded are loaded first to last, each once."""
    land(home, 10, thread("a", "idle", updated=5))
    land(home, 0, thread("a"))
    assert load_all(home) == ["run-0", "run-10"]
    assert load_all(home) == []
    assert state(home) == {"a": ("idle", 0.5, 10.5, None)}


@pytest.mark.anywhere
def test_loading_again_changes_nothing(home: Path) -> None:
    """A run that is already in the ledger is a no-op."""
    load(home, 0, thread("a"))
    load(home, 10, thread("b"))
    before = {table: read(home, f"FROM {table}") for table in ("threads", "session_polls")}
    with open_tables(home).write() as connection:
        connection.execute("DELETE FROM runs")
    assert load_all(home) == ["run-0", "run-10"]
    assert {table: read(home, f"FROM {table}") for table in before} == before


CHANGES: dict[str, Any] = {
    "parent_thread_id": "p",
    "role": "child",
    "name": "n",
    "created_by_tool_use_id": "u",
    "workflow_run_id": "w",
    "agent_id": "a",
    "agent_version": 2,
    "status": "idle",
    "stop_reason": {"type": "x"},
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-12-01T00:00:00Z",
    "archived_at": "2026-12-01T00:00:00Z",
    "usage": {"tokens": 1},
    "unheard_of": 1,
    "agent": {"type": "agent"},
    "agent.name": {"agent": {"name": "x"}},
    "agent.model": {"agent": {"model": "x"}},
    "active_seconds": {"stats": {"active_seconds": 1}},
    "duration_seconds": {"stats": {"duration_seconds": 1}},
    "startup_seconds": {"stats": {"startup_seconds": 1}},
    "stop_reason.event_ids": {"stop_reason": {"event_ids": ["e"]}},
}


@pytest.mark.anywhere
def test_columns_that_are_new(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that a version adds fills with the next poll, of unchanged sessions too.

    What tells is how pages are read, not the version: one that reads alike looks at nothing again.
    """
    odd = thread("a", agent={"type": "advisor"})
    load(home, 0, odd)
    with open_tables(home).write() as connection:
        connection.execute("UPDATE threads SET agent_type = 'by hand'")
    monkeypatch.setattr("pipelines.__version__", "99")
    assert counts(load(home, 10, odd)) == (0, 0, 1, 0, 0)
    assert read(home, "SELECT agent_type FROM threads") == [{"agent_type": "by hand"}]
    with open_tables(home).write() as connection:
        connection.execute("ALTER TABLE threads ADD COLUMN agent_kind VARCHAR")
    schema = pl.Schema({**THREADS, "agent_kind": pl.String()})
    monkeypatch.setattr(frames, "THREADS", schema)
    monkeypatch.setitem(INCOMING, "threads", schema)
    monkeypatch.setitem(frames.DERIVED, "agent_kind", pl.col("agent.type"))
    assert counts(load(home, 20, odd)) == (0, 1, 0, 0, 0)
    assert read(home, "SELECT agent_type, agent_kind FROM threads") == [
        {"agent_type": "advisor", "agent_kind": "advisor"}
    ]
    assert counts(load(home, 30, odd)) == (0, 0, 1, 0, 0)


@pytest.mark.anywhere
def test_every_column_counts_as_a_change(home: Path) -> None:
    """A change of any field, one in each thread, is a change of the thread."""
    changed = []
    for key, value in CHANGES.items():
        nested = isinstance(value, dict) and key not in {"stop_reason", "usage", "agent"}
        changed.append(thread(key) | (value if nested else {key: value}))
    number = len(CHANGES)
    load(home, 0, *map(thread, CHANGES), thread("still"))
    assert counts(load(home, 10, *changed, thread("still"))) == (0, number, 1, 0, 0)
    assert {key: row[2] for key, row in state(home).items()} == (
        dict.fromkeys(CHANGES, 10.5) | {"still": 0.5}
    )
    assert counts(load(home, 20, *changed, thread("still"))) == (0, 0, number + 1, 0, 0)


def test_changes_cover_every_column(home: Path) -> None:
    """The changes above touch every column that comes from the server."""
    load(home, 0, thread("a"))
    with open_tables(home).write() as connection:
        table = [row[0] for row in connection.execute("DESCRIBE threads").fetchall()]
    known = {"source", "session_id", "thread_id", "first_seen_at", "last_changed_at"}
    known |= {"last_changed_sequence", "missing_since", "missing_sequence", "observed_at"}
    known |= {"growing", "digest", "grows", "cost_amount", "cost_currency"}
    known |= {f"{kind}_tokens" for kind in ("input", "output", "cache_read", "cache_write")}
    assert set(THREADS) - known == set(table) - known
    derived = {"is_open", "extra", "agent_type", "stop_reason_type", "agent_name", "agent_model"}
    assert set(table) - known - derived <= set(CHANGES)


@pytest.mark.anywhere
def test_run_row(home: Path) -> None:
    """A run's row counts its sessions by outcome."""
    load(home, 0, thread("a"), outcome="incomplete")
    (row,) = read(home, "FROM runs")
    outcomes = ("complete", "incomplete", "gone", "forbidden", "failed", "overtaken")
    assert [row[f"sessions_{outcome}"] for outcome in outcomes] == [0, 1, 0, 0, 0, 0]
    assert (row["run_id"], row["started_at"], row["finished_at"]) == ("run-0", at(0), at(1))
    assert (row["sequence"], row["version"], row["door"]) == (1, "1", "unknown")


@pytest.mark.anywhere
def test_violated_check_undoes_the_run(home: Path) -> None:
    """A row listed twice undoes the whole load, and the error says which row."""
    load(home, 0, thread("a"))
    with open_tables(home).write() as connection:
        connection.execute("INSERT INTO threads FROM threads")
    land(home, 10, thread("b"))
    with pytest.raises(
        WarehouseError, match=r"run-10 is not loaded: thread a of session sess_1.*twice"
    ):
        load_all(home)
    assert [row["run_id"] for row in read(home, "SELECT run_id FROM runs")] == ["run-0"]
    assert set(state(home)) == {"a"}


@pytest.mark.anywhere
@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("session_polls", "session sess_1 of source qoder is twice in session_polls"),
        ("runs", "it is twice in runs"),
        ("schema_drift", "colour string is twice in schema_drift"),
        ("spells_unseen", "thread a of session sess_1 of source qoder is twice in spells_unseen"),
    ],
)
def test_doubled_rows_undo_the_run(home: Path, table: str, found: str) -> None:
    """A row that is twice in any table undoes the load, and the error says which."""
    load(home, 0, thread("a", colour="red"), outcome="incomplete")
    land(home, 10, thread("a", colour="red"), outcome="incomplete")
    first, second = list_runs(Directory(home / RAW)).values()
    with open_tables(home).write() as connection:
        connection.execute(f"INSERT INTO {table} FROM {table}")
        before = connection.execute(f"FROM {table}").fetchall()
        path = second if table == "spells_unseen" else first
        with pytest.raises(WarehouseError, match=f"is not loaded: {found}"):
            load_run(connection, read_run(path))
        assert connection.execute(f"FROM {table}").fetchall() == before


def test_damaged_file(home: Path) -> None:
    """A damaged landed file is named, and the tables stay as they were."""
    load(home, 0, thread("a"))
    path = home / RAW / "20261001T010000000000Z-run-x.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(LandingError, match=r"run-x\.parquet: not a landed run"):
        load_all(home)
    assert set(state(home)) == {"a"}


@pytest.mark.anywhere
def test_deep_thread(home: Path) -> None:
    """A thread that nests as deeply as is let in is loaded whole, whatever is on the stack."""
    deep: Any = 1
    for _ in range(MAX_DEPTH - 2):
        deep = {"k": deep}

    def descend(levels: int) -> None:
        if levels:
            descend(levels - 1)
        else:
            load(home, 0, thread("a", deep=deep))

    descend(300)
    (row,) = read(home, "SELECT extra FROM threads")
    assert msgspec.json.decode(row["extra"]) == {"deep": deep}


def test_more_memory_than_is_given(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load takes what it needs if the memory it is given is not enough."""
    limits: list[int | None] = []

    def limit(tables: duckdb.DuckDBPyConnection, megabytes: int | None) -> None:
        limits.append(megabytes)
        limit_memory(tables, megabytes)

    monkeypatch.setattr("pipelines.warehouse.load.limit_memory", limit)
    monkeypatch.setattr("pipelines.warehouse.load.MEMORY_MB", 24)
    load(home, 0, *(thread(f"t{n}", name="x" * 200, colour=n) for n in range(60_000)))
    assert limits == [24, None, None]
    assert read(home, "SELECT count(*) AS n FROM threads") == [{"n": 60_000}]


def test_newer_warehouse(home: Path) -> None:
    """A warehouse of a newer version is rejected."""
    load(home, 0, thread("a"))
    with open_tables(home).write() as connection:
        connection.execute("INSERT INTO schema_version (version, name) VALUES (999, '0999_future')")
    with pytest.raises(WarehouseNewer, match=r"schema 999.*Upgrade"), DuckdbFile(home).write():
        pass


def test_busy_warehouse(home: Path, tmp_path: Path) -> None:
    """A warehouse that another process has open is reported as busy."""
    load(home, 0, thread("a"))
    script = tmp_path / "hold.py"
    script.write_text(
        "import duckdb, sys\n"
        f"connection = duckdb.connect({str(home / 'warehouse.duckdb')!r})\n"
        "print('open', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(WarehouseBusy, match=r"another program has it open.*PID"):
            load_all(home)
        holder.communicate()


def test_everything_is_commented(home: Path) -> None:
    """Every table, view and column of the schema has a comment."""
    load(home, 0)
    missing = read(
        home,
        """
        SELECT table_name, NULL AS column_name FROM duckdb_tables() WHERE comment IS NULL
        UNION ALL SELECT view_name, NULL FROM duckdb_views() WHERE comment IS NULL AND NOT internal
        UNION ALL SELECT table_name, column_name FROM duckdb_columns() AS columns
        SEMI JOIN duckdb_tables() AS tables USING (table_name)
        WHERE columns.comment IS NULL AND NOT columns.internal
        """,
    )
    assert missing == []


def test_files_are_private(home: Path) -> None:
    """The data directory and what lies in it belong to their owner alone."""
    load(home, 0, thread("a"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (home, *home.rglob("*"))}
    assert {oct(mode) for name, mode in modes.items() if "." in name} == {"0o600"}
    assert {oct(mode) for name, mode in modes.items() if "." not in name} == {"0o700"}

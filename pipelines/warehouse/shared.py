"""What several analyses read is computed once while all of them are built, side by side.

A temporary view or table hides a view of the same name, from other views and macros too: queries
stay as they are, and give the same when they are pasted where there is only the view.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

import duckdb

from pipelines.warehouse.sql import is_open, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Views that more than one analysis reads, each after those that it reads itself.
SHARED = (
    *("latest_polls", "status_names", "unwatched_sessions"),
    *("group_names", "source_as_of"),
)
# Of a lake the tables, once: each query that reads one asks the catalog for its files and rows.
TABLES = (
    *("threads", "thread_status_history", "spells_unseen", "silences", "statuses", "sessions"),
    *("session_polls", "source_polls", "session_evidence", "evidence_trials", "runs"),
    *("schema_drift", "unannounced_changes", "analysis_settings"),
)
IS_LAKE = """
    SELECT type = 'ducklake' FROM duckdb_databases() WHERE database_name = current_database()
"""
# The database in memory that holds them, for all connections of this process.
STORE = "computed_once"


@contextmanager
def shared_views(lanes: Sequence[duckdb.DuckDBPyConnection]) -> Iterator[None]:
    """Put what it gives before each of the shared views, on these connections, for the block.

    If one cannot be computed, there are none: whoever reads the view will say what is wrong.
    """
    with _tables(lanes[0], SHARED) if len(lanes) == 1 else _views(lanes):
        yield


@contextmanager
def copied_tables(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let this connection read copies of a lake's tables, if it is in a transaction of one."""
    is_lake = is_open(connection) and connection.execute(IS_LAKE).fetchall() == [(True,)]
    with _tables(connection, TABLES) if is_lake else nullcontext():
        yield


@contextmanager
def _tables(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> Iterator[None]:
    try:
        with suppress(duckdb.Error), transaction(connection):
            for name in names:
                connection.execute(f"CREATE TEMP TABLE {name} AS FROM {name}")
        yield
    finally:
        connection.execute("; ".join(f"DROP TABLE IF EXISTS temp.{name}" for name in names))


@contextmanager
def _views(lanes: Sequence[duckdb.DuckDBPyConnection]) -> Iterator[None]:
    views = [f"CREATE TEMP VIEW {name} AS FROM {STORE}.{name}" for name in SHARED]
    lanes[0].execute(f"ATTACH ':memory:' AS {STORE}")
    try:
        with suppress(duckdb.Error):
            with transaction(lanes[0]):
                for name, view in zip(SHARED, views, strict=True):
                    lanes[0].execute(f"CREATE TABLE {STORE}.{name} AS FROM {name}; {view}")
            for lane in lanes[1:]:
                lane.execute("; ".join(views))
        yield
    finally:
        for lane in lanes:
            lane.execute(";".join(f"DROP VIEW IF EXISTS temp.{name}" for name in SHARED))
        lanes[0].execute(f"DETACH {STORE}")

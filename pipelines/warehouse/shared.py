"""What several analyses read is computed once while all of them are built.

A temporary table hides a view of the same name, from other views and macros too: queries stay as
they are, and give the same when they are pasted where there is only the view.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import duckdb

from pipelines.warehouse.sql import transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

# Views that more than one analysis reads, each after those that it reads itself.
SHARED = (
    "latest_polls",
    "status_names",
    "parent_threads",
    "unwatched_sessions",
    "group_names",
    "source_as_of",
    "open_changes",
)
# Of a lake also the tables: each query that reads one asks the catalog for its files and rows.
TABLES = (
    *("threads", "thread_status_history", "spells_unseen", "silences", "statuses", "sessions"),
    *("session_polls", "source_polls", "session_evidence", "evidence_trials", "runs"),
    *("schema_drift", "unannounced_changes", "analysis_settings"),
)
IS_LAKE = """
    SELECT type = 'ducklake' FROM duckdb_databases() WHERE database_name = current_database()
"""


@contextmanager
def shared_views(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Put a temporary table before each of the shared views while the block runs.

    If one cannot be computed, there are none: whoever reads the view will say what is wrong.
    """
    is_lake = connection.execute(IS_LAKE).fetchall() == [(True,)]
    names = (*(TABLES if is_lake else ()), *SHARED)
    try:
        with suppress(duckdb.Error), transaction(connection):
            for name in names:
                connection.execute(f"CREATE TEMP TABLE {name} AS FROM {name}")
        yield
    finally:
        connection.execute(";".join(f"DROP TABLE IF EXISTS temp.{name}" for name in names))

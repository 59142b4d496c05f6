"""What keeps a lake's files few: without it each poll leaves some, and none ever goes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pipelines.warehouse.analysis import SCHEMA
from pipelines.warehouse.sql import quote, transaction

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

# How long a snapshot can be read that is not published, and a file that nothing reads any more.
SNAPSHOT_AGE = timedelta(days=7)
FILE_AGE = timedelta(days=1)
# As many rows of a change are in the catalog, and no file: an analysis is made anew, whole.
INLINED_ROWS = 1000
INLINING = "CALL lake.set_option('data_inlining_row_limit', {}, {} => {})"
TABLES = """
    SELECT table_name FROM duckdb_tables()
    WHERE database_name = 'lake' AND schema_name = 'main' AND NOT internal
"""
EXPIRED = "SELECT snapshot_id FROM lake.snapshots() WHERE snapshot_time < ? AND snapshot_id < ?"
COUNT = "SELECT count(*) FROM lake.snapshots()"
NEWEST = "FROM ducklake_current_snapshot('lake')"
# Inlined rows into files, files without their deleted rows, small files into larger ones.
COMPACT = (
    "CALL ducklake_flush_inlined_data('lake')",
    "CALL ducklake_rewrite_data_files('lake', delete_threshold => 0)",
    "CALL ducklake_merge_adjacent_files('lake')",
)
EXPIRE = "CALL ducklake_expire_snapshots('lake', versions => {})"
# Files of expired snapshots, and those of loads that came to no end.
REMOVE = (
    "CALL ducklake_cleanup_old_files('lake', older_than => ?)",
    "CALL ducklake_delete_orphaned_files('lake', older_than => ?)",
)


def limit_inlining(tables: duckdb.DuckDBPyConnection) -> None:
    """Say of each table how many rows of a change are kept in the catalog.

    Said once for all of them it ends the process as soon as there is a view.
    """
    with transaction(tables):
        for (name,) in tables.execute(TABLES).fetchall():
            tables.execute(INLINING.format(INLINED_ROWS, "table_name", quote(name)))
        tables.execute(INLINING.format(0, "schema", quote(SCHEMA)))


def maintain(tables: duckdb.DuckDBPyConnection, now: datetime, published: int | None) -> int:
    """Compact the files, and remove what is old and not published; return the newest snapshot."""
    for statement in COMPACT:
        tables.execute(statement)
    newest = count(tables, NEWEST)
    kept = newest if published is None else published
    rows = tables.execute(EXPIRED, [now - SNAPSHOT_AGE, kept]).fetchall()
    if rows:
        tables.execute(EXPIRE.format([number for (number,) in rows]))
    for statement in REMOVE:
        tables.execute(statement, [now - FILE_AGE])
    return newest


def count(tables: duckdb.DuckDBPyConnection, query: str = COUNT) -> int:
    """Return a query's number: by default of the snapshots that can be read."""
    return int(tables.execute(query).fetchall()[0][0])

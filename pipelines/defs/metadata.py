"""What a materialization tells Dagster: numbers that plot over time, and the table's schema."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from pipelines.api.poll import Poll
from pipelines.warehouse.analyses import SCHEMA, Analysis
from pipelines.warehouse.database import fetch_records, quote_name

Metadata = dict[str, Any]
PREVIEW_ROWS = 10


def describe_polls(path: Path, polls: Sequence[Poll]) -> Metadata:
    """Return what the polls cost."""
    begun = min((poll.started_at for poll in polls), default=None)
    ended = max((poll.finished_at for poll in polls), default=None)
    return {
        "path": dg.MetadataValue.path(str(path)),
        "sessions": len(polls),
        "sessions_complete": sum(poll.outcome == "complete" for poll in polls),
        "pages": sum(poll.pages for poll in polls),
        "threads": sum(poll.threads_listed for poll in polls),
        "requests": sum(poll.requests for poll in polls),
        "retries": sum(poll.retries for poll in polls),
        "bytes": sum(poll.bytes for poll in polls),
        "wait_seconds": float(sum(poll.wait_seconds for poll in polls)),
        "seconds": (ended - begun).total_seconds() if begun and ended else 0.0,
    }


def describe_ledger(ledger: Sequence[Mapping[str, Any]]) -> Metadata:
    """Return what the load changed."""
    kinds = ("new", "changed", "unchanged", "missing", "regressed")
    counts: Metadata = {
        f"rows_{kind}": sum(row[f"threads_{kind}"] for row in ledger) for kind in kinds
    }
    return counts | {"sessions": len(ledger)}


def describe_analysis(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Metadata:
    """Return what `describe_table` does, and the first rows; nothing where there is no table."""
    found = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?",
        [SCHEMA, analysis.name],
    ).fetchone()
    if found == (0,):
        return {}
    first = f"SELECT COLUMNS(*)::VARCHAR FROM {analysis.table} LIMIT {PREVIEW_ROWS}"  # noqa: S608
    rows = fetch_records(connection, first)
    preview = [dg.TableRecord({name: value or "" for name, value in row.items()}) for row in rows]
    described = describe_table(connection, SCHEMA, analysis.name)
    if preview:
        described["preview"] = dg.MetadataValue.table(preview)
    return described


def describe_table(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> Metadata:
    """Return the row count and the columns with their comments."""
    columns = fetch_records(
        connection,
        "SELECT column_name, data_type, comment FROM duckdb_columns()"
        " WHERE schema_name = ? AND table_name = ? AND database_name = current_database()"
        " ORDER BY column_index",
        [schema, table],
    )
    counted = connection.execute(f"SELECT count(*) FROM {schema}.{quote_name(table)}").fetchone()  # noqa: S608
    described = [
        dg.TableColumn(
            str(column["column_name"]), str(column["data_type"]), str(column["comment"] or "")
        )
        for column in columns
    ]
    return {
        "dagster/row_count": counted[0] if counted else 0,
        "dagster/column_schema": dg.TableSchema(described),
    }

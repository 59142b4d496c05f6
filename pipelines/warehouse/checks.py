"""What must hold of the table of an analysis: its columns, its checks, its warnings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import duckdb

from pipelines.warehouse.analysis import BUILT
from pipelines.warehouse.sql import fetch_records, quote, quote_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.warehouse.analysis import Analysis


def read_types(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> dict[str, str]:
    """Return column -> type of the table, in order."""
    described = fetch_records(connection, f"DESCRIBE {analysis.table}")
    return {str(column["column_name"]): str(column["column_type"]) for column in described}


def _write_comments(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> None:
    table = analysis.table
    statements = [f"COMMENT ON TABLE {table} IS {quote(analysis.description)}"]
    statements += [
        f"COMMENT ON COLUMN {table}.{quote_name(column)} IS {quote(meaning)}"
        for column, meaning in analysis.header.columns.items()
    ]
    connection.execute(";\n".join(statements))


def find_failures(
    connection: duckdb.DuckDBPyConnection, analysis: Analysis, types: Mapping[str, str]
) -> dict[str, str]:
    """Comment the new table and check it; return check -> what it found."""
    if list(types) != list(analysis.header.columns):
        problem = (
            f"analysis {analysis.name}: the query gives the columns {list(types)},"
            f" the header describes {list(analysis.header.columns)}"
        )
        return {BUILT: problem}
    _write_comments(connection, analysis)
    failures = {}
    for check, found in _find_first(connection, analysis.header.checks).items():
        row = ", ".join(f"{name}={value}" for name, value in found.items())
        failures[check] = f"analysis {analysis.name}: check {check} found {row}"
    return failures


def _find_first(
    connection: duckdb.DuckDBPyConnection, checks: Mapping[str, str]
) -> dict[str, dict[str, object]]:
    """Return the first row that each check finds, if it finds one, by one query for all of them."""
    queries = [
        f"SELECT {quote(check)}, to_json(found)::VARCHAR FROM (\n{query}\nLIMIT 1) AS found"  # noqa: S608 - the file's
        for check, query in checks.items()
    ]
    rows = connection.execute(" UNION ALL ".join(queries)).fetchall() if queries else []
    return {check: json.loads(row) for check, row in rows}


def read_warnings(
    connection: duckdb.DuckDBPyConnection, analysis: Analysis, limit: int
) -> dict[str, list[dict[str, str | None]]]:
    """Return what each warning of a built analysis finds: its first rows, as text.

    A warning whose query fails finds one row, which says so.
    """
    found = {}
    for warning, query in analysis.header.warnings.items():
        try:
            found[warning] = _read_texts(connection, query, limit)
        except duckdb.Error as error:
            found[warning] = [{"problem": " ".join(str(error).split())}]
    return found


def _read_texts(
    connection: duckdb.DuckDBPyConnection, query: str, limit: int
) -> list[dict[str, str | None]]:
    first = f"SELECT COLUMNS(*)::VARCHAR FROM (\n{query}\n) LIMIT {limit}"  # noqa: S608 - the file's
    return fetch_records(connection, first)

"""Build the analyses' tables: commented, and checked before anyone can see them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb
from pydantic import BaseModel

from pipelines.errors import AnalysisError
from pipelines.warehouse.analyses import BUILT, SCHEMA
from pipelines.warehouse.memory import spare_memory
from pipelines.warehouse.sql import fetch_records, quote, quote_name, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipelines.warehouse.analyses import Analysis

KEPT = "The previous table is kept"
LIMIT_S = 300.0
# Half of what the largest analysis would take: spilling the rest costs little time.
THREAD_BYTES, SPELL_BYTES = 400, 100


class Built(BaseModel):
    """What building an analysis gave: its rows, and its columns' types in order."""

    rows: int
    types: dict[str, str]


def build_analysis(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Built:
    """Fill an analysis's table, commented and checked before anyone can see it.

    Raises AnalysisError, and leaves the previous table, if the query fails, its columns are
    not those of the header, or a check finds a row; its `failures` say which.
    """
    try:
        mib = find_memory(connection)
        return spare_memory(connection, mib, lambda: _build_whole(connection, analysis))
    except (duckdb.Error, RuntimeError, AnalysisError) as error:
        with transaction(connection):
            _record_attempt(connection, analysis.name)
        if isinstance(error, AnalysisError):
            raise
        # A RuntimeError if Ctrl-C ends the query.
        problem = f"analysis {analysis.name}: {' '.join(str(error).split())}"
        raise explain({BUILT: problem}) from None


def find_memory(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the MiB that an analysis may hold: so many bytes for a thread, so many for a spell."""
    query = "SELECT (SELECT count(*) FROM threads), (SELECT count(*) FROM thread_status_history)"
    threads, spells = connection.execute(query).fetchall()[0]
    return int(threads * THREAD_BYTES + spells * SPELL_BYTES) // 2**20


def _build_whole(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Built:
    with transaction(connection), time_limit(connection):
        built = _build(connection, analysis)
        _record_attempt(connection, analysis.name)
        return built


@contextmanager
def time_limit(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """End what runs on the connection after LIMIT_S seconds: others wait for the warehouse."""
    timer = threading.Timer(LIMIT_S, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _build(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Built:
    table = analysis.table
    connection.execute(f"CREATE OR REPLACE TABLE {table} AS {analysis.query}")
    types = _read_types(connection, analysis)
    _write_comments(connection, analysis)
    if failures := dict(_find_failures(connection, analysis)):
        raise explain(failures)
    counted = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    return Built(rows=counted[0] if counted else 0, types=types)


def explain(failures: dict[str, str]) -> AnalysisError:
    """Return the failures of an analysis, check -> what it found, as one error."""
    return AnalysisError(f"{'; '.join(failures.values())}. {KEPT}", failures)


def _record_attempt(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    connection.execute("DELETE FROM analysis_builds WHERE name = ?", [name])
    connection.execute("INSERT INTO analysis_builds SELECT ?, count(*) FROM runs", [name])


def build_outdated(
    connection: duckdb.DuckDBPyConnection, analyses: Mapping[str, Analysis]
) -> list[AnalysisError]:
    """Build what was not tried since the newest load, drop what has no file; return what failed.

    Another run may have been loaded since an analysis was built, and all must be of the same load.
    """
    query = "SELECT name FROM analysis_builds WHERE runs = (SELECT count(*) FROM runs)"
    current = {name for (name,) in connection.execute(query).fetchall()}
    drop_orphaned_tables(connection, analyses)
    problems = []
    for name, analysis in analyses.items():
        if name not in current:
            try:
                build_analysis(connection, analysis)
            except AnalysisError as error:
                problems.append(error)
    return problems


def _read_types(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> dict[str, str]:
    described = fetch_records(connection, f"DESCRIBE {analysis.table}")
    types = {str(column["column_name"]): str(column["column_type"]) for column in described}
    if list(types) != list(analysis.header.columns):
        problem = (
            f"analysis {analysis.name}: the query gives the columns {list(types)},"
            f" the header describes {list(analysis.header.columns)}"
        )
        raise explain({BUILT: problem})
    return types


def _write_comments(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> None:
    table = analysis.table
    statements = [f"COMMENT ON TABLE {table} IS {quote(analysis.description)}"]
    statements += [
        f"COMMENT ON COLUMN {table}.{quote_name(column)} IS {quote(meaning)}"
        for column, meaning in analysis.header.columns.items()
    ]
    connection.execute(";\n".join(statements))


def _find_failures(
    connection: duckdb.DuckDBPyConnection, analysis: Analysis
) -> Iterator[tuple[str, str]]:
    for check, query in analysis.header.checks.items():
        if found := _read_texts(connection, query, 1):
            row = ", ".join(f"{name}={value}" for name, value in found[0].items())
            yield check, f"analysis {analysis.name}: check {check} found {row}"


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


def drop_orphaned_tables(
    connection: duckdb.DuckDBPyConnection, analyses: Mapping[str, Analysis]
) -> None:
    """Drop the tables of analyses whose files are gone: nothing would keep them up to date."""
    query = "SELECT table_name FROM duckdb_tables() WHERE schema_name = ?"
    for (name,) in connection.execute(query, [SCHEMA]).fetchall():
        if name not in analyses:
            connection.execute(f"DROP TABLE {SCHEMA}.{quote_name(name)}")
            connection.execute("DELETE FROM analysis_builds WHERE name = ?", [name])


def write_settings(connection: duckdb.DuckDBPyConnection, values: Mapping[str, float]) -> None:
    """Write the settings that analyses read beside the data, if they are not there yet."""
    rows = connection.execute("SELECT name, value FROM analysis_settings").fetchall()
    if dict(rows) != dict(values):
        with transaction(connection):
            connection.execute("DELETE FROM analysis_settings")
            for name, value in values.items():
                connection.execute("INSERT INTO analysis_settings VALUES (?, ?)", [name, value])

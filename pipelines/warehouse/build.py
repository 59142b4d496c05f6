"""Build the analyses' tables: commented, and checked before anyone can see them."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

import duckdb
from pydantic import BaseModel, ConfigDict

from pipelines.errors import AnalysisError
from pipelines.warehouse.analysis import BUILT, SCHEMA, Analysis
from pipelines.warehouse.checks import find_failures, read_types
from pipelines.warehouse.current import (
    find_aged,
    find_current,
    forget_attempts,
    read_inputs,
    record_attempts,
    record_kept,
)
from pipelines.warehouse.lanes import open_lanes, run_lanes, time_limit
from pipelines.warehouse.shared import copied_tables, shared_views
from pipelines.warehouse.sql import limit_memory, quote_name, seal, transaction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEPT = "The previous table is kept"
# By builds, and by a load that comes after one.
TUNED = ("max_memory", "memory_limit", "threads")


class Built(BaseModel):
    """What building an analysis gave: its rows, and its columns' types in order."""

    rows: int
    types: dict[str, str]


class Outcome(BaseModel):
    """How building an analysis went: its new table, or (check -> what it found) why there is none.

    `seconds` is how long it took.
    """

    model_config = ConfigDict(frozen=True)

    analysis: Analysis
    built: Built | None
    failures: dict[str, str]
    seconds: float


def build_all(
    connection: duckdb.DuckDBPyConnection,
    analyses: Mapping[str, Analysis],
    *,
    anew: bool = True,
    memory_mb: int | None = None,
) -> list[Outcome]:
    """Fill the tables of the analyses, in this order; return how each went.

    One that fails keeps its previous table and undoes no other. Unless all are built `anew`, one
    whose inputs have not changed keeps its table; if only ages have, these are updated. What
    queries hold beyond `memory_mb` is on disk, if it can be. Raises KeyboardInterrupt, with nothing
    more built.
    """
    seal(connection, tuned=TUNED)
    if memory_mb is not None:
        limit_memory(connection, memory_mb)
    with copied_tables(connection):
        inputs = read_inputs(connection)
        current = set() if anew else find_current(connection, analyses, inputs)
        outdated = {name: each for name, each in analyses.items() if name not in current}
        outdated |= {} if anew else find_aged(connection, outdated, inputs)
        outcomes = [_keep(connection, analyses[name]) for name in current]
        if outdated:
            outcomes += _build_each(connection, outdated, inputs, memory_mb)
    record_kept(connection, current)
    order = list(analyses)
    return sorted(outcomes, key=lambda outcome: order.index(outcome.analysis.name))


def build_analysis(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Built:
    """Build one analysis. Raises AnalysisError if it keeps its previous table."""
    (outcome,) = build_all(connection, {analysis.name: analysis})
    if outcome.built is None:
        raise explain(outcome.failures)
    return outcome.built


def _keep(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Outcome:
    """Return what building an analysis gave, of a table that stays."""
    count = f"SELECT count(*) FROM {analysis.table}"  # noqa: S608 - the name of an analysis
    ((rows,),) = connection.execute(count).fetchall()
    built = Built(rows=rows, types=read_types(connection, analysis))
    return Outcome(analysis=analysis, built=built, failures={}, seconds=0.0)


def _build_each(
    connection: duckdb.DuckDBPyConnection,
    analyses: Mapping[str, Analysis],
    inputs: str | None,
    memory_mb: int | None,
) -> list[Outcome]:
    """Build these, and write down for what: if the process ends before that, for nothing."""
    forget_attempts(connection, analyses)
    share = shared_views if len(analyses) > 1 else nullcontext
    with open_lanes(connection, memory_mb) as lanes, share(lanes):
        outcomes = run_lanes(lanes, analyses, _build)
    record_attempts(
        connection,
        inputs,
        {o.analysis.name: (o.analysis.lineage, o.failures.get(BUILT)) for o in outcomes},
        _find_outdated(outcomes, analyses),
    )
    return outcomes


def _find_outdated(outcomes: Sequence[Outcome], analyses: Mapping[str, Analysis]) -> set[str]:
    """Return those that have failed, and those that read the table that one of them has kept."""
    outdated = {outcome.analysis.name for outcome in outcomes if outcome.failures}
    for name, analysis in analyses.items():
        if analysis.after & outdated:
            outdated.add(name)
    return outdated


def _build(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Outcome:
    """Fill the table of an analysis, or leave it as it was."""
    started = time.monotonic()
    built, failures = None, {}
    try:
        built = _fill(connection, analysis)
    except AnalysisError as error:
        failures = error.failures
    except duckdb.Error as error:
        failures = _fail(analysis, str(error))
    seconds = time.monotonic() - started
    return Outcome(analysis=analysis, built=built, failures=failures, seconds=seconds)


def _fill(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Built:
    """Update the ages if these suffice, or write the table anew. Raises AnalysisError."""
    if analysis.problem:
        raise explain(_fail(analysis, analysis.problem))
    if analysis.ages is not None:
        with suppress(duckdb.Error, AnalysisError):
            return _check(connection, analysis, analysis.ages)
    anew = f"CREATE OR REPLACE TABLE {analysis.table} AS {analysis.query}"
    try:
        return _check(connection, analysis, anew)
    except duckdb.OutOfMemoryException:
        # Not everything that a query holds can be on disk instead.
        limit_memory(connection, None)
        return _check(connection, analysis, anew)


def _check(connection: duckdb.DuckDBPyConnection, analysis: Analysis, statements: str) -> Built:
    """Run what fills the table, describe and check it, in one transaction. Raises AnalysisError."""
    with time_limit(connection), transaction(connection):
        ((rows,),) = connection.execute(statements).fetchall()
        types = read_types(connection, analysis)
        if failures := find_failures(connection, analysis, types):
            raise explain(failures)
    return Built(rows=rows, types=types)


def _fail(analysis: Analysis, problem: str) -> dict[str, str]:
    return {BUILT: f"analysis {analysis.name}: {' '.join(problem.split())}"}


def explain(failures: dict[str, str]) -> AnalysisError:
    """Return the failures of an analysis, check -> what it found, as one error."""
    return AnalysisError(f"{'; '.join(failures.values())}. {KEPT}", failures)


def build_outdated(
    connection: duckdb.DuckDBPyConnection, analyses: Mapping[str, Analysis]
) -> list[AnalysisError]:
    """Build what was not tried since the newest load, drop what has no file; return what failed.

    Another run may have been loaded since an analysis was built, and all must be of the same load.
    """
    query = "SELECT name, version FROM analysis_builds WHERE runs = (SELECT count(*) FROM runs)"
    tried = dict(connection.execute(query).fetchall())
    drop_orphaned_tables(connection, analyses)
    outdated = {n: analysis for n, analysis in analyses.items() if tried.get(n) != analysis.lineage}
    outcomes = build_all(connection, outdated, anew=False) if outdated else []
    return [explain(outcome.failures) for outcome in outcomes if outcome.failures]


def drop_orphaned_tables(
    connection: duckdb.DuckDBPyConnection, analyses: Mapping[str, Analysis]
) -> None:
    """Drop the tables of analyses whose files are gone: nothing would keep them up to date."""
    query = "SELECT DISTINCT table_name FROM duckdb_columns() WHERE schema_name = ?"
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

"""Build the analyses' tables: commented, and checked before anyone can see them."""

from __future__ import annotations

import time
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING

import duckdb
from pydantic import BaseModel, ConfigDict

from pipelines.errors import AnalysisError
from pipelines.warehouse.analyses import BUILT, SCHEMA, Analysis
from pipelines.warehouse.checks import find_failures, read_types
from pipelines.warehouse.current import (
    find_aged,
    find_current,
    read_inputs,
    record_attempts,
    record_kept,
)
from pipelines.warehouse.lanes import Failure, open_lanes, run_lanes, time_limit
from pipelines.warehouse.shared import copied_tables, shared_views
from pipelines.warehouse.sql import limit_memory, quote_name, seal, transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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

    A table is commented and checked before anyone can see it. An analysis that fails keeps its
    previous table and undoes no other. Unless all are built `anew`, one whose inputs have not
    changed keeps its table; if only ages have, these are updated. What queries hold beyond
    `memory_mb` is on disk, if it can be. Raises KeyboardInterrupt, with nothing more built.
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
            share = shared_views if len(outdated) > 1 else nullcontext
            with open_lanes(connection, memory_mb) as lanes, share(lanes):
                for group in _group(connection, outdated):
                    outcomes += _build_group(lanes, group, inputs)
    record_kept(connection, current)
    order = list(analyses)
    return sorted(outcomes, key=lambda outcome: order.index(outcome.analysis.name))


def _keep(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Outcome:
    """Return what building an analysis gave, of a table that stays."""
    count = f"SELECT count(*) FROM {analysis.table}"  # noqa: S608 - the name of an analysis
    ((rows,),) = connection.execute(count).fetchall()
    built = Built(rows=rows, types=read_types(connection, analysis))
    return Outcome(analysis=analysis, built=built, failures={}, seconds=0.0)


def _group(
    connection: duckdb.DuckDBPyConnection, analyses: Mapping[str, Analysis]
) -> list[dict[str, Analysis]]:
    """Return what is built together, in one transaction each, in order.

    These are those that read nothing of each other: of the size of a table that is not committed
    DuckDB knows nothing, and plans badly. A query that fails ends DuckDB's transaction, so the
    others are built once more without it: one that failed so the last time, and what reads it, is
    tried after the others, alone.
    """
    query = "SELECT name FROM analysis_builds WHERE error IS NOT NULL"
    apart = {name for (name,) in connection.execute(query).fetchall()} & analyses.keys()
    levels: dict[str, int] = {}
    for name, analysis in analyses.items():
        if analysis.after & apart:
            apart.add(name)
        levels[name] = max((levels.get(other, 0) + 1 for other in analysis.after), default=0)
    together = [
        {n: a for n, a in analyses.items() if levels[n] == level and n not in apart}
        for level in sorted(set(levels.values()))
    ]
    return [*filter(None, together), *({n: a} for n, a in analyses.items() if n in apart)]


def _build_group(
    lanes: Sequence[duckdb.DuckDBPyConnection],
    analyses: dict[str, Analysis],
    inputs: str | None,
) -> list[Outcome]:
    failed = {a.name: _fail(a, a.problem, 0.0) for a in analyses.values() if a.problem}
    pressed: set[str] = set()
    while (outcomes := _try_all(lanes, analyses, failed, inputs, pressed)) is None:
        pass
    return outcomes


def build_analysis(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Built:
    """Build one analysis. Raises AnalysisError if it keeps its previous table."""
    (outcome,) = build_all(connection, {analysis.name: analysis})
    if outcome.built is None:
        raise explain(outcome.failures)
    return outcome.built


def _try_all(
    lanes: Sequence[duckdb.DuckDBPyConnection],
    analyses: dict[str, Analysis],
    failed: dict[str, Outcome],
    inputs: str | None,
    pressed: set[str],
) -> list[Outcome] | None:
    """Build all but those that have failed. If a query fails, add it to these, and give nothing.

    The next time one for which memory was too little is `pressed`, and may have all there is, and
    one whose ages could not be updated is built anew.
    """
    waiting = [analysis for analysis in analyses.values() if analysis.name not in failed]
    errors: list[Failure] = []
    try:
        with ExitStack() as together:
            for lane in lanes:
                together.enter_context(transaction(lane))
            built, errors = run_lanes(lanes, waiting, _build)
            if errors:
                raise errors[0].error
            _record(lanes[0], inputs, outcomes := [*failed.values(), *built])
            return outcomes
    except duckdb.Error:
        if not errors:
            raise
    for analysis, error, seconds in errors:
        if analysis.ages is not None:
            analyses[analysis.name] = analysis.model_copy(update={"ages": None})
        elif isinstance(error, duckdb.OutOfMemoryException) and analysis.name not in pressed:
            # Not everything that a query holds can be on disk instead.
            pressed.add(analysis.name)
            limit_memory(lanes[0], None)
        else:
            failed[analysis.name] = _fail(analysis, str(error), seconds)
    return None


def _fail(analysis: Analysis, problem: str, seconds: float) -> Outcome:
    failures = {BUILT: f"analysis {analysis.name}: {' '.join(problem.split())}"}
    return Outcome(analysis=analysis, built=None, failures=failures, seconds=seconds)


def _record(
    connection: duckdb.DuckDBPyConnection, inputs: str | None, outcomes: Iterable[Outcome]
) -> None:
    record_attempts(
        connection,
        inputs,
        {o.analysis.name: (o.analysis.version, o.failures.get(BUILT)) for o in outcomes},
        {o.analysis.name for o in outcomes if o.failures},
    )


def _build(connection: duckdb.DuckDBPyConnection, analysis: Analysis) -> Outcome:
    """Put a new table in place of the previous one, or update its ages, unless a check fails."""
    table, previous = analysis.table, quote_name(f"{analysis.name}.previous")
    started = time.monotonic()
    with time_limit(connection):
        if analysis.ages is None:
            connection.execute(f"ALTER TABLE IF EXISTS {table} RENAME TO {previous}")
        query = analysis.ages or f"CREATE TABLE {table} AS {analysis.query}"
        ((rows,),) = connection.execute(query).fetchall()
        types = read_types(connection, analysis)
        failures = find_failures(connection, analysis, types)
        if failures and analysis.ages is not None:
            raise duckdb.ConstraintException(analysis.name)
        if failures:
            connection.execute(f"DROP TABLE {table}")
            restored = f"ALTER TABLE IF EXISTS {SCHEMA}.{previous} RENAME TO"
            connection.execute(f"{restored} {quote_name(analysis.name)}")
        else:
            connection.execute(f"DROP TABLE IF EXISTS {SCHEMA}.{previous}")
    built = None if failures else Built(rows=rows, types=types)
    seconds = time.monotonic() - started
    return Outcome(analysis=analysis, built=built, failures=failures, seconds=seconds)


def explain(failures: dict[str, str]) -> AnalysisError:
    """Return the failures of an analysis, check -> what it found, as one error."""
    return AnalysisError(f"{'; '.join(failures.values())}. {KEPT}", failures)


def build_outdated(
    connection: duckdb.DuckDBPyConnection, analyses: Mapping[str, Analysis]
) -> list[AnalysisError]:
    """Build what was not tried since the newest load, drop what has no file; return what failed.

    Another run may have been loaded since an analysis was built, and all must be of the same load.
    """
    query = "SELECT name FROM analysis_builds WHERE runs = (SELECT count(*) FROM runs)"
    current = {name for (name,) in connection.execute(query).fetchall()}
    drop_orphaned_tables(connection, analyses)
    outdated = {name: analysis for name, analysis in analyses.items() if name not in current}
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

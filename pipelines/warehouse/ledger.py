"""What the ledger says of earlier runs: how their polls ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pipelines import clock
from pipelines.landing.directory import list_runs
from pipelines.landing.retention import RunAge
from pipelines.warehouse.sql import fetch_records, read_query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from pipelines.landing.store import Store
    from pipelines.warehouse.base import Warehouse

# Of an overtaken poll, what a later one saw is loaded.
ENDED_WELL = frozenset({"complete", "overtaken"})
# The server's answers that there is nothing to list.
ABSENT = frozenset({"gone", "forbidden"})


def read_ledger(
    connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the ledger's rows of these runs, the sessions with the most threads first.

    `is_known` says of a session that is gone, or forbidden, that it was before these runs.
    """
    return fetch_records(connection, read_query("ledger", "polls_of_runs"), [list(run_ids)])


def list_failures(ledger: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of `read_ledger` that someone should look at, for they say something new."""
    return [row for row in ledger if row["outcome"] not in ENDED_WELL and not row["is_known"]]


def read_failed_listings(
    connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the sources whose sessions these runs could not list to the end, and why."""
    return fetch_records(connection, read_query("ledger", "failed_listings"), [list(run_ids)])


def read_missed(
    connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the changes of threads that these runs found not to have been announced."""
    return fetch_records(connection, read_query("ledger", "missed_changes"), [list(run_ids)])


def count_resting(connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str]) -> int:
    """Return how many sessions these runs did not ask, because nothing pointed to news."""
    query = read_query("ledger", "resting_of_runs")
    return sum(number for (number,) in connection.execute(query, [list(run_ids)]).fetchall())


def read_drift(connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str]) -> list[str]:
    """Return what these runs saw first, a line each: a field and its type, or an unknown value."""
    rows = fetch_records(connection, read_query("ledger", "drift_of_runs"), [list(run_ids)])
    return [str(row["line"]) for row in rows]


def read_ages(connection: duckdb.DuckDBPyConnection) -> list[RunAge]:
    """Return how old each loaded run is, by those after it, the newest last."""
    rows = fetch_records(connection, read_query("ledger", "ages_of_runs"), [clock.EARLIEST])
    return msgspec.convert(rows, list[RunAge])


def read_clocks(
    connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what these runs show of our clock, a row per source."""
    return fetch_records(connection, read_query("ledger", "clocks_of_runs"), [list(run_ids)])


def find_newest_run(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the id of the run that began last; none of an empty warehouse."""
    query = "SELECT run_id FROM runs ORDER BY sequence DESC LIMIT 1"
    return [run_id for (run_id,) in connection.execute(query).fetchall()]


def read_newest_sequence(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the highest sequence number of the runs; 0 if there is none."""
    query = "SELECT coalesce(max(sequence), 0) FROM runs"
    (number,) = connection.execute(query).fetchall()[0]
    return max(int(number), 0)


def list_pending(warehouse: Warehouse, landing: Store) -> list[str]:
    """Return the runs that have landed and are not published, in their order."""
    published = set[str]()
    if warehouse.is_published():
        with warehouse.read() as tables:
            rows = tables.execute("SELECT run_id FROM runs").fetchall()
            published = {run_id for (run_id,) in rows}
    return [run_id for run_id in list_runs(landing) if run_id not in published]

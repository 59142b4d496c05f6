"""What a materialization shows in Dagster: numbers that plot over time, and the table's schema."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from pipelines.extract.discover import Discovery
from pipelines.extract.plan import PlannedSource
from pipelines.landing.store import LandedFile
from pipelines.records import THREADS_ENDPOINT, Poll
from pipelines.reporting.plans import sum_up_plan
from pipelines.warehouse.analysis import SCHEMA, Analysis
from pipelines.warehouse.build import Built
from pipelines.warehouse.maintained import Maintained
from pipelines.warehouse.sql import fetch_records, quote_name, read_query

Metadata = dict[str, Any]
PREVIEW_ROWS = 10
LONGEST_CELL = 200
OWNERS = ["team:session-threads"]
# Names and types of `pipelines.landing.format.PAGES`, which costs the import of polars: that is
# loaded while pages come.
COLUMNS_OF_PAGES = dg.TableSchema(
    [
        dg.TableColumn("source", "String", "Name of the source in the configuration"),
        dg.TableColumn(
            "endpoint",
            "String",
            "What was asked for: threads or sessions, or one of them by its id",
        ),
        dg.TableColumn("session_id", "String", "Session that was polled"),
        dg.TableColumn(
            "page", "Int32", "Number of the page, or of the look-up, in its poll, from 1"
        ),
        dg.TableColumn(
            "cursor",
            "String",
            "Cursor it was asked for with, null for the first; of a look-up the thread's id",
        ),
        dg.TableColumn(
            "observed_at",
            "Datetime(time_unit='us', time_zone='UTC')",
            "Client clock: arrival of the page",
        ),
        dg.TableColumn(
            "status", "Int16", "HTTP status: 200, or 404 of a look-up that found no thread"
        ),
        dg.TableColumn("body", "Binary", "What the server sent"),
    ]
)


def describe_discovery(found: Discovery, planned: Sequence[PlannedSource]) -> Metadata:
    """Return how many sessions there are, where they come from, and how many are no more.

    Of a plan also how many are asked and rest, and why.
    """
    choices = [choice for each in planned for choice in each.choices]
    sessions = [session for each in found.sources for session in each.sessions]
    origins = Counter(session.origin for session in sessions)
    states = Counter(decision.state for decision in found.decisions)
    listings = [item for item in found.fetched if isinstance(item, Poll)]
    return {
        "sessions": len(sessions),
        **{
            f"sessions_{origin}": origins[origin] for origin in ("configured", "file", "discovered")
        },
        "sessions_leaving": sum(session.is_leaving for session in sessions),
        **{f"sessions_{state}": states[state] for state in ("gone", "excluded", "out_of_scope")},
        **({"sessions_resting": sum(not choice.is_asked for choice in choices)} if choices else {}),
        **({"plan": plan} if (plan := sum_up_plan(choices)) else {}),
        "listings": len(listings),
        "listings_complete": sum(poll.outcome == "complete" for poll in listings),
        "requests": sum(poll.requests for poll in listings),
        "seconds": measure(listings),
    }


def measure(polls: Sequence[Poll]) -> float:
    """Return the seconds from the beginning of the first to the end of the last."""
    if not polls:
        return 0.0
    begun = min(poll.started_at for poll in polls)
    return (max(poll.finished_at for poll in polls) - begun).total_seconds()


def describe_polls(file: LandedFile, polls: Sequence[Poll]) -> Metadata:
    """Return what the polls of threads cost."""
    polls = [poll for poll in polls if poll.endpoint == THREADS_ENDPOINT]
    return {
        "path": dg.MetadataValue.path(str(file)),
        "sessions": len(polls),
        "sessions_complete": sum(poll.outcome == "complete" for poll in polls),
        "pages": sum(poll.pages for poll in polls),
        "threads": sum(poll.threads_listed for poll in polls),
        "requests": sum(poll.requests for poll in polls),
        "retries": sum(poll.retries for poll in polls),
        "bytes": sum(poll.bytes for poll in polls),
        "wait_seconds": float(sum(poll.wait_seconds for poll in polls)),
        "seconds": measure(polls),
    }


def describe_ledger(ledger: Sequence[Mapping[str, Any]]) -> Metadata:
    """Return what the load changed."""
    kinds = ("new", "changed", "unchanged", "missing", "regressed")
    counts: Metadata = {
        f"rows_{kind}": sum(row[f"threads_{kind}"] for row in ledger) for kind in kinds
    }
    costs: Metadata = {kind: sum(row[kind] for row in ledger) for kind in ("requests", "bytes")}
    return counts | costs | {"sessions": len(ledger)}


def describe_publication(
    place: Path | str, health: Sequence[Mapping[str, Any]], seconds: float
) -> Metadata:
    """Return what was published, by the rows of ingestion_health."""
    metadata: Metadata = {"path": dg.MetadataValue.path(str(place))}
    if isinstance(place, Path):
        metadata["bytes"] = place.stat().st_size
    return metadata | {
        "seconds": seconds,
        "sessions": len(health),
        "threads": sum(row["threads"] for row in health),
        "threads_open": sum(row["open_threads"] for row in health),
        "sessions_failing": sum(row["failure_streak"] > 0 for row in health),
    }


def describe_maintenance(done: Maintained) -> Metadata:
    """Return how many files and snapshots there were, and are."""
    counts = {"before": done.before, "after": done.after}
    files: Metadata = {f"files_{when}": each.files for when, each in counts.items()}
    snapshots = {f"snapshots_{when}": each.snapshots for when, each in counts.items()}
    return files | snapshots | {"seconds": round(done.seconds, 3)}


def describe_analysis(
    connection: duckdb.DuckDBPyConnection, analysis: Analysis, built: Built | None
) -> Metadata:
    """Return rows, columns and the first rows of an analysis' table; nothing if there is none.

    Without `built` it is the previous table.
    """
    if built:
        meanings = analysis.header.columns
        columns = [dg.TableColumn(name, built.types[name], meanings[name]) for name in meanings]
        described = describe_columns(built.rows, columns)
    else:
        described = describe_table(connection, SCHEMA, analysis.name)
    if described.get("dagster/row_count"):
        first = f"SELECT COLUMNS(*)::VARCHAR FROM {analysis.table} LIMIT {PREVIEW_ROWS}"  # noqa: S608
        described["preview"] = tabulate(fetch_records(connection, first))
    return described


def tabulate(rows: Sequence[Mapping[str, str | None]]) -> dg.TableMetadataValue:
    """Return rows of text, cut if it is long, as a table to look at."""
    records = [
        dg.TableRecord({name: (value or "")[:LONGEST_CELL] for name, value in row.items()})
        for row in rows
    ]
    return dg.MetadataValue.table(records)


def describe_table(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> Metadata:
    """Return the row count and the columns with their comments; nothing if there is no table."""
    found = fetch_records(connection, read_query("ledger", "columns_of_table"), [schema, table])
    if not found:
        return {}
    counted = connection.execute(f"SELECT count(*) FROM {schema}.{quote_name(table)}").fetchone()  # noqa: S608
    columns = [
        dg.TableColumn(str(c["column_name"]), str(c["data_type"]), str(c["comment"] or ""))
        for c in found
    ]
    return describe_columns(counted[0] if counted else 0, columns)


def describe_columns(rows: int, columns: Sequence[dg.TableColumn]) -> Metadata:
    """Return the row count and the columns under the names by which Dagster knows them."""
    return {
        "dagster/row_count": rows,
        "dagster/column_schema": dg.TableSchema(list(columns)),
    }

"""Which analyses would give again what they gave: nothing that they read has changed since.

Polls that all failed, or a run in which every session rests, change the ledger and nothing else.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import duckdb
import msgspec

from pipelines.warehouse.analyses import SCHEMA
from pipelines.warehouse.sql import read_query

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from pipelines.warehouse.analyses import Analysis

# Tables and views whose rows change only with what sql/ledger/inputs.sql reads: with a poll that
# brought pages, with what is known of a session, with a setting, or with the version.
STEADY = frozenset(
    {
        *("threads", "thread_status_history", "spells_unseen", "silences", "sessions", "statuses"),
        *("analysis_settings", "staleness", "usual_silences", "status_names", "group_names"),
        *("latest_polls", "complete_polls", "loaded_polls", "unwatched_sessions", "source_as_of"),
        *(
            "parent_threads",
            "thread_dimensions",
            "thread_tree",
            "thread_spells",
            "thread_intervals",
        ),
        *("earlier_observations", "source_entry", "open_changes", "session_peaks", "session_usage"),
        *("status_changes", "status_intervals"),
    }
)


def read_inputs(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return what changes if the rows of STEADY do; None if a view that says so fails."""
    with suppress(duckdb.Error):
        return str(connection.execute(read_query("ledger", "inputs")).fetchall()[0][0])
    return None


def find_current(
    connection: duckdb.DuckDBPyConnection, analyses: Mapping[str, Analysis], inputs: str | None
) -> set[str]:
    """Return the analyses whose tables are those of these inputs, and of the file as it is."""
    query = (
        "SELECT name, version FROM analysis_builds WHERE inputs = ? AND name IN"
        " (SELECT table_name FROM duckdb_columns() WHERE schema_name = ?)"
    )
    built = dict(connection.execute(query, [inputs, SCHEMA]).fetchall())
    current: set[str] = set()
    for name, analysis in analyses.items():
        read = {f"{SCHEMA}.{each}" for each in current}
        if built.get(name) == analysis.version and analysis.reads <= STEADY | read:
            current.add(name)
    return current


def record_attempts(
    connection: duckdb.DuckDBPyConnection,
    inputs: str | None,
    attempts: Mapping[str, tuple[str, str | None]],
    failed: AbstractSet[str],
) -> None:
    """Write down for what the analyses were built: name -> its file's version, and its error."""
    rows = [
        {
            "name": name,
            "version": version,
            "inputs": None if name in failed else inputs,
            "error": error,
        }
        for name, (version, error) in attempts.items()
    ]
    text = msgspec.json.encode(rows).decode()
    previous = "DELETE FROM analysis_builds WHERE list_contains($1->>'$[*].name', name)"
    connection.execute(previous, [text])
    connection.execute(read_query("ledger", "record_attempts"), [text])


def record_kept(connection: duckdb.DuckDBPyConnection, names: AbstractSet[str]) -> None:
    """Write down that these tables are those of the newest load, too."""
    if names:
        query = "UPDATE analysis_builds SET runs = (SELECT count(*) FROM runs) WHERE name IN"
        connection.execute(f"{query} (SELECT unnest(?))", [list(names)])

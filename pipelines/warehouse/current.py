"""Which analyses would give again what they gave: nothing that they read has changed since.

Polls that all failed, or a run in which every session rests, change the ledger and nothing else.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import duckdb
import msgspec

from pipelines.warehouse.analysis import SCHEMA
from pipelines.warehouse.lanes import is_small
from pipelines.warehouse.sql import read_query, read_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from pipelines.warehouse.analysis import Analysis

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
            "thread_spells",
            "thread_intervals",
        ),
        *("earlier_observations", "source_entry", "open_changes", "session_peaks", "session_usage"),
        *("status_changes", "status_intervals"),
    }
)

# In what sql/ledger/inputs.sql gives: what polls without changes change comes behind it.
BEYOND_THREADS = "//"


def read_inputs(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return what changes if the rows of STEADY do; None if a view that says so fails."""
    with suppress(duckdb.Error):
        return str(connection.execute(read_query("ledger", "inputs")).fetchall()[0][0])
    return None


def find_current(
    connection: duckdb.DuckDBPyConnection, analyses: Mapping[str, Analysis], inputs: str | None
) -> set[str]:
    """Return the analyses whose tables are those of these inputs, and of the file as it is."""
    built = _read_built(connection, inputs)
    current: set[str] = set()
    for name, analysis in analyses.items():
        read = {f"{SCHEMA}.{each}" for each in current}
        if built.get(name) == analysis.lineage and analysis.reads <= STEADY | read:
            current.add(name)
    return current


def find_aged(
    connection: duckdb.DuckDBPyConnection, analyses: Mapping[str, Analysis], inputs: str | None
) -> dict[str, Analysis]:
    """Return those whose tables are current but for ages, with what updates these (sql/ages).

    None in a lake, where a row that changes is written anew, whole, and none of many threads.
    """
    if inputs is None or not is_small(connection):
        return {}
    built = _read_built(connection, "".join(inputs.partition(BEYOND_THREADS)[:2]))
    return {
        name: analyses[name].model_copy(update={"ages": ages})
        for name, ages in read_sql("ages")
        if name in analyses and built.get(name) == analyses[name].lineage
    }


def _read_built(connection: duckdb.DuckDBPyConnection, inputs: str | None) -> dict[str, str]:
    return dict(connection.execute(read_query("ledger", "built"), [inputs]).fetchall())


def forget_attempts(connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> None:
    """Let nobody take the tables of these analyses to be of what they were built for."""
    query = "DELETE FROM analysis_builds WHERE name IN (SELECT unnest($1->>'$[*]'))"
    connection.execute(query, [msgspec.json.encode(list(names)).decode()])


def record_attempts(
    connection: duckdb.DuckDBPyConnection,
    inputs: str | None,
    attempts: Mapping[str, tuple[str, str | None]],
    outdated: AbstractSet[str],
) -> None:
    """Write down for what the analyses were built: name -> its lineage, and its error.

    Those that are `outdated` are of no inputs: they are built again the next time.
    """
    rows = [
        {
            "name": name,
            "version": version,
            "inputs": None if name in outdated else inputs,
            "error": error,
        }
        for name, (version, error) in attempts.items()
    ]
    text = msgspec.json.encode(rows).decode()
    connection.execute(read_query("ledger", "record_attempts"), [text])


def record_kept(connection: duckdb.DuckDBPyConnection, names: AbstractSet[str]) -> None:
    """Write down that these tables are those of the newest load, too."""
    if names:
        query = "UPDATE analysis_builds SET runs = (SELECT count(*) FROM runs) WHERE name IN"
        connection.execute(f"{query} (SELECT unnest(?))", [list(names)])

"""What was read of a run before its load: temporary tables, and what they depend on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

import duckdb
import msgspec
import polars as pl

from pipelines.frames.drift import Drift
from pipelines.frames.known import KNOWN, SEEN, ThreadDigests
from pipelines.frames.lookups import LOOKUPS
from pipelines.frames.threads import THREADS
from pipelines.landing.digests import PollKey
from pipelines.warehouse.repeats import Known, read_known, read_known_threads
from pipelines.warehouse.sql import read_query, register

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipelines.frames.flatten import Batch
    from pipelines.warehouse.base import Warehouse

Session = tuple[str, str]
# Of DuckDB, while it stages or loads threads: in 96 MB it takes a tenth longer, in 256 no less.
MEMORY_MB = 128
# What a batch holds, and its tables `incoming_…`.
INCOMING = {"threads": THREADS, "seen": SEEN, "lookups": LOOKUPS}


class Before(msgspec.Struct, frozen=True):
    """What the tables held when the run began: of polls, of new fields and values, and of threads.

    The last with the schema KNOWN.
    """

    polls: Mapping[PollKey, Known] = {}
    drift: list[tuple[str, str | None]] = []
    threads: pl.DataFrame = pl.DataFrame(schema=KNOWN)


def read_before(warehouse: Warehouse) -> Before:
    """Return what was published of earlier runs. Raises WarehouseError."""
    if not warehouse.is_published():
        return Before()
    with warehouse.read() as tables:
        return Before(read_known(tables), read_known_drift(tables), read_known_threads(tables))


def read_known_drift(tables: duckdb.DuckDBPyConnection) -> list[tuple[str, str | None]]:
    """Return the paths, and the values of enumerations, that were found earlier."""
    return tables.execute("SELECT path, value FROM schema_drift ORDER BY rowid").fetchall()


class Staged(msgspec.Struct, frozen=True):
    """What was read of a run: the threads of these sessions, and the drift in them.

    The threads are in temporary tables of the connection.
    """

    before: Before
    sessions: set[Session]
    digests: ThreadDigests
    drift: Drift
    tables: duckdb.DuckDBPyConnection

    def is_current(self, tables: duckdb.DuckDBPyConnection, known: Mapping[PollKey, Known]) -> bool:
        """Whether it lies beside these tables, and what is known of polls is as it was."""
        return self.tables is tables and self.before.polls == known


def make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables `incoming_…`, empty: temporary ones, which nobody else sees."""
    with ExitStack() as views:
        for name, schema in INCOMING.items():
            register(connection, views, **{f"landed_{name}": pl.DataFrame(schema=schema)})
        connection.execute(read_query("stage", "3_tables"))


def add_threads(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Append a batch to the tables `incoming_…`."""
    for name, frame in zip(INCOMING, batch, strict=True):
        if not frame.is_empty():
            with ExitStack() as views:
                register(connection, views, landed=frame)
                connection.execute(f"INSERT INTO incoming_{name} BY NAME FROM landed")


def stage_threads(connection: duckdb.DuckDBPyConnection, batches: Iterable[Batch]) -> None:
    """Fill the tables `incoming_…`, a batch at a time.

    What a transaction writes stays in memory; these tables may go to disk.
    """
    make_tables(connection)
    for batch in batches:
        add_threads(connection, batch)

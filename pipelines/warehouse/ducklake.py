"""The tables in a DuckLake: a catalog in a schema of PostgreSQL, and Parquet files.

Readers see the snapshot that was published last. A lake has one writer, who holds its lock.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import duckdb

from pipelines.errors import WarehouseBusy, WarehouseError
from pipelines.warehouse.lake_attach import attach
from pipelines.warehouse.lake_catalog import (
    confirm,
    connect,
    describe_empty,
    drop,
    hold,
    hold_sources,
    read_identity,
    read_newest_sequence,
    read_newest_snapshot,
    read_path,
    read_publication,
    replace,
    write_publication,
)
from pipelines.warehouse.lake_files import claim, count_files, remove_generations
from pipelines.warehouse.lake_maintenance import FILE_AGE, count, limit_inlining, maintain
from pipelines.warehouse.lock import WAIT_LIMIT_S
from pipelines.warehouse.maintained import Counts, Maintained
from pipelines.warehouse.opening import first_line, open_memory
from pipelines.warehouse.schema import migrate
from pipelines.warehouse.scratch import open_scratch
from pipelines.warehouse.sql import guarded, quote, seal, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    import psycopg

    from pipelines.config.lake import Lake
    from pipelines.config.settings import Source

# The schema that a replay fills, until it takes the name of the other.
REPLAYED = "{}_replay"
# How a lake is attached by those who do not write.
READ_ONLY = "READ_ONLY"
RUNS = "SELECT run_id FROM runs ORDER BY rowid"


class DuckLake:
    """The warehouse on a lake. `home` is where this machine keeps what it spills."""

    def __init__(self, home: Path, lake: Lake) -> None:
        self._home = home
        self._lake = lake
        self._holder: psycopg.Connection | None = None

    @contextmanager
    def write(
        self, staged: duckdb.DuckDBPyConnection | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the tables for writing; see Warehouse."""
        with self._hold() as holder:
            schema = self._lake.catalog.schema_name
            self._holder = holder
            try:
                with (
                    self._open(
                        holder, schema, read_path(holder, schema), staged=staged
                    ) as connection,
                    guarded(connection, partial(confirm, holder, self._lake)),
                ):
                    yield connection
            finally:
                self._holder = None

    def stage(self) -> duckdb.DuckDBPyConnection:
        """Return a connection to a database of a run's own; see Warehouse."""
        return open_scratch(self._home)

    def prepare(self) -> None:
        """Make the tables if there are none yet, and nobody writes."""
        schema = self._lake.catalog.schema_name
        with suppress(WarehouseBusy), self._hold(wait_s=0) as holder:
            if read_path(holder, schema) is None:
                with self._open(holder, schema, None):
                    pass

    @contextmanager
    def read(self, outputs: Sequence[str] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the published snapshot, sealed; see Warehouse."""
        connection = self.attach()
        with self._explaining(connection):
            seal(connection, outputs)
            yield connection

    def attach(self) -> duckdb.DuckDBPyConnection:
        """Return a connection to the published snapshot."""
        path, snapshot = self._find_published()
        schema, version = self._lake.catalog.schema_name, f"SNAPSHOT_VERSION {snapshot}"
        return attach(self._open_memory(), self._lake, schema, path, READ_ONLY, version)

    def is_published(self) -> bool:
        """Whether a snapshot is published."""
        with connect(self._lake) as catalog:
            return read_publication(catalog, self._lake.catalog.schema_name) is not None

    def publish(self, tables: duckdb.DuckDBPyConnection) -> str:
        """Let readers see what is committed; return what they open."""
        del tables
        if self._holder is None:
            raise WarehouseError(f"{self._lake.name}: only what is open for writing is published")
        confirm(self._holder, self._lake)
        schema = self._lake.catalog.schema_name
        write_publication(self._holder, schema, read_newest_snapshot(self._holder, schema))
        return self._lake.name

    def joined(self, tables: duckdb.DuckDBPyConnection) -> AbstractContextManager[None]:
        """Make one snapshot of what the block writes; see Warehouse."""
        return transaction(tables)

    def maintain(self, now: datetime) -> Maintained:
        """Compact the files, and remove what nobody reads; see Warehouse."""
        started, schema = time.monotonic(), self._lake.catalog.schema_name
        with self.write() as tables:
            assert self._holder is not None  # noqa: S101 - as it is open for writing
            published = read_publication(self._holder, schema)
            is_newest = published == read_newest_snapshot(self._holder, schema)
            before = Counts(count_files(self._lake), count(tables))
            limit_inlining(tables)
            describe_empty(self._holder, schema)
            newest = maintain(tables, now, published)
            confirm(self._holder, self._lake)
            if is_newest:
                write_publication(self._holder, schema, newest)
            path = read_path(self._holder, schema)
            if path is not None:
                remove_generations(self._lake, path, now - FILE_AGE)
            after = Counts(count_files(self._lake), count(tables))
        return Maintained(self._lake.name, before, after, time.monotonic() - started)

    @contextmanager
    def rebuild(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give the tables of a new schema on a new path, which takes the old one's name at the end.

        Until the next publication readers find nothing published.
        """
        schema = self._lake.catalog.schema_name
        replayed = REPLAYED.format(schema)
        with self._hold() as holder:
            drop(holder, replayed)
            previous = read_path(holder, schema)
            with self._open(holder, replayed, None, previous) as connection:
                yield connection
            confirm(holder, self._lake)
            replace(holder, schema, replayed)

    def hold_sources(
        self, sources: Sequence[Source], wait_s: float | None = None
    ) -> AbstractContextManager[None]:
        """Be the one process that asks these sources; see Warehouse."""
        return hold_sources(self._lake, sources, wait_s)

    def list_loaded_runs(self) -> list[str]:
        """Return the runs in the order of their loads; none if there is no lake."""
        schema = self._lake.catalog.schema_name
        with connect(self._lake) as catalog:
            path = read_path(catalog, schema)
        if path is None:
            return []
        connection = attach(self._open_memory(), self._lake, schema, path, READ_ONLY)
        with self._explaining(connection):
            return [run_id for (run_id,) in connection.execute(RUNS).fetchall()]

    def newest_sequence(self, published: int | None = None) -> int:
        """Return the highest sequence number of the loaded runs; see Warehouse."""
        del published  # the catalog is asked for what is loaded
        with suppress(WarehouseError), connect(self._lake) as catalog:
            return read_newest_sequence(catalog, self._lake.catalog.schema_name)
        return 0

    def _find_published(self) -> tuple[str, int]:
        schema = self._lake.catalog.schema_name
        with connect(self._lake) as catalog:
            path, snapshot = read_path(catalog, schema), read_publication(catalog, schema)
        if path is None or snapshot is None:
            hint = "Run `session-threads run` first"
            raise WarehouseError(f"{self._lake.name}: nothing is published yet. {hint}")
        return path, snapshot

    @contextmanager
    def _hold(self, wait_s: float = WAIT_LIMIT_S) -> Iterator[psycopg.Connection]:
        """Be the one process that writes, into files that are no other lake's."""
        with hold(self._lake, wait_s) as holder:
            claim(self._lake, read_identity(holder, self._lake.catalog.schema_name))
            yield holder

    @contextmanager
    def _open(
        self,
        holder: psycopg.Connection,
        schema: str,
        path: str | None,
        previous: str | None = None,
        staged: duckdb.DuckDBPyConnection | None = None,
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the tables of a schema for writing, upgraded if need be.

        Without a path they are made, on the one after that of the previous generation.
        """
        used = path or next_path(previous, self._lake.data)
        option = f"DATA_PATH {quote(f'{used}/')}"
        connection = attach(staged or self._open_memory(), self._lake, schema, used, option)
        with self._explaining(connection):
            with transaction(connection):  # each query alone is one too, and costs statements
                migrate(connection, self._lake.name, describes_views=False)
            if path is None:
                limit_inlining(connection)
                describe_empty(holder, schema)
            connection.execute("SET enable_external_access = false")
            yield connection

    def _open_memory(self) -> duckdb.DuckDBPyConnection:
        return open_memory(self._home / "lake.tmp")

    @contextmanager
    def _explaining(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Close the connection at the end, and raise what fails as WarehouseError, in one line."""
        try:
            yield
        except duckdb.Error as error:
            said = self._lake.hide(first_line(error))
            raise WarehouseError(
                f"{self._lake.name}: {said}. What was not finished is undone"
            ) from None
        finally:
            connection.close()


def next_path(path: str | None, data: str) -> str:
    """Return a path for the next generation of a lake's files: no two share one."""
    last = path.rpartition("/")[2] if path else "0"
    return f"{data}/{int(last) + 1 if last.isdigit() else 1}"

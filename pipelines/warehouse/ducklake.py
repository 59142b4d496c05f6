"""The tables in a DuckLake: a catalog in a schema of PostgreSQL, and Parquet files.

Readers see the snapshot that was published last. A lake has one writer, who holds its lock.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import duckdb

from pipelines.config.lake import ON_S3
from pipelines.errors import WarehouseBusy, WarehouseError
from pipelines.warehouse.duckdb_file import first_line
from pipelines.warehouse.lake_catalog import (
    confirm,
    connect,
    drop,
    hold,
    hold_sources,
    read_path,
    read_publication,
    replace,
    write_publication,
)
from pipelines.warehouse.schema import migrate
from pipelines.warehouse.sql import quote, seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import psycopg

    from pipelines.config.lake import Lake
    from pipelines.config.settings import Source

EXTENSIONS = ("ducklake", "postgres_scanner")
ON_STORES = "httpfs"
# The schema that a replay fills, until it takes the name of the other.
REPLAYED = "{}_replay"
# How a lake is attached by those who do not write.
READ_ONLY = "READ_ONLY"
NEWEST_SNAPSHOT = "SELECT max(snapshot_id) FROM lake.snapshots()"
RUNS = "SELECT run_id FROM runs ORDER BY rowid"
NEWEST = "SELECT coalesce(max(sequence), 0) FROM runs"


class DuckLake:
    """The warehouse on a lake. `home` is where this machine keeps what it spills."""

    def __init__(self, home: Path, lake: Lake) -> None:
        self._home = home
        self._lake = lake
        self._holder: psycopg.Connection | None = None

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the tables for writing; see Warehouse."""
        with hold(self._lake) as holder:
            schema = self._lake.catalog.schema_name
            path = read_path(holder, schema) or next_path(None, self._lake.data)
            self._holder = holder
            try:
                with self._open(schema, path) as connection:
                    yield connection
            finally:
                self._holder = None

    def prepare(self) -> None:
        """Make the tables if there are none yet, and nobody writes."""
        schema = self._lake.catalog.schema_name
        with suppress(WarehouseBusy), hold(self._lake, wait_s=0) as holder:
            if read_path(holder, schema) is None:
                with self._open(schema, next_path(None, self._lake.data)):
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
        return self._attach(
            self._lake.catalog.schema_name, path, READ_ONLY, f"SNAPSHOT_VERSION {snapshot}"
        )

    def is_published(self) -> bool:
        """Whether a snapshot is published."""
        with connect(self._lake) as catalog:
            return read_publication(catalog, self._lake.catalog.schema_name) is not None

    def publish(self, tables: duckdb.DuckDBPyConnection) -> str:
        """Let readers see what is committed; return what they open."""
        if self._holder is None:
            raise WarehouseError(f"{self._lake.name}: only what is open for writing is published")
        confirm(self._holder, self._lake)
        schema = self._lake.catalog.schema_name
        snapshot = tables.execute(NEWEST_SNAPSHOT).fetchall()[0][0]
        write_publication(self._holder, schema, snapshot)
        return self._lake.name

    @contextmanager
    def rebuild(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give the tables of a new schema on a new path, which takes the old one's name at the end.

        Until the next publication readers find nothing published.
        """
        schema = self._lake.catalog.schema_name
        replayed = REPLAYED.format(schema)
        with hold(self._lake) as holder:
            drop(holder, replayed)
            with self._open(replayed, next_path(read_path(holder, schema), self._lake.data)) as (
                connection
            ):
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
        return [run_id for (run_id,) in self._ask(RUNS)]

    def newest_sequence(self) -> int:
        """Return the highest sequence number of the loaded runs; 0 if there is none to read."""
        with suppress(WarehouseError, duckdb.Error):
            for (number,) in self._ask(NEWEST):
                return max(int(number), 0)
        return 0

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query of what is committed; none if there is no lake."""
        schema = self._lake.catalog.schema_name
        with connect(self._lake) as catalog:
            path = read_path(catalog, schema)
        if path is None:
            return []
        connection = self._attach(schema, path, READ_ONLY)
        with self._explaining(connection):
            return connection.execute(query).fetchall()

    def _find_published(self) -> tuple[str, int]:
        schema = self._lake.catalog.schema_name
        with connect(self._lake) as catalog:
            path, snapshot = read_path(catalog, schema), read_publication(catalog, schema)
        if path is None or snapshot is None:
            hint = "Run `session-threads run` first"
            raise WarehouseError(f"{self._lake.name}: nothing is published yet. {hint}")
        return path, snapshot

    @contextmanager
    def _open(self, schema: str, path: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the tables of a schema for writing, made or upgraded if need be."""
        connection = self._attach(schema, path, f"DATA_PATH {quote(f'{path}/')}")
        with self._explaining(connection):
            migrate(connection, self._lake.name, describes_views=False)
            connection.execute("SET enable_external_access = false")
            yield connection

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

    def _attach(self, schema: str, path: str, *options: str) -> duckdb.DuckDBPyConnection:
        """Return a connection whose tables are the lake's, attached with these options."""
        connection = duckdb.connect(":memory:")
        try:
            self._load_extensions(connection)
            self._create_secrets(connection, schema)
            connection.execute(f"ATTACH 'ducklake:lake' AS lake ({', '.join(options)})")
            connection.execute(f"SET allowed_directories = [{quote(f'{path}/')}]")
            connection.execute(f"SET temp_directory = {quote(str(self._home / 'lake.tmp'))}")
            connection.execute("USE lake; SET TimeZone = 'UTC'")
        except duckdb.Error as error:
            connection.close()
            said = self._lake.hide(first_line(error))
            raise WarehouseError(f"{self._lake.name}: cannot be opened ({said})") from None
        return connection

    def _load_extensions(self, connection: duckdb.DuckDBPyConnection) -> None:
        names = EXTENSIONS + ((ON_STORES,) if self._lake.data.startswith(ON_S3) else ())
        for extension in names:
            try:
                connection.execute(f"LOAD {find_extension(extension)}")
            except duckdb.Error as error:
                fix = f"Install session-threads[lake], or run INSTALL {extension} in DuckDB once"
                problem = f"DuckDB's extension {extension} cannot be loaded ({first_line(error)})"
                raise WarehouseError(f"{self._lake.name}: {problem}. {fix}") from None

    def _create_secrets(self, connection: duckdb.DuckDBPyConnection, schema: str) -> None:
        """Tell DuckDB who asks the catalog and the store: a connection string would be printed."""
        catalog, access = self._lake.catalog, self._lake.access
        connection.execute(f"""
            CREATE SECRET catalog (
                TYPE postgres, HOST {quote(catalog.host)}, PORT {catalog.port},
                DATABASE {quote(catalog.database)}, USER {quote(catalog.user)},
                PASSWORD {quote(self._lake.password.get_secret_value())}
            )
        """)
        connection.execute(f"""
            CREATE SECRET lake (
                TYPE ducklake, METADATA_PATH '', METADATA_SCHEMA {quote(schema)},
                METADATA_PARAMETERS MAP {{'TYPE': 'postgres', 'SECRET': 'catalog'}}
            )
        """)
        if access is not None:
            store = access.store
            keys = (access.key_id, access.secret)
            key_id, secret = (quote(key.get_secret_value()) for key in keys)
            endpoint = (
                f"ENDPOINT {quote(store.endpoint)}, URL_STYLE 'path'," if store.endpoint else ""
            )
            connection.execute(f"""
                CREATE SECRET store (
                    TYPE s3, {endpoint} REGION {quote(store.region)}, USE_SSL {store.use_ssl},
                    KEY_ID {key_id}, SECRET {secret}, SCOPE {quote(self._lake.data)}
                )
            """)


def find_extension(name: str) -> str:
    """Return what DuckDB loads: the file of the extra's package, or the name of one installed."""
    package = f"duckdb_extension_{name}"
    if find_spec(package) is None:
        return name
    file = files(package) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    return quote(str(file))


def next_path(path: str | None, data: str) -> str:
    """Return a path for the next generation of a lake's files: no two share one."""
    last = path.rpartition("/")[2] if path else "0"
    return f"{data}/{int(last) + 1 if last.isdigit() else 1}"

"""What a lake has in PostgreSQL: its locks, its path, and which snapshot readers see.

A lock is freed when its holder dies.
"""

from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from pipelines.errors import SourceBusy, WarehouseBusy, WarehouseError
from pipelines.warehouse.lock import POLLS, WAIT_LIMIT_S, WRITES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipelines.config.lake import Lake
    from pipelines.config.settings import Source

logger = logging.getLogger(__name__)

# Which snapshot readers see; beside DuckLake's tables, so that it is renamed with them.
PUBLICATION = "session_threads_publication"
PUBLISH = (
    "CREATE TABLE IF NOT EXISTS {schema}.session_threads_publication (snapshot_id BIGINT)",
    "DELETE FROM {schema}.session_threads_publication",
    "INSERT INTO {schema}.session_threads_publication VALUES (%(snapshot)s)",
)
PUBLISHED = "SELECT snapshot_id FROM {schema}.session_threads_publication"
DATA_PATH = "SELECT value FROM {schema}.ducklake_metadata WHERE key = 'data_path'"
# DuckLake keeps the highest value that a column ever had.
NEWEST_SEQUENCE = """
    SELECT max(max_value::BIGINT) FROM {schema}.ducklake_table_column_stats
    JOIN {schema}.ducklake_column AS columns USING (table_id, column_id)
    JOIN {schema}.ducklake_table AS tables USING (table_id)
    WHERE column_name = 'sequence' AND columns.end_snapshot IS NULL
        AND table_name = 'runs' AND tables.end_snapshot IS NULL
"""
NEWEST_SNAPSHOT = "SELECT max(snapshot_id) FROM {schema}.ducklake_snapshot"
# Of a table that never had a row DuckLake knows nothing, and asks anew for each column of a query.
DESCRIBE_EMPTY = (
    """
    INSERT INTO {schema}.ducklake_table_column_stats (table_id, column_id, contains_null)
    SELECT table_id, column_id, false FROM {schema}.ducklake_column
    WHERE end_snapshot IS NULL
        AND table_id NOT IN (SELECT table_id FROM {schema}.ducklake_table_stats)
    """,
    """
    INSERT INTO {schema}.ducklake_table_stats
        (table_id, record_count, next_row_id, file_size_bytes)
    SELECT table_id, 0, 0, 0 FROM {schema}.ducklake_table
    WHERE end_snapshot IS NULL
        AND table_id NOT IN (SELECT table_id FROM {schema}.ducklake_table_stats)
    """,
)
# Of the catalog, wherever it is reached from: its server, its database and its schema.
IDENTITY = """
    SELECT format('%%s %%s %%s', system_identifier, oid, %s::text)
    FROM pg_control_system(), pg_database WHERE datname = current_database()
"""
DROP = "DROP SCHEMA IF EXISTS {schema} CASCADE"
RENAME = "ALTER SCHEMA {replayed} RENAME TO {schema}"
# Of a machine that is gone PostgreSQL hears nothing: it asks, and frees the lock.
KEEP_ALIVE = """
    SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3
"""
# Of a schema's name, so that two lakes of one database do not meet, or of a source's identity,
# which has spaces.
KEY = "hashtextextended('session-threads ' || %s, 0)"
HOLDER = """
    SELECT application_name || coalesce(' from ' || host(client_addr), '')
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND pg_locks.database = (
        SELECT oid FROM pg_database WHERE datname = current_database()
    ) AND (classid::BIGINT << 32 | objid::BIGINT) = """
OURS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"


@contextmanager
def connect(lake: Lake) -> Iterator[psycopg.Connection]:
    """Open a connection to the catalog's database. Raises WarehouseError, also for what happens."""
    catalog = lake.catalog
    try:
        with psycopg.connect(
            host=catalog.host,
            port=catalog.port,
            dbname=catalog.database,
            user=catalog.user,
            password=lake.password.get_secret_value(),
            application_name=f"session-threads, process {os.getpid()} on {socket.gethostname()}",
            connect_timeout=10,
            autocommit=True,
        ) as connection:
            yield connection
    except psycopg.Error as error:
        raise WarehouseError(f"{lake.name}: {explain(lake, error)}") from None


@contextmanager
def hold(lake: Lake, wait_s: float = WAIT_LIMIT_S) -> Iterator[psycopg.Connection]:
    """Be the one process that writes into the lake; wait for another that does.

    Raises WarehouseBusy, naming the holder, after `wait_s` seconds.
    """
    schema = lake.catalog.schema_name
    with connect(lake) as connection:
        connection.execute(KEEP_ALIVE)
        if holder := _acquire(connection, schema, lake.name, wait_s):
            raise WarehouseBusy(f"{lake.name}: {holder} {WRITES.format(wait_s)}")
        confirm(connection, lake)
        yield connection


@contextmanager
def hold_sources(
    lake: Lake, sources: Iterable[Source], wait_s: float | None = None
) -> Iterator[None]:
    """Be the one process that asks these sources, of all that use the lake's database.

    Raises SourceBusy, naming the holder, after `wait_s` seconds for one (WAIT_LIMIT_S).
    """
    wait_s = WAIT_LIMIT_S if wait_s is None else wait_s
    with connect(lake) as connection:
        connection.execute(KEEP_ALIVE)
        # In one order, so that no two wait for each other.
        for source in sorted(sources, key=lambda each: each.identity):
            name = f"source {source.name}"
            if holder := _acquire(connection, source.identity, name, wait_s):
                raise SourceBusy(f"{name}: {holder} {POLLS.format(wait_s)}")
        confirm(connection, lake)
        yield
        _warn_of_loss(connection, lake)


def _warn_of_loss(connection: psycopg.Connection, lake: Lake) -> None:
    """Say that sources were polled without their locks: what they brought is as good."""
    try:
        confirm(connection, lake)
    except (psycopg.Error, WarehouseError) as error:
        said = explain(lake, error) if isinstance(error, psycopg.Error) else error
        logger.warning("%s: others may have asked the same sources meanwhile", said)
        connection.close()


def confirm(connection: psycopg.Connection, lake: Lake) -> None:
    """Raise WarehouseError if the lock is not this connection's, as behind a pooler."""
    if connection.execute(OURS).fetchone() == (0,):
        problem = "the lock is lost: something pools the connections by transaction"
        raise WarehouseError(f"{lake.name}: {problem}. Name PostgreSQL itself as the host")


def _acquire(connection: psycopg.Connection, locked: str, name: str, wait_s: float) -> str | None:
    """Acquire the lock of what is locked; return who holds it if that takes too long."""
    if connection.execute(f"SELECT pg_try_advisory_lock({KEY})", [locked]).fetchone() == (True,):
        return None
    if wait_s:
        logger.warning("%s: waiting for %s", name, _read_holder(connection, locked))
    connection.execute(f"SET lock_timeout = {max(1, round(wait_s * 1000))}")
    try:
        connection.execute(f"SELECT pg_advisory_lock({KEY})", [locked])
    except psycopg.errors.LockNotAvailable:
        return _read_holder(connection, locked)
    return None


def _read_holder(connection: psycopg.Connection, locked: str) -> str:
    row = connection.execute(HOLDER + KEY, [locked]).fetchone()
    return str(row[0]) if row else "another process"


def explain(lake: Lake, error: psycopg.Error) -> str:
    """Return what PostgreSQL says, in one line without secrets, and what to do."""
    said = " ".join(str(error).split())
    hint = "Look at warehouse.lake.catalog, the variable it names, and the server"
    return f"{lake.hide(said)}. {hint}"


def name(statement: str, **names: str) -> Composed:
    """Return a statement to PostgreSQL with names in their places."""
    return SQL(statement).format(**{key: Identifier(value) for key, value in names.items()})


def read_path(catalog: psycopg.Connection, schema: str) -> str | None:
    """Return the path of a schema's files, without a slash at its end; None if it has no lake."""
    if not _exists(catalog, schema, "ducklake_metadata"):
        return None
    row = catalog.execute(name(DATA_PATH, schema=schema)).fetchone()
    return str(row[0]).rstrip("/") if row else None


def read_identity(catalog: psycopg.Connection, schema: str) -> str:
    """Return what no other catalog is called."""
    row = catalog.execute(IDENTITY, [schema]).fetchone()
    return str(row[0]) if row else ""


def read_publication(catalog: psycopg.Connection, schema: str) -> int | None:
    """Return the snapshot that readers see; None before the first publication."""
    if not _exists(catalog, schema, PUBLICATION):
        return None
    row = catalog.execute(name(PUBLISHED, schema=schema)).fetchone()
    return int(row[0]) if row else None


def _exists(catalog: psycopg.Connection, schema: str, table: str) -> bool:
    row = catalog.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{schema}.{table}"]).fetchone()
    return row == (True,)


def read_newest_snapshot(catalog: psycopg.Connection, schema: str) -> int:
    """Return the snapshot that was committed last. DuckLake would read the whole schema anew."""
    row = catalog.execute(name(NEWEST_SNAPSHOT, schema=schema)).fetchone()
    return int(row[0]) if row else 0


def write_publication(catalog: psycopg.Connection, schema: str, snapshot: int) -> None:
    """Let readers see this snapshot from now on."""
    with catalog.transaction():
        for statement in PUBLISH:
            catalog.execute(name(statement, schema=schema), {"snapshot": snapshot})


def read_newest_sequence(catalog: psycopg.Connection, schema: str) -> int:
    """Return the highest sequence number of the loaded runs; 0 if there is none."""
    if not _exists(catalog, schema, "ducklake_metadata"):
        return 0
    row = catalog.execute(name(NEWEST_SEQUENCE, schema=schema)).fetchone()
    return max(int(row[0] or 0), 0) if row else 0


def describe_empty(catalog: psycopg.Connection, schema: str) -> None:
    """Let DuckLake know of each table that never had a row that it has none."""
    with catalog.transaction():
        for statement in DESCRIBE_EMPTY:
            catalog.execute(name(statement, schema=schema))


def drop(catalog: psycopg.Connection, schema: str) -> None:
    """Drop a schema; nothing happens if there is none."""
    catalog.execute(name(DROP, schema=schema))


def replace(catalog: psycopg.Connection, schema: str, replayed: str) -> None:
    """Let a schema take the place of another, whole or not at all."""
    with catalog.transaction():
        drop(catalog, schema)
        catalog.execute(name(RENAME, schema=schema, replayed=replayed))

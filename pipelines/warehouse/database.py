"""Open a DuckDB file: the warehouse, brought to this version's schema, or the published copy."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import tenacity

from pipelines.errors import WarehouseBusy, WarehouseError, WarehouseNewer
from pipelines.landing import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

WAREHOUSE = "warehouse.duckdb"
PUBLISHED = "threads.duckdb"
BUSY_LIMIT_S = 60.0


@cache
def sql_directory() -> Path:
    """Return the folder of the SQL files: in a wheel inside the package, else beside it."""
    package = Path(__file__).parents[1]
    installed = package / "sql"
    return installed if installed.is_dir() else package.parent / "sql"


def read_sql(folder: str) -> list[tuple[str, str]]:
    """Return (name, text) of every SQL file of a folder, in the order of their names."""
    files = sorted((sql_directory() / folder).glob("*.sql"))
    return [(file.stem, file.read_text(encoding="utf-8")) for file in files]


class ArrowStream:
    """A polars frame as DuckDB can read it without pyarrow."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand over the frame (Arrow PyCapsule interface)."""
        return self._frame.__arrow_c_stream__(requested_schema)


@contextmanager
def open_warehouse(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse of a data directory for writing, made or upgraded if need be.

    Raises WarehouseBusy while another process holds it, WarehouseNewer for a newer version's file.
    """
    make_private(home)
    path = home / WAREHOUSE
    connection = _connect_in_turn(path)
    try:
        path.chmod(0o600)
        migrate(connection, path)
        yield connection
    finally:
        connection.close()


@contextmanager
def open_published(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published copy to read. Raises WarehouseError where nothing is published yet."""
    path = home / PUBLISHED
    if not path.exists():
        raise WarehouseError(f"{path}: nothing is published yet. Run `session-threads run` first")
    connection = _connect(path, read_only=True)
    try:
        yield connection
    finally:
        connection.close()


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(WarehouseBusy),
    wait=tenacity.wait_fixed(0.1),
    stop=tenacity.stop_after_delay(BUSY_LIMIT_S),
    reraise=True,
)
def _connect_in_turn(path: Path) -> duckdb.DuckDBPyConnection:
    """Open the warehouse as soon as nobody else has it open: each holds it for seconds."""
    return _connect(path, read_only=False)


def _connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        connection = duckdb.connect(str(path), read_only=read_only)
    except duckdb.IOException as error:
        first = str(error).splitlines()[0]
        if "lock" in first.lower():
            hint = "The next run loads what has landed"
            raise WarehouseBusy(f"{path}: another process has it open. {hint}") from None
        raise WarehouseError(f"{path}: cannot be opened ({first})") from None
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise WarehouseError(f"{path}: cannot be opened ({first})") from None
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def migrate(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Apply the migrations that the file has not seen, all of them or none."""
    connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER, name VARCHAR)")
    row = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()
    applied: int = row[0] if row else 0
    migrations = {int(name.partition("_")[0]): (name, text) for name, text in read_sql("schema")}
    if applied > max(migrations):
        raise WarehouseNewer(
            f"{path}: made by a newer version (schema {applied}, this one knows"
            f" {max(migrations)}). Upgrade session-threads"
        )
    pending = {version: item for version, item in migrations.items() if version > applied}
    with transaction(connection):
        for version, (name, text) in pending.items():
            try:
                connection.execute(text)
            except duckdb.Error as error:
                first = str(error).splitlines()[0]
                problem = f"{path}: cannot be upgraded, {name} fails ({first})"
                raise WarehouseError(f"{problem}. It is as it was; report this") from None
            connection.execute("INSERT INTO schema_version VALUES (?, ?)", [version, name])


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block does, or undo all of it."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def fetch_records(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[object] | None = None
) -> list[dict[str, Any]]:
    """Return a query's rows as dictionaries."""
    result = connection.execute(query, parameters)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

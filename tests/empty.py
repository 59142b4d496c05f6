"""Tables that hold nothing yet, made once a process: to make them takes as long as a small test."""

from __future__ import annotations

import atexit
from functools import cache
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb

from pipelines.files import make_private
from pipelines.warehouse.duckdb_file import DuckdbFile

if TYPE_CHECKING:
    from pipelines.warehouse.base import Warehouse

# Of the data directories whose tables are no file.
LAKES: dict[Path, Warehouse] = {}


def open_empty() -> duckdb.DuckDBPyConnection:
    """Return a new database in memory that has the tables, views and macros, and no row."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"ATTACH '{_make_file()}' AS empty (READ_ONLY)")
    connection.execute("COPY FROM DATABASE empty TO memory")
    connection.execute("DETACH empty")
    return connection


def open_tables(home: Path) -> Warehouse:
    """Return the warehouse of a data directory; its tables are there."""
    if home in LAKES:
        make_private(home)
        return LAKES[home]
    warehouse = DuckdbFile(home)
    if not warehouse.path.exists():
        make_private(home)
        copyfile(_make_file(), warehouse.path)
    return warehouse


@cache
def _make_file() -> Path:
    directory = TemporaryDirectory()
    atexit.register(directory.cleanup)
    warehouse = DuckdbFile(Path(directory.name))
    warehouse.prepare()
    return warehouse.path

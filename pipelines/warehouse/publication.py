"""The published copy: replaced at once, so that readers never meet a load and never block one."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from pipelines.errors import WarehouseError
from pipelines.files import sync_directory
from pipelines.warehouse.analyses import SCHEMA
from pipelines.warehouse.build import bring_up_to_date
from pipelines.warehouse.database import (
    PUBLISHED,
    WAREHOUSE,
    hold_warehouse,
    open_tables,
    quote,
    quote_name,
    read_sql,
    transaction,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pipelines.warehouse.analyses import Analysis


logger = logging.getLogger(__name__)


def publish(home: Path, analyses: Mapping[str, Analysis], *, whole: bool = False) -> Path:
    """Bring the file that readers open up to date with the warehouse; return its path.

    Analyses that are older than the newest load are built first; one that fails is logged.
    Where no thread changed since the last time, its copy gets the new rows of the ledger and the
    analyses, and the threads are not copied anew, unless `whole` asks for it. A reader that has the
    copy before open keeps it, whole, until it opens the file again. Raises WarehouseError, and
    leaves the copy of before, where the disk has no room.
    """
    path = home / PUBLISHED
    temporary = path.with_suffix(".tmp")
    with hold_warehouse(home), open_tables(home / WAREHOUSE) as connection:
        for problem in bring_up_to_date(connection, analyses):
            logger.warning("%s", problem)
        try:
            if whole or needs_whole_copy(connection, path):
                with attached(connection, temporary):
                    connection.execute("COPY FROM DATABASE warehouse TO published")
            else:
                shutil.copyfile(path, temporary)
                with attached(connection, temporary):
                    copy_ledger(connection)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except (duckdb.Error, OSError) as error:
            first = str(error).splitlines()[0]
            raise WarehouseError(
                f"{path}: cannot be published ({first}). The copy of before stays"
            ) from None
        sync_directory(home)
    return path


@contextmanager
def attached(
    connection: duckdb.DuckDBPyConnection, path: Path, options: str = ""
) -> Iterator[None]:
    """Attach a file as `published`; leave it whole, without a log beside it."""
    connection.execute(f"ATTACH {quote(str(path))} AS published {options}")
    try:
        if not options:
            path.chmod(0o600)
        yield
        if not options:
            connection.execute("CHECKPOINT published")
    finally:
        connection.execute("DETACH published")


def needs_whole_copy(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """Whether the copy is missing, unreadable, or differs in more than ledger and analyses."""
    if not path.exists():
        return True
    (_, query), _ = read_sql("publish")
    try:
        with attached(connection, path, "(READ_ONLY)"):
            return bool(connection.execute(query).fetchall())
    except duckdb.Error:
        return True


def copy_ledger(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the ledger and the analyses of `published` up to date, in one transaction."""
    _, (_, statements) = read_sql("publish")
    analyses = connection.execute(
        "SELECT table_name FROM duckdb_tables()"
        " WHERE schema_name = ? AND database_name = current_database()",
        [SCHEMA],
    ).fetchall()
    with transaction(connection):
        connection.execute(statements)
        for (name,) in analyses:
            table = f"{SCHEMA}.{quote_name(name)}"
            connection.execute(f"DELETE FROM published.{table}")  # noqa: S608 - one of ours
            connection.execute(f"INSERT INTO published.{table} BY NAME FROM {table}")

"""How DuckDB opens a file of tables, and what it says of one that it cannot open."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from pipelines.errors import WarehouseBusy, WarehouseError
from pipelines.files import replace_synced
from pipelines.warehouse.sql import hide_progress, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

# The copy that people read.
PUBLISHED = "threads.duckdb"
# The format of a file, in which text costs half as much to write as in that of DuckDB's first
# version, which 1.x takes by itself; 2.x takes one that 1.x cannot read.
FORMAT = "STORAGE_VERSION 'v1.3.0'"
# The file changes at checkpoints alone: a publication, a large commit, the end of a process. They
# cost much less than a log of each transaction, and what a killed process takes has landed.
WITHOUT_LOG = f"{FORMAT}, RECOVERY_MODE no_wal_writes"
DAMAGED = "If it is damaged, move it away: session-threads replay makes it anew"


def open_memory(spilled: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Return a connection to an empty database in memory, which spills into this directory.

    Without one it is that of DuckDB, where the process runs.
    """
    connection = duckdb.connect(":memory:", config={"temp_directory": str(spilled or ".tmp")})
    hide_progress(connection)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def attach(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str, mode: str = WITHOUT_LOG
) -> None:
    """Let a connection's tables be those of a file, under this name. Raises WarehouseError."""
    with explain_failures(path):
        statement = f"ATTACH {quote(str(path))} AS {name}"
        try:
            connection.execute(f"{statement} ({mode})")
        except duckdb.InvalidInputException:
            # A file that DuckDB 2 has made keeps its format.
            connection.execute(f"{statement} ({mode.removeprefix(FORMAT).removeprefix(', ')})")
        connection.execute(f"USE {name}")


def make_whole(path: Path) -> None:
    """Let there be a file, whole, and no log of it; the caller holds its lock.

    What a process leaves that is killed while DuckDB makes a file nobody can open: it is made under
    another name. A log that was left (by an older version, another program, or as the mark of a
    checkpoint that was not finished) may end in the middle: then DuckDB, without a log from there
    on, crashes at a checkpoint. Raises WarehouseError; duckdb.Error if the disk is full.
    """
    # DuckDB has it beside the file that a link leads to; a disk that is not there stays missing.
    path = Path(os.path.realpath(path))
    log = path.with_name(f"{path.name}.wal")
    if path.exists() and not log.exists():
        return
    whole = path if path.exists() else path.with_name(f"{path.name}.new")
    try:
        if whole != path:
            whole.unlink(missing_ok=True)
        _take_over(whole, log)
        if whole != path:
            replace_synced(whole, path)
    except OSError as error:
        raise WarehouseError(f"{path}: cannot be made ({error.strerror})") from None


def _take_over(path: Path, log: Path) -> None:
    """Put all of a file and its log into the file, which is made if there is none; remove the log.

    What is left of the log nobody can read, or it is of a file that was moved away.
    """
    with closing(open_memory()) as connection:
        attach(connection, path, "whole", "READ_WRITE" if path.exists() else FORMAT)
        # What fails here is no damage: a full disk, with which all stays as it was.
        connection.execute("CHECKPOINT")
        # While nobody else can open the file, and begin a log of theirs.
        log.unlink(missing_ok=True)


def open_to_read(path: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection to a file, to read. Raises WarehouseError."""
    with explain_failures(path):
        return duckdb.connect(str(path), read_only=True)


@contextmanager
def explain_failures(path: Path) -> Iterator[None]:
    """Raise what DuckDB says of a file that it cannot open as WarehouseError, in one line."""
    try:
        yield
    except duckdb.Error as error:
        first = first_line(error)
        if isinstance(error, duckdb.IOException) and "lock" in first.lower():
            hint = f"Close it there, read {PUBLISHED} instead; the next run loads what has landed"
            raise WarehouseBusy(f"{path}: another program has it open ({first}). {hint}") from None
        raise WarehouseError(f"{path}: cannot be opened ({first}). {DAMAGED}") from None


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return (str(error).splitlines() or [""])[0]

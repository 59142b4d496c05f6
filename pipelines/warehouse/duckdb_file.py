"""Open a DuckDB file: the warehouse, brought to this version's schema, or the published copy."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import filelock

from pipelines.errors import WarehouseBusy, WarehouseError, WarehouseNewer, WarehouseOlder
from pipelines.files import list_seeds, make_private, replace_file, sql_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import polars as pl

logger = logging.getLogger(__name__)

WAREHOUSE = "warehouse.duckdb"
PUBLISHED = "threads.duckdb"
LOCK = "warehouse.lock"
HOLDER = "warehouse.holder"
# What a killed writer may leave behind: unfinished files, and what DuckDB spilled to disk.
LEFTOVERS = (f"{PUBLISHED}.*.tmp", "replay.tmp*", f"{WAREHOUSE}.tmp", f"{HOLDER}.*.tmp")
WAIT_LIMIT_S = 600.0
REPLAY_HINT = "Rebuild it from the landed pages: session-threads replay"
SCHEMA_VERSION = """
    CREATE TABLE IF NOT EXISTS schema_version (version INTEGER, name VARCHAR, views VARCHAR)
"""


def read_sql(folder: str) -> list[tuple[str, str]]:
    """Return (name, text) of every SQL file of one of our folders, in the order of their names."""
    files = sorted((sql_directory() / folder).glob("*.sql"))
    return [(file.stem, file.read_text(encoding="utf-8")) for file in files]


def quote(text: str) -> str:
    """Return the text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """Return the name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


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

    Raises WarehouseBusy where another process has not let go of it in time, WarehouseNewer for a
    newer version's file.
    """
    with lock(home), open_tables(home / WAREHOUSE) as connection:
        yield connection


@contextmanager
def lock(home: Path) -> Iterator[None]:
    """Be the one process that writes in the data directory; wait for another that does.

    The operating system takes the lock from a process that dies. Raises WarehouseBusy, naming the
    holder, after WAIT_LIMIT_S seconds.
    """
    make_private(home)
    file_lock = filelock.FileLock(home / LOCK, mode=0o600)
    try:
        file_lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.warning("%s: waiting for %s", home, _read_holder(home))
        try:
            file_lock.acquire(timeout=WAIT_LIMIT_S)
        except filelock.Timeout:
            waited = f"{_read_holder(home)} has written for more than {WAIT_LIMIT_S:.0f} s"
            hint = "The next run loads what has landed"
            raise WarehouseBusy(f"{home / WAREHOUSE}: {waited}. {hint}") from None
    except OSError as error:
        raise WarehouseError(f"{home / LOCK}: cannot be locked ({error})") from None
    try:
        _name_holder(home)
        _remove_leftovers(home)
        yield
    finally:
        _remove_leftovers(home)
        file_lock.release()


def _name_holder(home: Path) -> None:
    """Say who holds the lock; where the disk is full, the lock holds all the same."""
    with suppress(OSError), replace_file(home / HOLDER) as file:
        file.write(f"process {os.getpid()} ({Path(sys.argv[0]).name})".encode())


def _read_holder(home: Path) -> str:
    try:
        return (home / HOLDER).read_text(encoding="utf-8")
    except OSError:
        return "another process"


def _remove_leftovers(home: Path) -> None:
    for pattern in LEFTOVERS:
        for path in home.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def open_tables(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a file of tables for writing, made or upgraded if need be; the caller holds the lock."""
    connection = _connect(path, read_only=False)
    try:
        path.chmod(0o600)
        migrate(connection, path)
        yield connection
        connection.close()
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise WarehouseError(f"{path}: {first}. What was not finished is undone") from None
    finally:
        connection.close()


def list_loaded_runs(path: Path) -> list[str]:
    """Return the ids of a file's runs in the order in which they were loaded.

    An older version's file is read as it is. Raises WarehouseError, WarehouseNewer.
    """
    query = "SELECT run_id FROM runs ORDER BY rowid"
    try:
        with open_tables(path) as connection:
            rows = connection.execute(query).fetchall()
    except WarehouseOlder:
        with closing(_connect(path, read_only=False)) as connection:
            rows = connection.execute(query).fetchall()
    return [run_id for (run_id,) in rows]


def read_newest_sequence(home: Path) -> int:
    """Return the highest sequence number of the runs that were loaded; 0 if there is none to read.

    It waits for nobody: who is writing in the data directory has a number that is in its landing
    directory, and an unreadable or older warehouse has none.
    """
    path = home / WAREHOUSE
    if not path.exists():
        return 0
    file_lock = filelock.FileLock(home / LOCK, mode=0o600)
    try:
        with (
            file_lock.acquire(timeout=0),
            closing(_connect(path, read_only=True)) as connection,
        ):
            (highest,) = connection.execute("SELECT max(sequence) FROM runs").fetchall()[0]
    except (filelock.Timeout, OSError, duckdb.Error, WarehouseError):
        return 0
    return max(highest or 0, 0)


@contextmanager
def open_published(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published copy to read. Raises WarehouseError where nothing is published yet."""
    connection = _connect(_find_published(home), read_only=True)
    try:
        yield connection
    finally:
        connection.close()


def attach_published(home: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection to read the newest published copy with, for as long as you keep it.

    It may hold temporary tables of yours. Of one process, those who connect to a path are all given
    the copy that the first of them opened; attached, each has its own. Raises WarehouseError.
    """
    path = _find_published(home)
    connection = _connect(Path(":memory:"), read_only=False)
    try:
        connection.execute(f"ATTACH {quote(str(path))} AS published (READ_ONLY)")
        connection.execute("USE published")
    except duckdb.Error as error:
        connection.close()
        first = str(error).splitlines()[0]
        raise WarehouseError(f"{path}: cannot be opened ({first})") from None
    return connection


def _find_published(home: Path) -> Path:
    path = home / PUBLISHED
    if not path.exists():
        raise WarehouseError(f"{path}: nothing is published yet. Run `session-threads run` first")
    return path


def _connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        connection = duckdb.connect(str(path), read_only=read_only)
    except duckdb.IOException as error:
        first = str(error).splitlines()[0]
        if "lock" in first.lower():
            hint = f"Close it there, read {PUBLISHED} instead; the next run loads what has landed"
            raise WarehouseBusy(f"{path}: another program has it open ({first}). {hint}") from None
        raise WarehouseError(f"{path}: cannot be opened ({first})") from None
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise WarehouseError(f"{path}: cannot be opened ({first})") from None
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def migrate(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Bring a file to this version's schema, whole or not at all: tables, then seeds and views.

    Raises WarehouseNewer for a newer version's file, WarehouseOlder for one made before the first
    release.
    """
    connection.execute(SCHEMA_VERSION)
    applied = dict(connection.execute("SELECT version, name FROM schema_version").fetchall())
    migrations = {
        int(name.partition("_")[0]): (name, text) for name, text in read_sql("migrations")
    }
    check_schema(path, applied, {version: name for version, (name, _) in migrations.items()})
    pending = {version: item for version, item in migrations.items() if version not in applied}
    with transaction(connection):
        for version, (name, text) in pending.items():
            _define(connection, path, name, text)
            connection.execute(
                "INSERT INTO schema_version (version, name) VALUES (?, ?)", [version, name]
            )
        _renew(connection, path)


def check_schema(path: Path, applied: Mapping[int, str], known: Mapping[int, str]) -> None:
    """Raise WarehouseNewer or WarehouseOlder where the file has migrations that are not known."""
    newest, newest_known = max(applied, default=0), max(known)
    if any(known.get(version, name) != name for version, name in applied.items()):
        problem = "made by an older version, before the first release"
        raise WarehouseOlder(f"{path}: {problem}. {REPLAY_HINT}")
    if newest > newest_known:
        raise WarehouseNewer(
            f"{path}: made by a newer version (schema {newest}, this one knows"
            f" {newest_known}). Upgrade session-threads"
        )


def _renew(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Fill the seeds, and create the views and macros, if the file holds another version's."""
    views, seeds = read_sql("views"), list_seeds()
    texts = [text for _, text in views] + [seed.read_text(encoding="utf-8") for seed in seeds]
    digest = hashlib.sha256("".join(texts).encode()).hexdigest()[:12]
    current = connection.execute("SELECT max(views) FROM schema_version").fetchone()
    if current == (digest,):
        return
    for seed in seeds:
        connection.execute(f"DELETE FROM {seed.stem}")  # noqa: S608 - the name of a file of ours
        connection.execute(f"INSERT INTO {seed.stem} BY NAME FROM read_csv(?)", [str(seed)])
    for name, text in views:
        _define(connection, path, name, text)
    connection.execute("UPDATE schema_version SET views = ?", [digest])


def _define(connection: duckdb.DuckDBPyConnection, path: Path, name: str, text: str) -> None:
    try:
        connection.execute(text)
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        problem = f"{path}: cannot be upgraded, {name} fails ({first})"
        raise WarehouseError(f"{problem}. It is as it was; report this") from None


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

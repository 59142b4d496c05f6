"""SQL: the files in sql/, names and literals, transactions, rows and frames."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import duckdb

from pipelines.files import sql_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import ExitStack

    import polars as pl


def read_sql(folder: str) -> list[tuple[str, str]]:
    """Return (name, text) of every SQL file of a folder of sql/, in the order of their names."""
    files = sorted((sql_directory() / folder).glob("*.sql"))
    return [(file.stem, file.read_text(encoding="utf-8")) for file in files]


@cache
def read_query(folder: str, name: str) -> str:
    """Return the text of one SQL file of ours."""
    return (sql_directory() / folder / f"{name}.sql").read_text(encoding="utf-8")


def quote(text: str) -> str:
    """Return the text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """Return the name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


class ArrowStream:
    """A polars frame, or what another connection gives, as DuckDB can read it without pyarrow."""

    def __init__(self, frame: pl.DataFrame | duckdb.DuckDBPyRelation) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Hand over the frame (Arrow PyCapsule interface)."""
        return self._frame.__arrow_c_stream__(requested_schema)


def register(
    connection: duckdb.DuckDBPyConnection, views: ExitStack, **frames: pl.DataFrame
) -> None:
    """Let queries read the frames by their names, until `views` ends."""
    for name, frame in frames.items():
        connection.register(name, ArrowStream(frame))
        views.callback(connection.unregister, name)


_SEALING = threading.Lock()
PROGRESS = "enable_progress_bar"
# What DuckDB takes for a few rows, as all that a lake's transaction wrote, may be many: it would
# compare each of them with each row of the other side.
WITHOUT_LOOPS = "SET GLOBAL asof_loop_join_threshold = 0; SET GLOBAL nested_loop_join_threshold = 0"


def seal(
    connection: duckdb.DuckDBPyConnection,
    outputs: Sequence[str] = (),
    tuned: Sequence[str] = (),
) -> None:
    """Keep every later query from all files but these, the network, and settings not to be tuned.

    That holds for each connection of this process to the database, for as long as it is open.
    """
    with _SEALING:  # threads may open one database, and settings that are locked raise
        query = "SELECT current_setting('lock_configuration')"
        if connection.execute(query).fetchall() == [(False,)]:
            allowed = f"SET allowed_paths = [{', '.join(map(quote, outputs))}]" if outputs else ""
            connection.execute(f"""
                SET GLOBAL TimeZone = 'UTC';
                {WITHOUT_LOOPS};
                {allowed};
                SET allowed_configs = [{", ".join(map(quote, (PROGRESS, *tuned)))}];
                SET enable_external_access = false;
                SET lock_configuration = true;
            """)
    hide_progress(connection)


def hide_progress(connection: duckdb.DuckDBPyConnection) -> None:
    """Let DuckDB draw no bars: it takes a process that another one started for a person's shell."""
    connection.execute(f"SET {PROGRESS} = false")


def limit_memory(connection: duckdb.DuckDBPyConnection, megabytes: int | None) -> None:
    """Let queries hold so much in memory, and the rest on disk; with None as DuckDB would.

    A connection that was sealed without a limit stays without one.
    """
    state = """
        SELECT
            current_setting('lock_configuration'),
            list_contains(current_setting('allowed_configs'), 'max_memory')
    """
    ((is_locked, is_allowed),) = connection.execute(state).fetchall()
    if not is_locked:
        connection.execute(f"SET GLOBAL allowed_configs = ['max_memory', '{PROGRESS}']")
    if not is_locked or is_allowed:
        limit = f"{megabytes}MB" if megabytes else _find_most(connection)
        connection.execute(f"SET GLOBAL max_memory = {quote(limit)}")


def _find_most(connection: duckdb.DuckDBPyConnection) -> str:
    # RESET changes what DuckDB says, and not what it does.
    connection.execute("RESET GLOBAL max_memory")
    return str(connection.execute("SELECT current_setting('max_memory')").fetchall()[0][0])


class Undone(Exception):
    """Something within a transaction has failed, and so all of it is undone."""


# Connections by their ids: those in a transaction, those of which a part has failed, and what is
# to be checked before each commit.
_OPEN: set[int] = set()
_FAILED: set[int] = set()
_GUARDS: dict[int, Callable[[], None]] = {}


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block does, or undo all of it; within another it joins that one.

    If a block that has joined raises, nothing of the whole is committed: Undone says so to whoever
    goes on.
    """
    if is_open(connection):
        with _joined(id(connection)):
            yield
        return
    connection.begin()
    _OPEN.add(id(connection))
    try:
        yield
        _conclude(connection)
    except BaseException as error:
        connection.rollback()
        if id(connection) in _FAILED and isinstance(error, duckdb.TransactionException):
            raise Undone from None  # of whoever went on
        raise
    finally:
        _OPEN.discard(id(connection))
        _FAILED.discard(id(connection))


def is_open(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a transaction is open, which others join."""
    return id(connection) in _OPEN


def commit_so_far(connection: duckdb.DuckDBPyConnection) -> None:
    """Commit what a transaction has done, if one is open, and begin another in its place."""
    if is_open(connection):
        _conclude(connection)
        connection.begin()


@contextmanager
def guarded(connection: duckdb.DuckDBPyConnection, check: Callable[[], None]) -> Iterator[None]:
    """Let each transaction of the block commit only if the check does not raise."""
    _GUARDS[id(connection)] = check
    try:
        yield
    finally:
        del _GUARDS[id(connection)]


@contextmanager
def _joined(key: int) -> Iterator[None]:
    if key in _FAILED:
        raise Undone
    try:
        yield
    except BaseException:
        _FAILED.add(key)
        raise


def _conclude(connection: duckdb.DuckDBPyConnection) -> None:
    if id(connection) in _FAILED:
        raise Undone
    if id(connection) in _GUARDS:
        _GUARDS[id(connection)]()
    connection.commit()


def fetch_records(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[object] | None = None
) -> list[dict[str, Any]]:
    """Return a query's rows as dictionaries."""
    result = connection.execute(query, parameters)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

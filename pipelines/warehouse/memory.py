"""Bound what DuckDB holds in memory: it takes whatever it may, and spills to disk only then."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import duckdb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Result = TypeVar("Result")
# With less, much that is small would run out of it.
LEAST_MIB = 128


def spare_memory(
    connection: duckdb.DuckDBPyConnection, mib: int, work: Callable[[], Result]
) -> Result:
    """Return what the work returns, done in so much memory; where that is too little, without.

    Work that fails must undo what it did, for it may be done twice.
    """
    try:
        with limit_memory(connection, max(mib, LEAST_MIB)):
            return work()
    except (duckdb.OutOfMemoryException, duckdb.TransactionException):
        # A guess may be too low, which a commit calls an error of the transaction: better much
        # memory than no result.
        return work()


@contextmanager
def limit_memory(connection: duckdb.DuckDBPyConnection, mib: int) -> Iterator[None]:
    """Let DuckDB hold so much before it spills to disk; afterwards as much as before."""
    (before,) = connection.execute("SELECT current_setting('memory_limit')").fetchall()[0]
    connection.execute(f"SET memory_limit = '{mib}MiB'")
    try:
        yield
    finally:
        # RESET would say so, and keep the limit. The setting is read cut to a tenth, '18.8 GiB':
        # half a tenth more, so that it does not shrink each time.
        connection.execute(f"SET memory_limit = '{before.replace(' ', '5 ')}'")

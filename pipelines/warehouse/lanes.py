"""Small analyses are built side by side, each on a connection that has one core."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import duckdb

from pipelines.warehouse.sql import is_open, limit_memory, read_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipelines.warehouse.analyses import Analysis

Result = TypeVar("Result")
POLL_S = 0.1
LEAST_MB = 100
LIMIT_S = 300.0
# What takes longest is begun first, or one core would wait for the other at the end.
LONGEST = ("survival", "time_in_status", "agent_versions")


class Failure(NamedTuple):
    """A query that failed, after so many seconds."""

    analysis: Analysis
    error: duckdb.Error
    seconds: float


@contextmanager
def open_lanes(
    connection: duckdb.DuckDBPyConnection, memory_mb: int | None = None
) -> Iterator[list[duckdb.DuckDBPyConnection]]:
    """Give the connections to build on at once: this one alone, or several with one core each.

    Small tables are no work that DuckDB could divide, and gain nothing from more than half of the
    memory. Raises KeyboardInterrupt if Ctrl-C ends a query.
    """
    cores = count = 1
    if not is_open(connection):  # what a transaction has written no other connection sees
        ((cores, count),) = connection.execute(read_query("ledger", "cores")).fetchall()
    if memory_mb is not None and count > 1:
        limit_memory(connection, max(memory_mb // 2, LEAST_MB))
    try:
        if count == 1:
            yield [connection]
            return
        with ExitStack() as lanes:
            lanes.callback(connection.execute, f"SET GLOBAL threads = {cores}")
            connection.execute("SET GLOBAL threads = 1")
            yield [lanes.enter_context(closing(connection.cursor())) for _ in range(count)]
    except RuntimeError:
        # So DuckDB says it.
        raise KeyboardInterrupt from None


def run_lanes(
    lanes: Sequence[duckdb.DuckDBPyConnection],
    analyses: Sequence[Analysis],
    build: Callable[[duckdb.DuckDBPyConnection, Analysis], Result],
) -> tuple[list[Result], list[Failure]]:
    """Build each on a connection that is free; return what that gave, and which queries failed.

    Those that take longest come first. After a failure no other is begun.
    """
    waiting = iter(sorted(analyses, key=lambda analysis: analysis.name not in LONGEST))
    results: list[Result] = []
    failures: list[Failure] = []

    def run(lane: duckdb.DuckDBPyConnection) -> None:
        for analysis in waiting:
            started = time.monotonic()
            try:
                results.append(build(lane, analysis))
            except duckdb.Error as error:
                failures.append(Failure(analysis, error, time.monotonic() - started))
                _drain(waiting)

    if len(lanes) == 1:
        run(lanes[0])  # in this thread, where DuckDB notices Ctrl-C
    else:
        _run_all(lanes, waiting, run)
    return results, failures


def _run_all(
    lanes: Sequence[duckdb.DuckDBPyConnection],
    waiting: Iterator[Analysis],
    run: Callable[[duckdb.DuckDBPyConnection], None],
) -> None:
    with ThreadPoolExecutor(len(lanes)) as pool:
        running = [pool.submit(run, lane) for lane in lanes]
        try:
            while wait(running, timeout=POLL_S).not_done:
                pass  # between waits, in this thread, Python notices Ctrl-C
        except BaseException:
            _drain(waiting)
            while wait(running, timeout=POLL_S).not_done:  # one may have been between two queries
                for lane in lanes:
                    lane.interrupt()
            raise
        for each in running:
            each.result()


@contextmanager
def time_limit(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """End what runs on the connection after LIMIT_S seconds: others wait for the warehouse."""
    timer = threading.Timer(LIMIT_S, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _drain(waiting: Iterator[Analysis]) -> None:
    for _ in waiting:
        pass

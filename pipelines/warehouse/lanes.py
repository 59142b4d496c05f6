"""Small analyses are built side by side, each on a connection that has one core."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, TypeVar

from pipelines.warehouse.sql import is_open, limit_memory, quote_name, read_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import duckdb

    from pipelines.warehouse.analysis import Analysis

Result = TypeVar("Result")
POLL_S = 0.1
LEAST_MB = 100
MOST = 4
LIMIT_S = 300.0
# What takes longest is begun first, or one core would wait for the other at the end.
LONGEST = ("survival", "time_in_status", "agent_versions")


@contextmanager
def open_lanes(
    connection: duckdb.DuckDBPyConnection, memory_mb: int | None = None
) -> Iterator[list[duckdb.DuckDBPyConnection]]:
    """Give the connections to build on at once: this one alone, or several with one core each.

    Small tables are no work that DuckDB could divide, and gain nothing from more than half of the
    memory. Raises KeyboardInterrupt if Ctrl-C ends a query.
    """
    cores = count_cores(connection)
    # What a transaction has written no other connection sees.
    count = 1 if is_open(connection) or not is_small(connection) else min(cores, MOST)
    if memory_mb is not None and count > 1:
        limit_memory(connection, max(memory_mb // 2, LEAST_MB))
    try:
        if count == 1:
            yield [connection]
            return
        with ExitStack() as lanes:
            lanes.callback(connection.execute, f"SET GLOBAL threads = {cores}")
            connection.execute("SET GLOBAL threads = 1")
            yield [lanes.enter_context(_open_lane(connection)) for _ in range(count)]
    except RuntimeError as error:
        if "interrupted" in str(error):  # so DuckDB says it
            raise KeyboardInterrupt from None
        raise


def is_small(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the tables are in a file, and few enough that DuckDB does not divide a query."""
    return connection.execute(read_query("ledger", "is_small")).fetchall() == [(True,)]


def count_cores(connection: duckdb.DuckDBPyConnection) -> int:
    """Return on how many cores to build: 1 if DuckDB's number of threads is locked."""
    query = "SELECT current_setting('threads')::INTEGER, current_setting('allowed_configs')"
    ((cores, allowed),) = connection.execute(query).fetchall()
    return int(cores) if "threads" in allowed else 1


@contextmanager
def _open_lane(
    connection: duckdb.DuckDBPyConnection,
) -> Iterator[duckdb.DuckDBPyConnection]:
    ((database,),) = connection.execute("SELECT current_database()").fetchall()
    with closing(connection.cursor()) as lane:
        lane.execute(f"USE {quote_name(database)}")
        yield lane


def run_lanes(
    lanes: Sequence[duckdb.DuckDBPyConnection],
    analyses: Mapping[str, Analysis],
    build: Callable[[duckdb.DuckDBPyConnection, Analysis], Result],
) -> list[Result]:
    """Build each after those that it reads, on a connection that is free; return what that gave."""
    if len(lanes) == 1:  # in this thread, where DuckDB notices Ctrl-C
        return [build(lanes[0], analysis) for analysis in analyses.values()]
    with ThreadPoolExecutor(len(lanes)) as pool:
        running: dict[Future[Result], tuple[str, duckdb.DuckDBPyConnection]] = {}
        try:
            return list(_run_in_order(pool, list(lanes), analyses, build, running))
        except BaseException:
            while wait(running, timeout=POLL_S).not_done:  # one may have been between two queries
                for lane in lanes:
                    lane.interrupt()
            raise


def _run_in_order(
    pool: ThreadPoolExecutor,
    free: list[duckdb.DuckDBPyConnection],
    analyses: Mapping[str, Analysis],
    build: Callable[[duckdb.DuckDBPyConnection, Analysis], Result],
    running: dict[Future[Result], tuple[str, duckdb.DuckDBPyConnection]],
) -> Iterator[Result]:
    """Yield what each build gave, as it ends: between waits, in this thread, Python sees Ctrl-C."""
    order = TopologicalSorter({name: a.after & analyses.keys() for name, a in analyses.items()})
    order.prepare()
    ranks, ready = rank(analyses), list[str]()
    while order.is_active():
        ready = sorted([*ready, *order.get_ready()], key=ranks.__getitem__)
        while ready and free:
            name, lane = ready.pop(), free.pop()
            running[pool.submit(build, lane, analyses[name])] = name, lane
        for future in wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED).done:
            name, lane = running.pop(future)
            free.append(lane)
            order.done(name)
            yield future.result()


def rank(analyses: Mapping[str, Analysis]) -> dict[str, tuple[int, bool]]:
    """Return what is to be begun last with the lowest rank: what others wait for comes first.

    `analyses` are in the order of list_analyses, each after those that it reads.
    """
    ranks: dict[str, tuple[int, bool]] = {}
    for name in reversed(list(analyses)):
        above = [ranks[other][0] + 1 for other in ranks if name in analyses[other].after]
        ranks[name] = max(above, default=0), name in LONGEST
    return ranks


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

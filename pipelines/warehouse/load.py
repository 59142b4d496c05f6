"""Load landed runs into the tables: each run whole, once, in the order of their sequence."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from pipelines.errors import LandingError, LoadRejected
from pipelines.frames.drift import Drift
from pipelines.frames.known import ThreadDigests
from pipelines.frames.lookups import lookups_frame
from pipelines.frames.polls import correct_pages, polls_frame, run_error
from pipelines.frames.threads import threads_frame
from pipelines.frames.values import TIMESTAMP
from pipelines.landing.aside import Tries
from pipelines.landing.directory import list_runs
from pipelines.landing.format import MOVE_HINT, read_run
from pipelines.landing.retention import prune_runs, remove_unfinished
from pipelines.providers.registry import find_endpoint
from pipelines.records import THREAD_ENDPOINT, THREADS_ENDPOINT
from pipelines.warehouse.ledger import read_ages
from pipelines.warehouse.registry import lists_sessions, registry_frames
from pipelines.warehouse.repeats import PollDigests, read_known
from pipelines.warehouse.sql import ArrowStream, read_query, read_sql, transaction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from pipelines.landing.format import Landed
    from pipelines.providers.documented import Documented
    from pipelines.records import Poll

RUN = pl.Schema(
    {
        "run_id": pl.String(),
        "sequence": pl.Int64(),
        "started_at": TIMESTAMP,
        "finished_at": TIMESTAMP,
        "version": pl.String(),
        "door": pl.String(),
    }
)
# Of a page; a look-up that found no thread has landed with another.
OK = 200
# What there is to do only if threads were read, if they hold new fields or values, and if a source
# was asked for its sessions.
OF_THREADS = frozenset({"1_compare", "2_history", "2_silences", "3_apply", "3_digests", "3_sums"})
OF_DRIFT, OF_LISTINGS = "5_drift", "5_sessions"
# What returns a row if something is wrong.
SUMS, CHECK = "3_sums", "6_check"
FIX = "The tables are as before; `session-threads replay` rebuilds them from the landed pages"


def load_landed(
    tables: duckdb.DuckDBPyConnection, directory: Path, keep_days: int | None = None
) -> list[str]:
    """Load every run that landed in the directory and is not in the tables; return their ids.

    More than one if an earlier run was interrupted between landing and loading. One whose load
    fails the second time is set aside, and the next ones are loaded. After that, and only then,
    landed files older than `keep_days` are removed, and unfinished ones of killed runs.
    """
    loaded = {run_id for (run_id,) in tables.execute("SELECT run_id FROM runs").fetchall()}
    runs = list_runs(directory)
    pending = {run_id: path for run_id, path in runs.items() if run_id not in loaded}
    done = [run_id for run_id, path in pending.items() if load_or_set_aside(tables, path)]
    ages = read_ages(tables)
    remove_unfinished(directory, ages)
    if keep_days is not None:
        prune_runs(directory, ages, keep_days)
    return done


def load_or_set_aside(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """Load a landed file, or set it aside if that has failed twice; return whether it is loaded.

    The first time it raises what has failed. Faults of the machine do not count.
    """
    tries = Tries(path)
    if not tries.are_spent:
        tries.begin()
        try:
            load_file(connection, path)
        except (LandingError, LoadRejected, duckdb.OutOfMemoryException, MemoryError):
            tries.fail()
            if not tries.are_spent:
                raise
        except BaseException:
            tries.take_back()
            raise
        else:
            tries.forget()
            return True
    tries.set_aside()
    return False


def load_file(connection: duckdb.DuckDBPyConnection, path: Path) -> str:
    """Load a landed file; return its run's id. Raises LandingError if it is damaged."""
    landed = read_run(path)
    try:
        load_run(connection, landed)
    except LandingError as error:
        raise LandingError(f"{path}: {error}. {MOVE_HINT}") from None
    return landed.run.id


def load_run(connection: duckdb.DuckDBPyConnection, landed: Landed) -> None:
    """Load one run in one transaction. Loading it again changes nothing.

    Leaves the tables as they were, and raises LoadRejected if a check finds a row,
    LandingError if a body is no page.
    """
    digests = PollDigests(landed, read_known(connection))
    skipped = set() if lists_sessions(landed) else {OF_LISTINGS}
    with ExitStack() as views:
        register(
            connection,
            views,
            landed_run=run_frame(landed),
            landed_polls=polls_frame(thread_polls(landed)),
            landed_digests=digests.frame(),
            **registry_frames(landed),
        )
        connection.execute(read_query("stage", "1_polls"))
        sessions = find_news(connection)
        if sessions.is_empty():
            apply(connection, landed, {*skipped, OF_DRIFT, *OF_THREADS})
            return
        with reading(connection):
            drift = Drift(documented_of(landed), read_drift(connection))
            stage_threads(connection, landed, sessions, drift)
            growing = connection.execute(read_query("ledger", "growing_sessions")).fetchall()
            states, found = digests.states_frame(growing), drift.frame()
            register(connection, views, landed_drift=found, landed_states=states)
            apply(connection, landed, {*skipped, OF_DRIFT} if found.is_empty() else skipped)


@contextmanager
def reading(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Load threads in the block: with one thread, and no temporary table of theirs after it.

    More threads make a load no faster, and each needs buffers.
    """
    connection.execute("SET threads = 1")
    try:
        yield
    finally:
        connection.execute(read_query("stage", "6_end"))
        connection.execute("RESET threads")


def apply(connection: duckdb.DuckDBPyConnection, landed: Landed, skipped: Collection[str]) -> None:
    """Take the staged run into the tables, but for the statements that have nothing to do."""
    with transaction(connection):
        for name, statement in read_sql("load"):
            if name in skipped:
                continue
            found = connection.execute(statement).fetchall()
            if name == SUMS and found:
                found = connection.execute(read_query("ledger", "contradictions")).fetchall()
            if name in {SUMS, CHECK} and found:
                lines = "; ".join(line for (line,) in found)
                raise LoadRejected(f"run {landed.run.id} is not loaded: {lines}. {FIX}")


def register(
    connection: duckdb.DuckDBPyConnection, views: ExitStack, **frames: pl.DataFrame
) -> None:
    """Let queries read the frames by their names, until `views` ends."""
    for name, frame in frames.items():
        connection.register(name, ArrowStream(frame))
        views.callback(connection.unregister, name)


def find_news(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return the sessions of the staged run whose threads are to be read."""
    rows = connection.execute(read_query("stage", "2_sessions")).fetchall()
    schema = dict.fromkeys(("source", "session_id"), pl.String())
    return pl.DataFrame(rows, schema=schema, orient="row")


def stage_threads(
    connection: duckdb.DuckDBPyConnection, landed: Landed, sessions: pl.DataFrame, drift: Drift
) -> None:
    """Fill the tables `incoming_…` with the threads of these sessions, a batch of pages at a time.

    What a transaction writes stays in memory; these tables are seen by nobody else.
    """
    connection.execute(read_query("stage", "3_tables"))
    polls, keep = thread_polls(landed), landed.run.keep_agent_definition
    known = pl.DataFrame(connection.sql(read_query("ledger", "known_threads")))["digest"]
    digests = ThreadDigests(polls, known, keep_agent_definition=keep)
    for pages in landed.read_batches():
        news = pages.join(sessions, on=sessions.columns, how="semi", maintain_order="left")
        news = correct_pages(news, polls)
        is_of_threads = pl.col("endpoint").is_in((THREADS_ENDPOINT, THREAD_ENDPOINT))
        came, seen = digests.leave_known(news.filter(is_of_threads, status=OK))
        threads = threads_frame(came, polls, keep_agent_definition=keep, drift=drift)
        lookups = lookups_frame(news)
        with ExitStack() as views:
            register(
                connection,
                views,
                landed_threads=threads,
                landed_seen=seen,
                landed_lookups=lookups,
            )
            connection.execute(read_query("stage", "4_threads"))
    connection.execute(read_query("stage", "5_newest"))


def documented_of(landed: Landed) -> dict[str, Documented]:
    """Return what is documented of the threads of each source."""
    return {
        poll.source: find_endpoint(poll.endpoint, poll.provider).documented
        for poll in thread_polls(landed)
    }


def run_frame(landed: Landed) -> pl.DataFrame:
    """Return the run as one row with the schema RUN."""
    run, error = landed.run, run_error(landed.polls)
    times = (run.started_at - error, run.finished_at - error)
    row = (run.id, run.place, *times, run.version, run.door)
    return pl.DataFrame([row], schema=RUN, orient="row")


def thread_polls(landed: Landed) -> list[Poll]:
    """Return the run's polls of threads."""
    return [poll for poll in landed.polls if poll.endpoint == THREADS_ENDPOINT]


def read_drift(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str | None]]:
    """Return the paths, and the values of enumerations, that were found earlier."""
    return connection.execute("SELECT path, value FROM schema_drift ORDER BY rowid").fetchall()

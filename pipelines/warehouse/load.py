"""Load landed runs into the tables: each run whole, once, in the order of their sequence."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import duckdb

from pipelines.errors import LandingError, LoadRejected
from pipelines.frames.drift import Drift
from pipelines.frames.flatten import flatten_pages
from pipelines.frames.known import ThreadDigests
from pipelines.frames.polls import polls_frame, run_frame
from pipelines.landing.aside import Tries
from pipelines.landing.directory import list_runs
from pipelines.landing.format import MOVE_HINT, read_run
from pipelines.landing.retention import prune_runs, remove_unfinished
from pipelines.providers.registry import find_endpoint
from pipelines.records import THREADS_ENDPOINT
from pipelines.warehouse.ledger import read_ages
from pipelines.warehouse.registry import lists_sessions, registry_frames
from pipelines.warehouse.repeats import PollDigests, read_known, read_known_threads
from pipelines.warehouse.sql import (
    commit_so_far,
    limit_memory,
    read_query,
    read_sql,
    register,
    transaction,
)
from pipelines.warehouse.staged import MEMORY_MB, read_known_drift, stage_threads

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pipelines.frames.flatten import Batch, Session
    from pipelines.landing.format import Landed
    from pipelines.landing.store import LandedFile, Store
    from pipelines.providers.documented import Documented
    from pipelines.records import Poll
    from pipelines.warehouse.staged import Staged

# What there is to do only if threads were read, if they hold new fields or values, and if a source
# was asked for its sessions.
OF_THREADS = frozenset(
    {"2_history", "2_news_of_threads", "2_silences", "3_apply", "3_digests", "3_sums"}
)
OF_LISTINGS = frozenset({"2_news", "2_news_of_threads", "5_sessions", "5_trials"})
# The last two return a row if something is wrong.
OF_DRIFT, SUMS, CHECK = "5_drift", "3_sums", "6_check"
FIX = "The tables are as before; `session-threads replay` rebuilds them from the landed pages"


def load_landed(
    tables: duckdb.DuckDBPyConnection,
    store: Store,
    keep_days: int | None = None,
    staged: Mapping[str, Staged] | None = None,
) -> list[str]:
    """Load every run that landed in the store and is not in the tables; return their ids.

    More than one if an earlier run was interrupted between landing and loading. One whose load
    fails the second time is set aside, and the next ones are loaded. After that, and only then,
    files older than `keep_days` are removed of what was loaded before, and unfinished ones of
    killed runs.
    `staged` is run id -> what was staged of it while it landed.
    """
    loaded = {run_id for (run_id,) in tables.execute("SELECT run_id FROM runs").fetchall()}
    runs = list_runs(store)
    pending = {run_id: file for run_id, file in runs.items() if run_id not in loaded}
    staged = staged or {}
    done: list[str] = []
    for number, (run_id, file) in enumerate(pending.items()):
        if done:
            commit_so_far(tables)
        # To load a run, or to try it, replaces the tables in which a later one may be staged.
        if load_or_set_aside(tables, file, None if number else staged.get(run_id)):
            done.append(run_id)
    ages = read_ages(tables)
    remove_unfinished(store, ages)
    if keep_days is not None:
        # What was loaded just now may be on no disk before it is published.
        prune_runs(store, [age for age in ages if age.run_id in loaded], keep_days)
    return done


def load_or_set_aside(
    connection: duckdb.DuckDBPyConnection, file: LandedFile, staged: Staged | None = None
) -> bool:
    """Load a landed file, or set it aside if that has failed twice; return whether it is loaded.

    The first time it raises what has failed. Faults of the machine do not count.
    """
    tries = Tries(file)
    if not tries.are_spent:
        tries.begin()
        try:
            load_file(connection, file, staged)
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


def load_file(
    connection: duckdb.DuckDBPyConnection, file: LandedFile, staged: Staged | None = None
) -> str:
    """Load a landed file; return its run's id. Raises LandingError if it is damaged."""
    landed = read_run(file)
    try:
        load_run(connection, landed, staged)
    except LandingError as error:
        raise LandingError(f"{file}: {error}. {MOVE_HINT}") from None
    return landed.run.id


def load_run(
    connection: duckdb.DuckDBPyConnection, landed: Landed, staged: Staged | None = None
) -> None:
    """Load one run in one transaction. Loading it again changes nothing.

    What was staged of it beside the tables is taken, if these are as they were. Leaves them so,
    and raises LoadRejected if a check finds a row, LandingError if a body is no page.
    """
    known = read_known(connection)
    staged = staged if staged and staged.is_current(connection, known) else None
    threads = staged.digests if staged else thread_digests(connection, landed)
    digests = PollDigests(landed, known, threads)
    skipped = frozenset() if lists_sessions(landed) else OF_LISTINGS
    with ExitStack() as views:
        register(
            connection,
            views,
            landed_run=run_frame(landed.run, landed.polls),
            landed_polls=polls_frame(thread_polls(landed)),
            landed_digests=digests.frame(),
            **registry_frames(landed),
        )
        connection.execute(read_query("stage", "1_polls"))
        sessions = find_news(connection)
        if not sessions:
            apply(connection, landed, {*skipped, OF_DRIFT, *OF_THREADS})
            return
        with reading(connection):
            earlier = read_known_drift(connection)
            if staged and staged.sessions == sessions and staged.before.drift == earlier:
                drift = staged.drift
            else:
                drift = Drift(documented_of(landed), earlier)
                stage_threads(connection, read_threads(landed, sessions, threads, drift))
            connection.execute(read_query("stage", "4_newest"))
            growing = connection.execute(read_query("ledger", "growing_sessions")).fetchall()
            states, found = digests.states_frame(growing), drift.frame()
            register(connection, views, landed_drift=found, landed_states=states)
            skipped |= {OF_DRIFT} if found.is_empty() else set()
            apply_in_memory(connection, landed, skipped)


@contextmanager
def reading(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Load threads in the block: in little memory, and none of their large tables after it.

    More threads make a load no faster, and each needs buffers. What does not fit goes to disk.
    """
    connection.execute("SET threads = 1")
    limit_memory(connection, MEMORY_MB)
    try:
        yield
    finally:
        connection.execute(read_query("stage", "6_end"))
        connection.execute("RESET threads")
        limit_memory(connection, None)


def apply_in_memory(
    connection: duckdb.DuckDBPyConnection, landed: Landed, skipped: Collection[str]
) -> None:
    """Take the staged run into the tables; beyond the limit if it needs more at a time."""
    try:
        compare_and_apply(connection, landed, skipped)
    except duckdb.OutOfMemoryException:
        limit_memory(connection, None)
        compare_and_apply(connection, landed, skipped)


def compare_and_apply(
    connection: duckdb.DuckDBPyConnection, landed: Landed, skipped: Collection[str]
) -> None:
    """Find what the staged threads change, and take it into the tables.

    The first before the transaction: what that writes DuckDB takes for few rows, and joins badly.
    """
    connection.execute(read_query("stage", "5_compare"))
    apply(connection, landed, skipped)


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


def find_news(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, str]]:
    """Return the sessions of the staged run whose threads are to be read."""
    return set(connection.execute(read_query("stage", "2_sessions")).fetchall())


def read_threads(
    landed: Landed,
    sessions: Collection[Session],
    digests: ThreadDigests,
    drift: Drift,
) -> Iterator[Batch]:
    """Yield what is to be read of these sessions, a batch of pages at a time."""
    polls, keep = thread_polls(landed), landed.run.keep_agent_definition
    for pages in landed.read_batches():
        yield flatten_pages(
            pages, sessions, polls, providers={}, keep=keep, digests=digests, drift=drift
        )


def thread_digests(connection: duckdb.DuckDBPyConnection, landed: Landed) -> ThreadDigests:
    """Return what finds the threads of a run that the tables hold as they came."""
    return ThreadDigests(
        {poll.source: poll.provider for poll in thread_polls(landed)},
        lambda: read_known_threads(connection),
        keep_agent_definition=landed.run.keep_agent_definition,
    )


def documented_of(landed: Landed) -> dict[str, Documented]:
    """Return what is documented of the threads of each source."""
    return {
        poll.source: find_endpoint(poll.endpoint, poll.provider).documented
        for poll in thread_polls(landed)
    }


def thread_polls(landed: Landed) -> list[Poll]:
    """Return the run's polls of threads."""
    return [poll for poll in landed.polls if poll.endpoint == THREADS_ENDPOINT]

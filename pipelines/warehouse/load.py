"""Load landed runs into the tables: each run whole, once, in the order of their sequence."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl

from pipelines.errors import LandingError, LoadRejected
from pipelines.frames.lookups import lookups_frame
from pipelines.frames.polls import correct_pages, polls_frame, run_error
from pipelines.frames.threads import describe_reading, threads_frame
from pipelines.frames.values import TIMESTAMP
from pipelines.landing.digests import poll_key
from pipelines.landing.digests import read_digests as read_poll_digests
from pipelines.landing.directory import list_runs
from pipelines.landing.format import MOVE_HINT, POLL, read_run
from pipelines.landing.retention import prune_runs, remove_unfinished
from pipelines.records import THREAD_ENDPOINT, THREADS_ENDPOINT
from pipelines.warehouse.ledger import read_ages
from pipelines.warehouse.registry import registry_frames
from pipelines.warehouse.sql import ArrowStream, read_sql, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import duckdb

    from pipelines.landing.digests import PollKey
    from pipelines.landing.format import Landed
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
DIGESTS = pl.Schema(
    {
        "source": pl.String(),
        "endpoint": pl.String(),
        "session_id": pl.String(),
        "digest": pl.String(),
        "repeats": pl.Boolean(),
    }
)
# Of a page; a look-up that found no thread has landed with another.
OK = 200
FIX = "The tables are as before; `session-threads replay` rebuilds them from the landed pages"


def load_landed(
    tables: duckdb.DuckDBPyConnection, directory: Path, keep_days: int | None = None
) -> list[str]:
    """Load every run that landed in the directory and is not in the tables; return their ids.

    More than one if an earlier run was interrupted between landing and loading. After that, and
    only then, landed files older than `keep_days` are removed, and unfinished ones of killed runs.
    """
    loaded = {run_id for (run_id,) in tables.execute("SELECT run_id FROM runs").fetchall()}
    runs = list_runs(directory)
    pending = {run_id: path for run_id, path in runs.items() if run_id not in loaded}
    for path in pending.values():
        load_file(tables, path)
    ages = read_ages(tables)
    remove_unfinished(directory, ages)
    if keep_days is not None:
        prune_runs(directory, ages, keep_days)
    return list(pending)


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
    # More threads make a load no faster, and each needs buffers.
    connection.execute("SET threads = 1")
    try:
        _load(connection, landed)
    finally:
        connection.execute("RESET threads")


def _load(connection: duckdb.DuckDBPyConnection, landed: Landed) -> None:
    digests = digests_frame(landed, read_digests(connection))
    frames = {
        "landed_run": run_frame(landed),
        "landed_polls": polls_frame(thread_polls(landed)),
        "landed_digests": digests,
        **registry_frames(landed),
    }
    with registered(connection, frames):
        # What a transaction writes stays in memory; these tables are seen by nobody else.
        stage_threads(connection, landed, digests.filter("repeats"))
        with transaction(connection):
            for name, statement in read_sql("load"):
                violations = connection.execute(statement).fetchall()
                if name.endswith("check") and violations:
                    found = "; ".join(line for (line,) in violations)
                    raise LoadRejected(f"run {landed.run.id} is not loaded: {found}. {FIX}")


@contextmanager
def registered(
    connection: duckdb.DuckDBPyConnection, frames: Mapping[str, pl.DataFrame]
) -> Iterator[None]:
    """Let queries read the frames by their names."""
    try:
        for name, frame in frames.items():
            connection.register(name, ArrowStream(frame))
        yield
    finally:
        for name in frames:
            connection.unregister(name)


def stage_threads(
    connection: duckdb.DuckDBPyConnection, landed: Landed, repeating: pl.DataFrame
) -> None:
    """Fill the tables `incoming_…`, a batch of pages at a time, but for the repeating sessions."""
    (_, begin), (_, add), (_, end) = read_sql("stage")
    connection.execute(begin)
    polls = thread_polls(landed)
    if len(repeating) < sum(poll.pages > 0 for poll in polls):
        for batch in landed.read_batches():
            pages = correct_pages(batch, polls)
            is_of_threads = pl.col("endpoint").is_in((THREADS_ENDPOINT, THREAD_ENDPOINT))
            came = pages.filter(is_of_threads, status=OK)
            changed = came.join(repeating, on=POLL, how="anti", maintain_order="left")
            keep = landed.run.keep_agent_definition
            frames = {
                "landed_threads": threads_frame(changed, polls, keep_agent_definition=keep),
                "landed_lookups": lookups_frame(pages),
            }
            with registered(connection, frames):
                connection.execute(add)
    connection.execute(end)


def run_frame(landed: Landed) -> pl.DataFrame:
    """Return the run as one row with the schema RUN."""
    run, error = landed.run, run_error(landed.polls)
    times = (run.started_at - error, run.finished_at - error)
    row = (run.id, run.place, *times, run.version, run.door)
    return pl.DataFrame([row], schema=RUN, orient="row")


def thread_polls(landed: Landed) -> list[Poll]:
    """Return the run's polls of threads."""
    return [poll for poll in landed.polls if poll.endpoint == THREADS_ENDPOINT]


def read_digests(connection: duckdb.DuckDBPyConnection) -> dict[PollKey, str]:
    """Return the digest of the complete poll that the rows of each session are equal to."""
    query = "SELECT source, endpoint, session_id, digest FROM session_digests"
    rows = connection.execute(query).fetchall()
    return {(source, endpoint, session_id): digest for source, endpoint, session_id, digest in rows}


def digests_frame(landed: Landed, known: dict[PollKey, str]) -> pl.DataFrame:
    """Return the digest of each complete poll's threads, and whether it repeats the known one.

    One row per session, with the schema DIGESTS. The digest also says how threads are read: the
    same bytes may mean more to a version that reads another column. Where something known was not
    listed there is more to say than the list does.
    """
    polls = [
        poll
        for poll in thread_polls(landed)
        if poll.outcome == "complete" and not poll.status_filter
    ]
    readings = {poll.provider: describe_reading(poll.provider) for poll in polls}
    landed_digests = read_poll_digests(landed) if polls else {}
    rows = []
    for poll in polls:
        key = poll_key(poll)
        parts = (readings[poll.provider], landed.run.keep_agent_definition, landed_digests[key])
        digest = hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
        rows.append((*key, digest, known.get(key) == digest and not poll.threads_unlisted))
    return pl.DataFrame(rows, schema=DIGESTS, orient="row")

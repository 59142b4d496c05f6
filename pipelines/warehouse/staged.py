"""What was read of a run before its load: frames on disk, and what they depend on."""

from __future__ import annotations

import io
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from typing import IO, TYPE_CHECKING

import msgspec
import polars as pl

from pipelines.frames.drift import Drift
from pipelines.frames.known import KNOWN, ThreadDigests
from pipelines.landing.digests import PollKey
from pipelines.warehouse.repeats import Known, read_known, read_known_threads
from pipelines.warehouse.sql import read_query, register

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import duckdb

    from pipelines.frames.flatten import Batch
    from pipelines.warehouse.base import Warehouse

Session = tuple[str, str]


class Before(msgspec.Struct, frozen=True):
    """What the tables held when the run began: of polls, of new fields and values, and of threads.

    The last with the schema KNOWN.
    """

    polls: Mapping[PollKey, Known] = {}
    drift: list[tuple[str, str | None]] = []
    threads: pl.DataFrame = pl.DataFrame(schema=KNOWN)


def read_before(warehouse: Warehouse) -> Before:
    """Return what was published of earlier runs. Raises WarehouseError."""
    if not warehouse.is_published():
        return Before()
    with warehouse.read() as tables:
        return Before(read_known(tables), read_known_drift(tables), read_known_threads(tables))


def read_known_drift(tables: duckdb.DuckDBPyConnection) -> list[tuple[str, str | None]]:
    """Return the paths, and the values of enumerations, that were found earlier."""
    return tables.execute("SELECT path, value FROM schema_drift ORDER BY rowid").fetchall()


class Spool:
    """Frames on disk, to be read in the order in which they were added."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sizes: list[int] = []

    @cached_property
    def _file(self) -> IO[bytes]:
        file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - until nobody reads it
        weakref.finalize(self, file.close)
        return file

    def add(self, frame: pl.DataFrame) -> None:
        """Append a frame."""
        buffer = io.BytesIO()
        frame.write_ipc(buffer, compression="lz4")
        self._sizes.append(self._file.write(buffer.getbuffer()))

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield the frames."""
        self._file.seek(0)
        for size in self._sizes:
            yield pl.read_ipc(io.BytesIO(self._file.read(size)))


class Staged(msgspec.Struct, frozen=True):
    """What was read of a run: the threads of these sessions, and the drift in them."""

    before: Before
    sessions: set[Session]
    digests: ThreadDigests
    drift: Drift
    frames: Spool

    def read_batches(self) -> Iterator[Batch]:
        """Yield what was read of each file."""
        frames = self.frames.read()
        yield from zip(frames, frames, frames, strict=True)


def stage_threads(
    connection: duckdb.DuckDBPyConnection,
    batches: Iterable[Batch],
) -> None:
    """Fill the tables `incoming_…`, a batch at a time.

    What a transaction writes stays in memory; these tables are seen by nobody else.
    """
    connection.execute(read_query("stage", "3_tables"))
    for threads, seen, lookups in batches:
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

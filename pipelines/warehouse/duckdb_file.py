"""The tables in one DuckDB file, and the copy of it that people read."""

from __future__ import annotations

import shutil
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from pipelines.errors import WarehouseError, WarehouseOlder
from pipelines.files import copy_content, replace_file, replace_synced, restrict
from pipelines.warehouse.ledger import read_newest_sequence
from pipelines.warehouse.lock import lock, lock_sources
from pipelines.warehouse.opening import (
    FORMAT,
    PUBLISHED,
    WITHOUT_LOG,
    attach,
    first_line,
    make_whole,
    open_memory,
    open_to_read,
)
from pipelines.warehouse.schema import migrate
from pipelines.warehouse.scratch import open_scratch
from pipelines.warehouse.sql import seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from pipelines.config.settings import Source

WAREHOUSE = "warehouse.duckdb"
# The file within DuckDB.
NAME = "warehouse"
# What DuckDB puts beside a file that it writes: its log, under several names, and what it spills.
SIDECARS = (".wal", ".wal.checkpoint", ".wal.recovery", ".tmp")
# So many bytes of a file say which its newest checkpoint is.
HEAD = 3 * 4096


class DuckdbFile:
    """The warehouse of a data directory: a file to write and, beside it, a copy to read.

    One process writes a DuckDB file or many read it, never both: hence the copy, which is replaced
    by a rename.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self.path = home / WAREHOUSE
        self.published = home / PUBLISHED

    @contextmanager
    def write(
        self, staged: duckdb.DuckDBPyConnection | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the tables for writing; see Warehouse."""
        with lock(self._home), open_tables(self.path, staged) as connection:
            yield connection

    def stage(self) -> duckdb.DuckDBPyConnection:
        """Return a connection to a database of a run's own; see Warehouse."""
        return open_scratch(self._home)

    def prepare(self) -> None:
        """Make the file, if there is none; see Warehouse."""
        if not self.path.exists():
            with lock(self._home, wait_s=0), open_tables(self.path):
                pass

    @contextmanager
    def read(self, outputs: Sequence[str] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the published copy, sealed; see Warehouse."""
        path = self._find_published()
        with closing(open_to_read(path)) as connection:
            seal(connection, outputs)
            yield connection

    def attach(self) -> duckdb.DuckDBPyConnection:
        """Return a connection to the newest copy.

        All connections of a process to a path share the copy that the first of them opened;
        attached, each has its own.
        """
        path = self._find_published()
        connection = open_memory()
        try:
            attach(connection, path, "published", "READ_ONLY")
        except WarehouseError:
            connection.close()
            raise
        return connection

    def is_published(self) -> bool:
        """Whether there is a copy."""
        return self.published.exists()

    def publish(self, tables: duckdb.DuckDBPyConnection) -> Path:
        """Replace the copy by the file as it is now; return its path.

        Raises WarehouseError, and leaves the previous copy, if the disk is full.
        """
        try:
            # After it the file alone holds everything, and nobody else writes to it.
            tables.execute("CHECKPOINT")
            self._remove_sidecars()
            with self.path.open("rb") as written, replace_file(self.published) as copy:
                copy_content(written, copy)
            restrict(self.published, 0o400)
            self._remove_sidecars()
        except (duckdb.Error, OSError) as error:
            raise WarehouseError(
                f"{self.published}: cannot be published ({first_line(error)})."
                " The previous copy stays"
            ) from None
        return self.published

    def joined(self, tables: duckdb.DuckDBPyConnection) -> AbstractContextManager[None]:
        """Commit each transaction of the block; see Warehouse."""
        del tables
        return nullcontext()

    def maintain(self, now: datetime) -> None:
        """Do nothing: each publication leaves the file without what it holds no more."""
        del now

    @contextmanager
    def rebuild(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give the tables of a new file, which replaces the old one at the end."""
        temporary = self._home / "replay.tmp"
        with lock(self._home):
            # A log that grows makes DuckDB write to the file what it would hold in memory.
            with open_tables(temporary, mode=FORMAT) as connection:
                yield connection
            # A log that an unreadable warehouse has left does not belong to the new file.
            self.path.with_suffix(".duckdb.wal").unlink(missing_ok=True)
            replace_synced(temporary, self.path)

    def hold_sources(
        self, sources: Sequence[Source], wait_s: float | None = None
    ) -> AbstractContextManager[None]:
        """Be the one process that asks these sources; see Warehouse."""
        return lock_sources(self._home, sources, wait_s)

    def list_loaded_runs(self) -> list[str]:
        """Return the runs in the order of their loads; none if there is no file."""
        query = "SELECT run_id FROM runs ORDER BY rowid"
        if not self.path.exists():
            return []
        try:
            with open_tables(self.path) as connection:
                rows = connection.execute(query).fetchall()
        except WarehouseOlder:
            with closing(open_memory(_spill(self.path))) as connection:
                attach(connection, self.path, NAME)
                rows = connection.execute(query).fetchall()
        return [run_id for (run_id,) in rows]

    def newest_sequence(self, published: int | None = None) -> int:
        """Return the highest sequence number of the loaded runs; see Warehouse.

        While another process writes, what was published last has it, and the landing directory the
        numbers since. An unreadable or older warehouse has none.
        """
        if published is not None and self._is_all_published():
            return published
        if self.path.exists():
            with (
                suppress(WarehouseError, duckdb.Error),
                lock(self._home, wait_s=0),
                closing(open_to_read(self.path)) as tables,
            ):
                return read_newest_sequence(tables)
        with suppress(WarehouseError, duckdb.Error), self.read() as copy:
            return read_newest_sequence(copy)
        return 0

    def _is_all_published(self) -> bool:
        """Whether nothing was written since the copy was made, into the file or its log."""
        if self.path.with_suffix(".duckdb.wal").exists():
            return False
        with suppress(OSError):
            return _read_head(self.path) == _read_head(self.published)
        return False

    def _remove_sidecars(self) -> None:
        """Remove what a program that wrote into the copy has left: DuckDB would apply it."""
        for path in self._list_sidecars():
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def _reject_sidecars(self) -> None:
        for path in self._list_sidecars():
            problem = "a program has opened the copy to write, which is made to be read"
            hint = "End it (open the copy with -readonly); `session-threads build` makes it anew"
            raise WarehouseError(f"{path}: {problem}. {hint}")

    def _list_sidecars(self) -> list[Path]:
        sidecars = (Path(f"{self.published}{ending}") for ending in SIDECARS)
        return [path for path in sidecars if path.exists()]

    def _find_published(self) -> Path:
        if not self.is_published():
            hint = "Run `session-threads run` first"
            raise WarehouseError(f"{self.published}: nothing is published yet. {hint}")
        self._reject_sidecars()
        return self.published


@contextmanager
def open_tables(
    path: Path, staged: duckdb.DuckDBPyConnection | None = None, mode: str = WITHOUT_LOG
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a file of tables for writing, made or upgraded if need be; the caller holds the lock.

    With a connection it is opened there, beside what is staged.
    """
    connection = staged or open_memory(_spill(path))
    try:
        make_whole(path)
        attach(connection, path, NAME, mode)
        restrict(path)
        migrate(connection, path)
        connection.execute("SET enable_external_access = false")
        yield connection
        # Closing would not say that the disk is full.
        connection.execute("CHECKPOINT")
        connection.close()
    except duckdb.Error as error:
        raise WarehouseError(
            f"{path}: {first_line(error)}. What was not finished is undone"
        ) from None
    finally:
        connection.close()


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def _spill(path: Path) -> Path:
    """Return where DuckDB keeps what queries of a file do not hold in memory."""
    return path.with_name(f"{path.name}.tmp")

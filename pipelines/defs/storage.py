"""Dagster's own SQLite files, as it keeps them, opened less often.

Dagster opens a file anew for each event, twice or more. At the end of each SQLite moves its log
into the file and waits for the disk: a run of 200 events takes 2 s of CPU more, and longer by the
clock. Here the files that all runs share stay open, and that of the run that is written; they wait
for no disk, and lose no event unless the machine fails.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Engine, NullPool, create_engine, event, inspect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dagster import EventLogEntry
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy.engine import Connection

BUSY_S = 60


class EventLog(SqliteEventLogStorage):
    """The events of the runs, each in a separate file, and the file that all of them share."""

    _written: str | None = None  # the run of the newest event of this process

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event, and touch its run's file: the web server reads it when that changes."""
        if event.run_id != self._written:
            self._close_written()
            self._written = event.run_id
        super().store_event(event)
        os.utime(self.path_for_shard(event.run_id))

    def dispose(self) -> None:
        """Close what is open, so that the files alone hold all."""
        self._close_written()
        self._open(INDEX_SHARD_NAME).dispose()
        super().dispose()

    def _close_written(self) -> None:
        if self._written is not None:
            self._open(self._written).dispose()
            self._written = None

    def _open(self, shard: str) -> Engine:
        is_kept = shard in {INDEX_SHARD_NAME, self._written}
        return open_engine(self.conn_string_for_shard(shard), is_kept=is_kept)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._open(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def has_table(self, table_name: str) -> bool:
        """Whether the file of all runs has a table, which Dagster asks more than once."""
        engine = self._open(INDEX_SHARD_NAME)
        with engine.connect() as connection:  # it may be asked within a transaction
            return inspect(connection).has_table(table_name)


class Runs(SqliteRunStorage):
    """The runs, all of them in one file."""

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Give a connection, in a transaction."""
        with open_engine(self._conn_string, is_kept=True).begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the file."""
        open_engine(self._conn_string, is_kept=True).dispose()
        super().dispose()


class Storage(DagsterSqliteStorage):
    """What `storage: custom` in dagster.yaml names."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        event.listen(Engine, "connect", wait_for_no_disk)
        try:
            super().__init__(base_dir, inst_data)
        finally:
            event.remove(Engine, "connect", wait_for_no_disk)
        self._run_storage = Runs(self._run_storage._conn_string)  # noqa: SLF001 - its
        self._event_log_storage = EventLog(self._event_log_storage._base_dir)  # noqa: SLF001 - its

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Storage:
        """Return what the configuration asks for, as Dagster makes it."""
        return cls(inst_data=inst_data, **config_value)


@lru_cache(maxsize=16)
def open_engine(url: str, *, is_kept: bool) -> Engine:
    """Return what opens a file. One that is kept stays open until it is disposed of."""
    # Threads of a web server wait for none of each other's: whatever is one too many is closed.
    options: dict[str, Any] = {"max_overflow": -1} if is_kept else {"poolclass": NullPool}
    engine = create_engine(url, connect_args={"timeout": BUSY_S}, **options)
    if is_kept:
        event.listen(engine, "connect", wait_for_no_disk)
    return engine


def wait_for_no_disk(connection: Any, _: object) -> None:  # noqa: ANN401 - SQLAlchemy's
    """Let commits of a connection not wait; whatever happens, the file stays whole.

    With its log from the first statement on, which Dagster turns on after it has made the tables:
    without one, each table and index waits for the disk three times, also with this setting.
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")

"""Where the tables are: what every place for them can do, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    import duckdb

    from pipelines.config.settings import Source
    from pipelines.warehouse.maintained import Maintained

    Connection = duckdb.DuckDBPyConnection


class Warehouse(Protocol):
    """The tables. One process writes at a time; any number read what was published last.

    Every method raises WarehouseError, in one line that names the place and what to do.
    """

    def stage(self) -> Connection:
        """Return a connection to an empty database in memory, of this run's own.

        What does not fit goes to disk, and is removed with the connection.
        """

    def write(self, staged: Connection | None = None) -> AbstractContextManager[Connection]:
        """Open the tables, made or brought to this version's schema, for this process alone.

        On a connection that `stage` gave they are beside what is staged there; it is closed then.
        Waits for another process that writes, and raises WarehouseBusy if that takes too long.
        """

    def prepare(self) -> None:
        """Make the tables, empty, if there are none yet. It does not wait."""

    def read(self, outputs: Sequence[str] = ()) -> AbstractContextManager[Connection]:
        """Open what was published last, to read.

        No query reaches another file than these, or the network.
        """

    def attach(self) -> Connection:
        """Return a connection that reads what was published last for as long as you keep it.

        It may hold temporary tables of yours.
        """

    def is_published(self) -> bool:
        """Whether there is something to read."""

    def publish(self, tables: Connection) -> Path | str:
        """Let readers see what is written in the open tables now, whole.

        Return the copy that they open, or the name of the place. They keep what they have opened.
        """

    def joined(self, tables: Connection) -> AbstractContextManager[None]:
        """Commit what the block writes at once, where each commit is a snapshot that stays.

        In a file each transaction is its own. Nothing is committed if the block raises.
        """

    def maintain(self, now: datetime) -> Maintained | None:
        """Keep files and snapshots few, and readers at what is published; None of a file.

        Waits as `write` does. Raises WarehouseError too if another's files are in the place.
        """

    def rebuild(self) -> AbstractContextManager[Connection]:
        """Give new, empty tables, which replace the old ones at the end.

        Nothing is replaced if the block raises.
        """

    def hold_sources(
        self, sources: Sequence[Source], wait_s: float | None = None
    ) -> AbstractContextManager[None]:
        """Be the one process that asks these sources: each has a rate, which is of one process.

        Waits for others that ask them, and raises SourceBusy, naming the one that asks, if that
        takes longer than `wait_s` seconds (WAIT_LIMIT_S). They are free as soon as a holder dies.
        """

    def list_loaded_runs(self) -> list[str]:
        """Return the ids of the runs that the tables hold, in the order of their loads.

        An older version's tables are read as they are; a newer version's raise WarehouseNewer.
        """

    def newest_sequence(self, published: int | None = None) -> int:
        """Return the highest sequence number of the loaded runs; 0 if there is none to read.

        It does not wait. `published` is what was published of it, if someone has read that.
        """

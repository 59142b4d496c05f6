"""Lakes whose tables hold nothing yet: copies of one, for making the tables takes seconds."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from pipelines.warehouse.ducklake import DuckLake
from tests.lake.postgres import connect, describe_lake, find_binaries, run_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb

    from pipelines.config.lake import Lake

MOVE = "UPDATE threads.ducklake_metadata SET value = %s WHERE key = 'data_path'"


class OpenLake(DuckLake):
    """A lake that a test opens once for all that it writes: to open it takes as long as a load."""

    def __init__(self, home: Path, lake: Lake) -> None:
        super().__init__(home, lake)
        self._opened = ExitStack()
        self._tables: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def write(
        self, staged: duckdb.DuckDBPyConnection | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give the tables, which stay open."""
        del staged
        if self._tables is None:
            self._tables = self._opened.enter_context(super().write())
        yield self._tables

    @contextmanager
    def rebuild(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give new tables, once the others are closed."""
        self.close()
        with super().rebuild() as tables:
            yield tables

    def close(self) -> None:
        """Close the tables."""
        self._tables = None
        self._opened.close()


@contextmanager
def serve_lakes() -> Iterator[Callable[[Path], OpenLake]]:
    """Give a function that makes an empty lake; skips where PostgreSQL is not installed."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with run_postgres(binaries) as port, TemporaryDirectory() as directory:
        with connect(port) as server:
            server.execute("CREATE DATABASE empty")
        with DuckLake(Path(directory), describe_lake(port, "empty", "threads", directory)).write():
            pass
        numbers = count()

        def make(home: Path) -> OpenLake:
            database = f"lake_{next(numbers)}"
            data = f"{directory}/{database}"
            Path(data, "1").mkdir(parents=True)
            with connect(port) as server:
                server.execute(f"CREATE DATABASE {database} TEMPLATE empty")
            with connect(port, database) as catalog:
                catalog.execute(MOVE, [f"{data}/1/"])
            return OpenLake(home, describe_lake(port, database, "threads", data))

        yield make

"""The database of a run spills into files of its own, which end with the run."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.scratch import open_scratch
from pipelines.warehouse.sql import limit_memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

ROWS = "SELECT range AS number, hash(range) AS text FROM range(4_000_000)"
SPILLING = f"""
import sys
from pathlib import Path
from pipelines.warehouse.scratch import open_scratch
from pipelines.warehouse.sql import limit_memory
connection = open_scratch(Path(sys.argv[1]))
limit_memory(connection, 20)
connection.execute("CREATE TEMP TABLE many AS {ROWS}")
print("spilled", flush=True)
sys.stdin.read()
"""


def list_names(home: Path) -> list[str]:
    """Return the endings of what runs have in a data directory."""
    return sorted(path.suffix for path in home.glob("staging.*"))


def fill(connection: duckdb.DuckDBPyConnection) -> None:
    """Stage more than memory holds."""
    limit_memory(connection, 20)
    connection.execute(f"CREATE TEMP TABLE many AS {ROWS}")
    limit_memory(connection, None)


@contextmanager
def start_another(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that stages more than memory holds; kill it at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", SPILLING, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "spilled\n"
            yield process
        finally:
            process.kill()


def test_what_does_not_fit_is_on_disk_as_long_as_the_run(home: Path) -> None:
    """Beside the tables lies what was staged, in memory and on disk, until they are closed."""
    warehouse = DuckdbFile(home)
    staged = warehouse.stage()
    assert list_names(home) == [".lock"]
    fill(staged)
    assert list_names(home) == [".lock", ".tmp"]
    with warehouse.write(staged) as tables:
        query = "SELECT count(*), sum(number) FROM many"
        assert tables.execute(query).fetchall() == [(4_000_000, 7_999_998_000_000)]
        assert tables.execute("SELECT count(*) FROM threads").fetchall() == [(0,)]
    del staged, tables
    assert list_names(home) == []


def test_what_a_killed_process_has_left_is_removed(home: Path) -> None:
    """The next run removes it; what a process that lives has spilled stays."""
    with start_another(home), start_another(home) as killed:
        assert list_names(home) == [".lock", ".lock", ".tmp", ".tmp"]
        killed.kill()
        killed.wait()
        assert list_names(home) == [".lock", ".lock", ".tmp", ".tmp"]
        with closing(open_scratch(home)):
            assert list_names(home) == [".lock", ".lock", ".tmp"]


def test_what_cannot_be_removed_is_left(home: Path) -> None:
    """What is no lock of ours, or may not be opened, keeps no run from staging."""
    (home / "staging.odd.lock").mkdir(parents=True)
    with closing(open_scratch(home)):
        assert list_names(home) == [".lock", ".lock"]
    assert (home / "staging.odd.lock").is_dir()

"""Sequence numbers: each run has its own, above all that were, whoever else takes one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pipelines.errors import LandingError
from pipelines.landing.directory import RAW, give_back, list_runs, name_file, take_sequence
from pipelines.landing.footer import Footer
from pipelines.landing.format import read_run, write_run
from pipelines.landing.retention import RunAge, remove_unfinished
from pipelines.landing.store import Directory
from pipelines.landing.writer import land_polls
from pipelines.records import Run
from tests.builders import as_file, as_path, crowd, land, load_all, poll, thread
from tests.support import ROOT, read_table

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from pipelines.records import FetchedPage, Poll

NOW = datetime(2026, 10, 1, tzinfo=UTC)
LATER = [RunAge("later", 10, 3 * 86400)]
TAKER = """
import sys
from pathlib import Path
from pipelines.landing.directory import take_sequence
from pipelines.landing.store import Directory
print([take_sequence(Directory(Path(sys.argv[1]))) for _ in range(50)])
"""


def take(path: Path, newest: int = 0) -> int:
    """Take a number in a directory."""
    return take_sequence(Directory(path), newest)


def names(directory: Path) -> set[str]:
    """Return the names of what lies in the directory."""
    return {path.name for path in directory.iterdir()}


def write(directory: Path, sequence: int) -> Path:
    """Land an empty run with this number."""
    run = Run(id=f"run-{sequence}", sequence=sequence, started_at=NOW, finished_at=NOW)
    return as_path(write_run(Directory(directory), Footer(run, []), []))


def test_numbers_rise(tmp_path: Path) -> None:
    """A number is above those that were claimed, those that landed, and the ledger's."""
    assert [take(tmp_path), take(tmp_path)] == [1, 2]
    assert take(tmp_path, 41) == 42
    write(tmp_path, 50)
    assert take(tmp_path) == 51
    run = Run(id="run", sequence=60, started_at=NOW, finished_at=NOW)
    (tmp_path / f"{name_file(run)}.s1.{'0' * 32}.parquet").touch()
    assert take(tmp_path, 3) == 61


def test_claims_go_with_the_landing(tmp_path: Path) -> None:
    """Once a run has landed its file says its number, and the claim is gone."""
    taken = take(tmp_path)
    path = write(tmp_path, taken)
    give_back(Directory(tmp_path), taken)
    assert names(tmp_path) == {path.name}
    assert path.name.startswith("s0000000001-20261001T000000000000Z-run-1.")
    assert read_run(as_file(path)).run.sequence == 1
    assert take(tmp_path) == 2


def test_runs_number_themselves(home: Path) -> None:
    """A run takes its number before its first page, says it everywhere, and leaves no claim."""
    directory = home / RAW

    async def watch() -> AsyncGenerator[FetchedPage | Poll]:
        assert names(directory) == {"s0000000042.claim"}
        async for item in poll(crowd("idle")):
            yield item

    path, _ = asyncio.run(
        land_polls(watch(), Directory(directory), "run-1", newest=41, door="command")
    )
    assert names(directory) == {path.name}
    assert load_all(home) == ["run-1"]
    warehouse = home / "warehouse.duckdb"
    query = (
        "SELECT DISTINCT r.sequence, p.sequence AS of_poll, door FROM runs r JOIN session_polls p"
    )
    rows = read_table(warehouse, f"{query} USING (run_id)")
    assert rows == [{"sequence": 42, "of_poll": 42, "door": "command"}]


def test_claims_of_killed_runs(tmp_path: Path) -> None:
    """Claims of killed runs leave gaps, and all but the highest go when nobody can be running."""
    for _ in range(3):
        take(tmp_path)
    remove_unfinished(Directory(tmp_path), [RunAge("later", 10, 86400)])
    assert len(names(tmp_path)) == 3
    remove_unfinished(Directory(tmp_path), LATER)
    assert names(tmp_path) == {"s0000000003.claim"}
    assert take(tmp_path) == 4
    write(tmp_path, 5)
    remove_unfinished(Directory(tmp_path), LATER)
    assert len(names(tmp_path)) == 1


def test_nobody_is_given_a_number_twice(tmp_path: Path) -> None:
    """Processes and threads that take numbers at the same time take different ones."""
    command = [sys.executable, "-c", TAKER, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: take(tmp_path), range(50)))
    for process in running:
        taken += map(int, process.communicate()[0].decode().strip("[]\n").split(","))
    assert len(set(taken)) == len(taken) == 150


def test_a_run_that_came_and_went(tmp_path: Path) -> None:
    """A number that was taken and landed after the directory was listed is not taken again."""

    class Late(Directory, frozen=True):
        def put(self, name: str, content: bytes | memoryview = b"") -> bool:
            if name == "s0000000001.claim":
                write(tmp_path, 1)
            return super().put(name, content)

    assert take_sequence(Late(tmp_path)) == 2
    assert "s0000000001.claim" not in names(tmp_path)


def test_without_room(tmp_path: Path) -> None:
    """Where no claim can be made the error says so."""
    (tmp_path / "file").touch()
    with pytest.raises(LandingError, match=r"file: cannot be listed"):
        take(tmp_path / "file")


def test_numbers_come_after_older_files(home: Path) -> None:
    """Files without a number come first, in the order in which their runs began."""
    land(home, 20, thread("a", "idle", updated=2), sequence=None)
    land(home, 10, thread("a"), sequence=None)
    land(home, 0, thread("a", "blocked", updated=3), sequence=1)
    assert list(list_runs(Directory(home / RAW))) == ["run-10", "run-20", "run-0"]
    assert load_all(home) == ["run-10", "run-20", "run-0"]
    warehouse = home / "warehouse.duckdb"
    rows = read_table(warehouse, "SELECT run_id, sequence FROM runs ORDER BY sequence")
    assert [row["run_id"] for row in rows] == ["run-10", "run-20", "run-0"]
    assert [row["sequence"] < 0 for row in rows] == [True, True, False]
    assert read_table(warehouse, "SELECT status FROM threads") == [{"status": "blocked"}]

"""One pipeline with two doors: Dagster's job and the command fill the same tables."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.definitions import defs
from pipelines.sandbox.world import World
from pipelines.warehouse.analyses import list_analyses
from tests.support import invoke, read_table, serve_world

if TYPE_CHECKING:
    from pathlib import Path

# What may differ between two polls of the same server, some seconds apart.
SECONDS = 60.0
# `inputs` is a digest of rows that hold times.
BY_CHANCE = {"run_id", "wait_seconds", "clock_skew_seconds", "door", "inputs"}
# A share of the time so far is another some seconds later.
SHARES_OF_TIME = {("analytics.time_in_status", "share"), ("analytics.concurrency", "open_mean")}
TABLES = """
    SELECT schema_name || '.' || table_name AS name FROM duckdb_tables()
    WHERE NOT internal ORDER BY name
"""


def wait_for_room_in_the_hour() -> None:
    """Wait until an hour does not end while two polls run: some tables have a row for each."""
    left = 3600 - time.time() % 3600
    if left < SECONDS:
        time.sleep(left + 1)


def read_tables(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return table -> its rows, without what differs by chance, ordered by what does not."""
    tables = {}
    for name in (row["name"] for row in read_table(path, TABLES)):
        keys = [row["column_name"] for row in read_table(path, f"DESCRIBE {name}")]
        # Times and lengths of time last: they are alike and not equal.
        kept = [key for key in keys if key not in BY_CHANCE and (name, key) not in SHARES_OF_TIME]
        rows = read_table(path, f"SELECT {', '.join(map(quote, kept))} FROM {name}")
        tables[name] = sorted(rows, key=lambda row: [rank(value) for value in row.values()])
    return tables


def quote(name: str) -> str:
    """Return a name as SQL."""
    return f'"{name}"'


def rank(value: object) -> tuple[str, str]:
    """Return what a value sorts by: times and numbers with a point are all one."""
    inexact = isinstance(value, float | datetime)
    return type(value).__name__, "" if inexact else str(value)


def are_alike(one: object, other: object, *, in_seconds: bool) -> bool:
    """Whether two values are equal, or times, or seconds, that lie next to each other."""
    if isinstance(one, datetime) and isinstance(other, datetime):
        return abs((one - other).total_seconds()) < SECONDS
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) < (SECONDS if in_seconds else 1e-9)
    return one == other


@pytest.mark.slow
def test_both_doors_fill_the_same_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two polls by Dagster's job and two by the command, of one server: every table is equal."""
    now = datetime(2026, 10, 1, tzinfo=UTC)
    world = World([40, 7, 1], seed=11, clock=lambda: now)
    homes = {door: tmp_path / door for door in ("dagster", "command")}
    wait_for_room_in_the_hour()
    with serve_world(world, monkeypatch):
        for seconds in (0, 200):
            world.advance(seconds)
            monkeypatch.setenv("SESSION_THREADS_HOME", str(homes["command"]))
            assert invoke("run").returncode == 0
            monkeypatch.setenv("SESSION_THREADS_HOME", str(homes["dagster"]))
            assert defs().resolve_job_def("poll_threads").execute_in_process().success
    command, dagster = (
        read_tables(home / "threads.duckdb") for home in (homes["command"], homes["dagster"])
    )
    analyses = list_analyses()
    assert command.keys() == dagster.keys()
    assert len(command) > 20
    for name, rows in command.items():
        others, analysis = dagster[name], analyses.get(name.removeprefix("analytics."))
        durations = {key for key in rows[0] if key.endswith("_seconds")} if rows else set()
        durations |= analysis.durations if analysis else set()
        assert len(rows) == len(others), name
        for row, other in zip(rows, others, strict=True):
            unlike = {
                key
                for key in row
                if not are_alike(
                    row[key], other[key], in_seconds=key in durations or key.endswith("_seconds")
                )
            }
            assert not unlike, (name, row, other)


def test_the_command_imports_no_dagster(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of the command asks nothing of Dagster, wherever DAGSTER_HOME points."""
    script = (
        "import sys; from pipelines.cli.main import main; main(['run'], standalone_mode=False);"
        "print('dagster' in sys.modules)"
    )
    monkeypatch.setenv("DAGSTER_HOME", "no/such/directory")
    with serve_world(World([3]), monkeypatch):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["False"]), done.stderr
    assert len(read_table(home / "threads.duckdb", "FROM threads")) == 3

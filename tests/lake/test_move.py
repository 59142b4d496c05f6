"""The tables of a file, and what has landed, move into a lake as they are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pipelines.landing.directory import RAW
from pipelines.landing.objects import Objects
from pipelines.landing.store import Directory
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.ducklake import DuckLake
from tests.builders import land, thread
from tests.lake.tables import load, read_all
from tests.lake.test_lake import land_some
from tests.support import invoke

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipelines.config.lake import Lake

pytestmark = pytest.mark.slow  # a lake asks its catalog for each statement


@pytest.mark.parametrize("place", ["s3"])
def test_copy(lake: Lake, home: Path, configure: Callable[..., None]) -> None:
    """Every table and landed file is there afterwards, and nothing of others is replaced."""
    assert invoke("copy").returncode == 2
    said = invoke("copy", "--to-lake")
    assert said.returncode == 2
    assert "warehouse: is not configured. Name the lake that the tables are copied" in said.stderr
    configure(landing=f"{lake.data}-raw")
    said = invoke("copy", "--to-lake")
    assert said.stderr == f"session-threads: {home}/warehouse.duckdb: there are no tables to copy\n"

    land_some(home)
    file, on_lake = DuckdbFile(home), DuckLake(home, lake)
    load(file, home, list_analyses())
    expected = read_all(file)
    landed = Directory(home / RAW)
    (home / RAW / "s0000000999.claim").touch()
    said = invoke("copy", "--to-lake")
    assert (said.stdout, said.stderr) == (
        f"copied 4 runs, {len(landed.list())} landed files. Data: {lake.name}\n",
        "",
    )
    assert read_all(on_lake) == expected
    assert read_all(file) == expected
    assert on_lake.list_loaded_runs() == file.list_loaded_runs()
    assert on_lake.newest_sequence() == file.newest_sequence()
    assert lake.access is not None
    arrived = Objects(f"{lake.data}-raw", lake.access)
    assert [(name, arrived.get(name)) for name in arrived.list()] == [
        (name, landed.get(name)) for name in landed.list()
    ]

    first = min(name for name in landed.list() if name.endswith(".parquet"))
    os.truncate(home / RAW / first, 100)
    said = invoke("copy", "--to-lake")
    assert f"{lake.data}-raw/{first}: is there, and is another file. Name a place" in said.stderr
    land(home, 85, thread("late"))
    (home / RAW / first).unlink()
    load(on_lake, home)
    said = invoke("copy", "--to-lake")
    assert said.stderr == (
        f"session-threads: {lake.name}: holds runs that the file does not, the first of 1 is"
        " run-85. Copy into an empty lake\n"
    )
    assert on_lake.list_loaded_runs() == [*file.list_loaded_runs(), "run-85"]

"""What the tables and analyses must hold is computed apart, and holds on a lake too."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from pipelines.warehouse.ducklake import DuckLake
from pipelines.warehouse.load import load_run
from tests.properties.test_memory import Memory, dump
from tests.support import ROOT
from tests.warehouse import reference
from tests.warehouse.worlds import fill

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import duckdb

    from pipelines.config.lake import Lake
    from tests.warehouse.worlds import World

pytestmark = pytest.mark.slow  # a lake asks its catalog for each statement

ANALYSES = "tests/warehouse/analyses"
WORLD = "cut off"


def test_memory_model(make_lake: Callable[[str], Lake], tmp_path: Path) -> None:
    """After each load the tables are those of the model in plain Python."""
    schemas = map("lake_{}".format, count())

    class MemoryOfLake(Memory):
        def connect(self) -> duckdb.DuckDBPyConnection:
            """Open the tables of a new lake."""
            self.opened = ExitStack()
            warehouse = DuckLake(tmp_path, make_lake(next(schemas)))
            return self.opened.enter_context(warehouse.write())

        def teardown(self) -> None:
            """Loaded again, nothing changes."""
            before = dump(self.connection)
            for landed in self.loaded:
                load_run(self.connection, landed)
            assert dump(self.connection) == before
            self.opened.close()

    run_state_machine_as_test(
        MemoryOfLake,
        settings=settings(
            max_examples=2,
            stateful_step_count=15,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def find_computations() -> list[Callable[[str], None]]:
    """Return the tests that hold an analysis of a world against another computation."""
    names = sorted(path.stem for path in (ROOT / ANALYSES).glob("test_*.py"))
    modules = [(import_module(f"{ANALYSES.replace('/', '.')}.{name}"), name) for name in names]
    return [test for test in (getattr(*each, None) for each in modules) if test]


def test_computations(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each analysis of a world is what another computation makes of the world."""
    world = f"{WORLD}, on a lake"  # what is computed of a world is kept by its name

    def connect(tables: duckdb.DuckDBPyConnection, given: World) -> duckdb.DuckDBPyConnection:
        fill(tables, given)
        return tables

    with DuckLake(tmp_path, lake).write() as tables:
        monkeypatch.setitem(reference.WORLDS, world, reference.WORLDS[WORLD])
        monkeypatch.setattr(reference, "connect", partial(connect, tables))
        computations = find_computations()
        assert len(computations) > 10
        for computation in computations:
            computation(world)

"""A poll is one snapshot of the lake, and costs its catalog few statements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines import steps
from pipelines.config.settings import Settings
from pipelines.errors import LoadRejected, WarehouseError
from pipelines.landing.directory import RAW, list_runs
from pipelines.landing.footer import Footer
from pipelines.landing.format import read_run, write_run
from pipelines.landing.store import Directory
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.ducklake import DuckLake
from pipelines.warehouse.history import read_history
from pipelines.warehouse.lake_files import count_files
from pipelines.warehouse.lake_maintenance import count
from pipelines.warehouse.load import load_landed
from pipelines.warehouse.together import do_together
from tests.builders import born, land, thread
from tests.lake.postgres import connect
from tests.lake.tables import read_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from pipelines.config.lake import Lake
    from pipelines.warehouse.analysis import Analysis
    from pipelines.warehouse.build import Outcome

pytestmark = pytest.mark.slow  # a lake asks its catalog for each statement
MOST_STATEMENTS = 700


def write(warehouse: DuckLake, home: Path, analyses: Mapping[str, Analysis]) -> list[Outcome]:
    """Do what a run does with the tables; return how the analyses went."""
    settings = Settings()
    settings._home = home  # noqa: SLF001 - as load_settings does
    warehouse.newest_sequence()
    read_history(warehouse)
    with warehouse.write() as tables:
        _, outcomes = steps.load_and_build(settings, warehouse, tables, analyses)
        warehouse.publish(tables)
    return outcomes


def count_snapshots(warehouse: DuckLake) -> int:
    """Return how many snapshots there are."""
    with warehouse.write() as tables:
        return count(tables)


def read_log(lake: Lake) -> list[str]:
    """Return the statements that the server was sent, of a database that logs them."""
    with connect(lake.catalog.port) as server:
        row = server.execute("SHOW data_directory").fetchone()
    assert row is not None
    lines = (Path(row[0]).parent / "log").read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if "LOG:  statement: " in line or "LOG:  execute " in line]


def test_unchanged_polls(lake: Lake, tmp_path: Path) -> None:
    """A poll that brings what the one before brought is one snapshot, and at most 700 statements.

    One that brings news is one snapshot too. Each leaves a file for each analysis at most: what
    changes of the tables is in the catalog.
    """
    with connect(lake.catalog.port) as server:
        server.execute(f"ALTER DATABASE \"{lake.catalog.database}\" SET log_statement = 'all'")
    warehouse, analyses = DuckLake(tmp_path, lake), list_analyses()
    for minute in (5, 25):
        land(tmp_path, minute, born("a", 1, 2), thread("b"))
        assert all(outcome.built for outcome in write(warehouse, tmp_path, analyses))
    snapshots, files = count_snapshots(warehouse), count_files(lake)
    land(tmp_path, 45, born("a", 1, 2), thread("b"))
    before = len(read_log(lake))
    write(warehouse, tmp_path, analyses)
    assert len(read_log(lake)) - before <= MOST_STATEMENTS
    assert count_snapshots(warehouse) == snapshots + 1
    assert 0 < count_files(lake) - files <= len(analyses)
    land(tmp_path, 65, born("a", 1, 60, status="idle"), thread("c"))
    write(warehouse, tmp_path, analyses)
    assert count_snapshots(warehouse) == snapshots + 2
    assert count_files(lake) - files <= 2 * len(analyses)
    assert len(read_all(warehouse)["main.threads"]) == 3


def test_parts_that_fail(lake: Lake, tmp_path: Path) -> None:
    """An analysis that fails undoes no load; a run that fails undoes those before it no more."""
    warehouse = DuckLake(tmp_path, lake)
    header = "-- answers: x\n-- grain: one row\n-- columns: {a: x}\n"
    broken = tmp_path / "broken.sql"
    broken.write_text(f"{header}SELECT error('no')::INT AS a\n", encoding="utf-8")
    good = tmp_path / "good.sql"
    good.write_text(f"{header}SELECT count(*)::INT AS a FROM threads\n", encoding="utf-8")
    analyses = {name: list_analyses(tmp_path)[name] for name in ("broken", "good")}
    land(tmp_path, 5, thread("a"))
    outcomes = write(warehouse, tmp_path, analyses)
    assert {outcome.analysis.name: bool(outcome.built) for outcome in outcomes} == {
        "broken": False,
        "good": True,
    }
    rows = read_all(warehouse)
    assert (len(rows["main.threads"]), rows["analytics.good"]) == (1, [{"a": 1}])

    land(tmp_path, 25, thread("a"), thread("b"))
    land(tmp_path, 45, thread("c"))
    file = list_runs(Directory(tmp_path / RAW))["run-45"]
    landed = read_run(file)
    file.delete()
    write_run(file.store, Footer(landed.run, landed.polls * 2), landed.pages.rows())
    with pytest.raises(LoadRejected):
        write(warehouse, tmp_path, {})
    land(tmp_path, 65, thread("d"))
    write(warehouse, tmp_path, {})
    assert warehouse.list_loaded_runs() == ["run-5", "run-25", "run-65"]


def test_lock_that_is_lost_before_the_commit(lake: Lake, tmp_path: Path) -> None:
    """What was written under a lock that is lost is not committed."""
    warehouse = DuckLake(tmp_path, lake)
    land(tmp_path, 5, thread("a"))

    def lose(tables: duckdb.DuckDBPyConnection) -> None:
        load_landed(tables, Directory(tmp_path / RAW))
        with connect(lake.catalog.port) as server:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            )

    with pytest.raises(WarehouseError), warehouse.write() as tables:
        do_together(warehouse, tables, {}, lambda: lose(tables))
    assert warehouse.list_loaded_runs() == []


def test_joins_of_what_is_not_committed(home: Path, lake: Lake) -> None:
    """DuckDB, which knows no size of what a transaction wrote, compares no row with every other."""
    land(home, 0, *(born(f"t{number}", 0, 0) for number in range(9)))
    analyses, warehouse = list_analyses(), DuckLake(home, lake)
    with warehouse.write() as tables, warehouse.joined(tables):
        load_landed(tables, Directory(home / RAW))
        for analysis in analyses.values():
            plan = str(tables.execute(f"EXPLAIN (FORMAT json) {analysis.query}").fetchall())
            assert "NESTED_LOOP_JOIN" not in plan, analysis.name
            build_analysis(tables, analysis)

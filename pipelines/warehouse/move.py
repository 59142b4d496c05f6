"""Move what a data directory holds into a lake: every row of every table, and the landed pages."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipelines.errors import SettingsError, WarehouseError
from pipelines.landing.directory import RAW
from pipelines.landing.place import open_landing
from pipelines.landing.store import Directory, copy_files
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.build import write_settings
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.place import open_warehouse
from pipelines.warehouse.publication import publish
from pipelines.warehouse.sql import ArrowStream, quote_name, transaction

if TYPE_CHECKING:
    from pipelines.config.settings import Settings
    from pipelines.warehouse.base import Connection, Warehouse

# What the other place has made for itself; analyses are built there from the tables.
MADE_THERE = ["schema_version", "analysis_builds"]
TABLES = """
    SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns()
    WHERE database_name = current_database() AND schema_name = 'main' AND NOT internal
        AND table_name IN (
            SELECT table_name FROM duckdb_tables()
            WHERE database_name = current_database() AND schema_name = 'main'
        )
        AND NOT list_contains(?, table_name)
    GROUP BY ALL ORDER BY ALL
"""


class Moved(msgspec.Struct, frozen=True):
    """How many runs the tables hold, how many files were copied, and what readers open."""

    runs: int
    files: int
    place: Path | str


def copy_to_lake(settings: Settings) -> Moved:
    """Copy the tables of the data directory's file into the lake, and what has landed there.

    The data directory stays as it is. Raises SettingsError if no lake is configured, WarehouseError
    and LandingError: once the problem is fixed, it can be repeated.
    """
    if settings.lake is None:
        fix = "Name the lake that the tables are copied into"
        raise SettingsError("warehouse", "is not configured", fix)
    file, lake = DuckdbFile(settings.home), open_warehouse(settings.home, settings.lake)
    if not file.path.exists():
        raise WarehouseError(f"{file.path}: there are no tables to copy")
    runs = copy_tables(file, lake, settings.lake.name)
    landed, landing = Directory(settings.home / RAW), open_landing(settings)
    files = 0 if landing == landed else copy_files(landed, landing)
    with lake.write() as tables:
        write_settings(tables, settings.for_analyses)
        place = publish(lake, tables, list_analyses(settings.analyses_dir))
    return Moved(runs, files, place)


def copy_tables(source: Warehouse, target: Warehouse, name: str) -> int:
    """Put the source's tables in place of the target's; return how many runs they hold.

    Raises WarehouseError, and replaces nothing, if the target holds a run that the source does not,
    or if a table does not arrive as it was.
    """
    with source.write() as tables:
        runs = {run_id for (run_id,) in tables.execute("SELECT run_id FROM runs").fetchall()}
        if others := [run_id for run_id in target.list_loaded_runs() if run_id not in runs]:
            problem = f"the first of {len(others)} is {others[0]}. Copy into an empty lake"
            raise WarehouseError(f"{name}: holds runs that the file does not, {problem}")
        with target.rebuild() as copies, transaction(copies):
            for table, columns in copies.execute(TABLES, [MADE_THERE]).fetchall():
                _copy_table(tables, copies, table, ", ".join(map(quote_name, columns)))
    return len(runs)


def _copy_table(tables: Connection, copies: Connection, table: str, columns: str) -> None:
    rows = f"SELECT {columns} FROM {table}"  # noqa: S608 - names of ours
    digest = f"SELECT count(*), sum(hash({columns})) FROM {table}"  # noqa: S608
    with ExitStack() as views:
        copies.register("moved", ArrowStream(tables.sql(rows)))
        views.callback(copies.unregister, "moved")
        copies.execute(f"DELETE FROM {table}")  # noqa: S608
        copies.execute(f"INSERT INTO {table} ({columns}) FROM moved")
    (expected,), (found,) = (each.execute(digest).fetchall() for each in (tables, copies))
    if found != expected:
        problem = f"{table}: {found[0]} of {expected[0]} rows arrived, or not as they were"
        raise WarehouseError(f"{problem}. Nothing is replaced; report this")

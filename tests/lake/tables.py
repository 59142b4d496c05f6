"""Loads into a warehouse, and all of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.warehouse.load import load_landed
from pipelines.warehouse.publication import publish
from pipelines.warehouse.sql import fetch_records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from pipelines.warehouse.analysis import Analysis
    from pipelines.warehouse.base import Warehouse

EMPTY: Mapping[str, Analysis] = {}
# When something was done, and not what.
OF_THE_CLOCK = {"analysis_builds", "schema_version"}


def load(warehouse: Warehouse, home: Path, analyses: Mapping[str, Analysis] = EMPTY) -> None:
    """Load what has landed, build the analyses and publish."""
    with warehouse.write() as tables:
        load_landed(tables, Directory(home / RAW))
        publish(warehouse, tables, analyses)


def dump(tables: duckdb.DuckDBPyConnection) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table and analysis."""
    names = tables.execute(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE NOT internal"
        " AND database_name = current_database() AND schema_name IN ('main', 'analytics')"
        " ORDER BY ALL"
    ).fetchall()
    return {
        name: fetch_records(tables, f"FROM {name} ORDER BY ALL")
        for (name,) in names
        if name.partition(".")[2] not in OF_THE_CLOCK
    }


def read_all(warehouse: Warehouse) -> dict[str, list[dict[str, Any]]]:
    """Return every row that is published."""
    with warehouse.read() as tables:
        return dump(tables)

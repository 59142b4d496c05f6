"""Which place the tables are in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.warehouse.duckdb_file import DuckdbFile

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.warehouse.base import Warehouse


def open_warehouse(home: Path) -> Warehouse:
    """Return the place of the tables: for now, a file in the data directory."""
    return DuckdbFile(home)

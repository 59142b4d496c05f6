"""Which place the tables are in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.config.settings import data_home
from pipelines.warehouse.duckdb_file import DuckdbFile

if TYPE_CHECKING:
    from pipelines.warehouse.base import Warehouse


def open_warehouse() -> Warehouse:
    """Return the configured place: for now, a file in the data directory."""
    return DuckdbFile(data_home())

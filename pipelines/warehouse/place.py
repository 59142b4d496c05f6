"""Which place the tables are in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import WarehouseError
from pipelines.warehouse.duckdb_file import DuckdbFile

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.config.lake import Lake
    from pipelines.warehouse.base import Warehouse


def open_warehouse(home: Path, lake: Lake | None = None) -> Warehouse:
    """Return the place of the tables: a file in the data directory, or the lake.

    Raises WarehouseError if what a lake needs is not installed.
    """
    if lake is None:
        return DuckdbFile(home)
    try:
        from pipelines.warehouse.ducklake import DuckLake  # noqa: PLC0415 - of an extra
    except ImportError as error:
        fix = "Install session-threads[lake]"
        raise WarehouseError(f"{lake.name}: {error.name} is not installed. {fix}") from None
    return DuckLake(home, lake)

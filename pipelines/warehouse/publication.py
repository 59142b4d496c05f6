"""The published copy: replaced at once, so that readers never meet a load and never block one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import duckdb

from pipelines.errors import WarehouseError
from pipelines.landing import sync_directory
from pipelines.warehouse.analyses import quote
from pipelines.warehouse.database import PUBLISHED, open_warehouse

if TYPE_CHECKING:
    from pathlib import Path


def publish(home: Path) -> Path:
    """Copy the warehouse to the file that readers open; return its path.

    A reader that has the copy before open keeps it, whole, until it opens the file again. Raises
    WarehouseError, and leaves the copy of before, where the disk has no room.
    """
    path = home / PUBLISHED
    temporary = path.with_suffix(".tmp")
    _remove(temporary)
    try:
        with open_warehouse(home) as connection:
            connection.execute(f"ATTACH {quote(str(temporary))} AS published")
            temporary.chmod(0o600)
            connection.execute("COPY FROM DATABASE warehouse TO published")
            connection.execute("CHECKPOINT published")
            connection.execute("DETACH published")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (duckdb.Error, OSError) as error:
        _remove(temporary)
        first = str(error).splitlines()[0]
        raise WarehouseError(
            f"{path}: cannot be published ({first}). The copy of before stays"
        ) from None
    sync_directory(home)
    return path


def _remove(temporary: Path) -> None:
    temporary.unlink(missing_ok=True)
    temporary.with_suffix(".tmp.wal").unlink(missing_ok=True)

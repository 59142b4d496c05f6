"""The published copy: replaced at once, so that readers never meet a load and never block one."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

import duckdb

from pipelines.errors import WarehouseError
from pipelines.files import replace_file
from pipelines.warehouse.build import build_outdated
from pipelines.warehouse.duckdb_file import PUBLISHED, WAREHOUSE, lock, open_tables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipelines.warehouse.analyses import Analysis


logger = logging.getLogger(__name__)
BUFFER_BYTES = 2**20


def publish(home: Path, analyses: Mapping[str, Analysis]) -> Path:
    """Replace the file that readers open by a copy of the warehouse; return its path.

    Analyses that are older than the newest load are built first; one that fails is logged. A
    reader that has the copy before open keeps it, whole, until it opens the file again. Raises
    WarehouseError, and leaves the previous copy, where the disk has no room.
    """
    path = home / PUBLISHED
    with lock(home), open_tables(home / WAREHOUSE) as connection:
        for problem in build_outdated(connection, analyses):
            logger.warning("%s", problem)
        try:
            # After it the file alone holds everything, and nobody else writes to it.
            connection.execute("CHECKPOINT")
            with (home / WAREHOUSE).open("rb") as source, replace_file(path) as file:
                shutil.copyfileobj(source, file, BUFFER_BYTES)
        except (duckdb.Error, OSError) as error:
            first = str(error).splitlines()[0]
            raise WarehouseError(
                f"{path}: cannot be published ({first}). The previous copy stays"
            ) from None
    return path

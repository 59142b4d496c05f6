"""Publish what the tables hold, with analyses that all speak of the same load."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipelines.warehouse.build import build_outdated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from pipelines.warehouse.analyses import Analysis
    from pipelines.warehouse.base import Warehouse

logger = logging.getLogger(__name__)


def publish(warehouse: Warehouse, analyses: Mapping[str, Analysis]) -> Path:
    """Let readers see what the warehouse holds; return what they open.

    Analyses that are older than the newest load are built first; one that fails is logged.
    """

    def prepare(connection: duckdb.DuckDBPyConnection) -> None:
        for problem in build_outdated(connection, analyses):
            logger.warning("%s", problem)

    return warehouse.publish(prepare)

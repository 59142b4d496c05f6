"""Publish what the tables hold, with analyses that are all of the same load."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipelines.warehouse.build import build_outdated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipelines.warehouse.analysis import Analysis
    from pipelines.warehouse.base import Connection, Warehouse

logger = logging.getLogger(__name__)


def complete(tables: Connection, analyses: Mapping[str, Analysis]) -> None:
    """Build the analyses that are older than the newest load; one that fails is logged."""
    for problem in build_outdated(tables, analyses):
        logger.warning("%s", problem)


def publish(
    warehouse: Warehouse, tables: Connection, analyses: Mapping[str, Analysis]
) -> Path | str:
    """Publish what the open tables of a warehouse hold; return what readers open.

    Analyses that are older than the newest load are built first.
    """
    complete(tables, analyses)
    return warehouse.publish(tables)

"""Several steps in one transaction of the tables, where each transaction costs much."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pipelines.warehouse.sql import Undone

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.warehouse.base import Connection, Warehouse

Result = TypeVar("Result")


def do_together(warehouse: Warehouse, tables: Connection, act: Callable[[], Result]) -> Result:
    """Do what writes in one transaction if the place joins them, and return its result.

    What goes on after a part of it has failed, as with an analysis that fails, is done again in
    transactions of each part.
    """
    try:
        with warehouse.joined(tables):
            return act()
    except Undone:
        return act()

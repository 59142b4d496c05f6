"""Several steps in one transaction of the tables, where each transaction costs much."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pipelines.warehouse.publication import complete
from pipelines.warehouse.sql import Undone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipelines.warehouse.analysis import Analysis
    from pipelines.warehouse.base import Connection, Warehouse

Result = TypeVar("Result")


def do_together(
    warehouse: Warehouse,
    tables: Connection,
    analyses: Mapping[str, Analysis],
    act: Callable[[], Result],
) -> Result:
    """Do what writes in one transaction if the place joins them, and return its result.

    At its end all analyses are of the newest load: the tables can be published as they are. What
    goes on after a part of it has failed, as with an analysis that fails, is done again in
    transactions of each part.
    """

    def act_and_complete() -> Result:
        result = act()
        complete(tables, analyses)
        return result

    try:
        with warehouse.joined(tables):
            return act_and_complete()
    except Undone:
        return act_and_complete()

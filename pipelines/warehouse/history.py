"""What earlier runs have brought: what a plan follows from, and the threads that are known."""

from __future__ import annotations

from random import random
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from pipelines.errors import WarehouseError
from pipelines.extract.history import History, Registered
from pipelines.records import KnownThreads
from pipelines.warehouse.sql import read_sql

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipelines.warehouse.base import Warehouse


# The one that is read in columns.
KNOWN_THREADS = "4_known"


def read_history(warehouse: Warehouse) -> History:
    """Return what was published of earlier runs; nothing if nobody can read it.

    It waits for nobody. A copy that is damaged, or of another version, stops no run: the
    publication at its end makes it anew.
    """
    queries = dict(read_sql("history"))
    known_threads = queries.pop(KNOWN_THREADS)
    try:
        with warehouse.read() as connection:
            completed, answered, statuses, registry = [
                connection.execute(query).fetchall() for query in queries.values()
            ]
            known = PublishedThreads(pl.DataFrame(connection.sql(known_threads)))
    except (WarehouseError, duckdb.Error):
        return History()
    return History(
        completed={(source, session_id): number for source, session_id, number in completed},
        answered=frozenset(answered),
        statuses=frozenset(status for (status,) in statuses),
        known=known,
        registry={(source, id_): Registered(*row) for source, id_, *row in registry},
    )


class PublishedThreads(KnownThreads):
    """The threads of each session, in columns: a million of them are no million objects.

    `sessions` has a row for each session: source, session_id, and its threads as a list of
    (thread_id, looked_up).
    """

    def __init__(self, sessions: pl.DataFrame) -> None:
        keys = sessions.select("source", "session_id").iter_rows()
        self._rows = {(source, session_id): row for row, (source, session_id) in enumerate(keys)}
        self._threads = sessions["threads"]

    def find_unlisted(self, source: str, session_id: str, listed: Collection[str]) -> list[str]:
        """Return the session's threads that are not listed, by the age of their last look-up.

        Among equals chance decides, so that one whose look-up always fails is in nobody's way.
        """
        row = self._rows.get((source, session_id))
        if row is None:
            return []
        threads = self._threads[row].struct
        ids = threads.field("thread_id").to_list()
        unlisted = [number for number, id_ in enumerate(ids) if id_ not in listed]
        looked_up = threads.field("looked_up").gather(unlisted).to_list()
        aged = [(at or 0, random(), ids[n]) for n, at in zip(unlisted, looked_up, strict=True)]  # noqa: S311
        return [id_ for _, _, id_ in sorted(aged)]

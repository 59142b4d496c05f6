"""What earlier runs have brought: what a plan follows from, and the threads that are known."""

from __future__ import annotations

from random import random
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

from pipelines.errors import WarehouseError
from pipelines.extract.evidence import Evidence
from pipelines.extract.history import History, LastListing, Registered, Trials
from pipelines.records import KnownThreads
from pipelines.warehouse.ledger import ABSENT
from pipelines.warehouse.sql import fetch_records, read_sql

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipelines.warehouse.base import Warehouse


# The one that is read in columns, and the one whose columns are read by their names.
KNOWN_THREADS = "5_known"
POLLED_SESSIONS = "1_sessions"


def read_history(warehouse: Warehouse) -> History:
    """Return what was published of earlier runs; nothing if nobody can read it.

    It waits for nobody. A copy that is damaged, or of another version, stops no run: the
    publication at its end makes it anew.
    """
    queries = dict(read_sql("history"))
    known_threads, polled = queries.pop(KNOWN_THREADS), queries.pop(POLLED_SESSIONS)
    try:
        with warehouse.read() as connection:
            sessions = fetch_records(connection, polled)
            statuses, registry, trials = [
                connection.execute(query).fetchall() for query in queries.values()
            ]
            known = PublishedThreads(pl.DataFrame(connection.sql(known_threads)))
    except (WarehouseError, duckdb.Error):
        return History()
    keyed = {(row["source"], row["session_id"]): row for row in sessions}
    listings = {key: make_listing(row) for key, row in keyed.items() if row["complete_at"]}
    absent = {key for key, row in keyed.items() if row["last_outcome"] in ABSENT}
    return History(
        listings=listings,
        answered=frozenset(listings.keys() | absent),
        statuses=frozenset(status for (status,) in statuses),
        known=known,
        registry={(source, id_): Registered(*row) for source, id_, *row in registry},
        trials={source: Trials(*row) for source, *row in trials},
    )


def make_listing(row: Mapping[str, Any]) -> LastListing:
    """Return what is known of a session's last complete poll."""
    said = Evidence(*(row[name] for name in Evidence.__struct_fields__))
    return LastListing(
        at=row["complete_at"],
        sequence=row["complete_sequence"],
        pages=row["complete_pages"],
        is_newest=row["last_outcome"] == "complete",
        evidence=None if row["may_rest"] is None else said,
        may_rest=bool(row["may_rest"]),
        is_suspect=row["is_suspect"],
        reading=row["reading"],
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

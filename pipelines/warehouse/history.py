"""What earlier runs have brought: what a plan follows from, and the threads that are known."""

from __future__ import annotations

from random import shuffle
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from pipelines.errors import WarehouseError
from pipelines.extract.evidence import Evidence
from pipelines.extract.history import History, LastListing, Registered, Trials
from pipelines.records import KnownThreads
from pipelines.warehouse.ledger import ABSENT, read_newest_sequence
from pipelines.warehouse.sql import fetch_records, read_sql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pipelines.warehouse.base import Warehouse


# The one of threads, and the one whose columns are read by their names.
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
            newest = read_newest_sequence(connection)
            known = PublishedThreads(connection.execute(known_threads).fetchall())
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
        newest_sequence=newest,
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
    """The threads of each session, as texts: a million of them are no million objects.

    `sessions` has a row for each session: source, session_id, its threads that were never looked
    up, as a JSON list, and likewise the others, those first that were looked up the longest ago.
    """

    def __init__(self, sessions: Iterable[tuple[str, str, str | None, str | None]]) -> None:
        self._threads = {(source, session_id): lists for source, session_id, *lists in sessions}

    def find_unlisted(self, source: str, session_id: str, listed: Collection[str]) -> list[str]:
        """Return the session's threads that are not listed, by the age of their last look-up.

        Among those of one age chance decides, so that one whose look-up always fails is in nobody's
        way.
        """
        never, once = (
            [id_ for id_ in msgspec.json.decode(ids or "[]", type=list[str]) if id_ not in listed]
            for ids in self._threads.get((source, session_id), (None, None))
        )
        shuffle(never)
        return never + once

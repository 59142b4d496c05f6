"""The state of each session in scope, from the published copy, so that no load waits."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec

from pipelines.errors import WarehouseError
from pipelines.extract.discover import name_sessions
from pipelines.records import ScopedSession
from pipelines.reporting.clocks import describe_future
from pipelines.warehouse.ledger import ABSENT
from pipelines.warehouse.sql import fetch_records, read_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipelines.config.settings import Settings
    from pipelines.warehouse.base import Warehouse

NEVER: dict[str, Any] = {
    "last_complete_poll": None,
    "failure_streak": 0,
    "last_outcome": None,
    "last_error": None,
    "threads": 0,
    "open_threads": 0,
    "clock_skew_seconds": None,
    "quiet_as_of": None,
    "missed_share_upper": None,
}
# Nobody has to look at them.
FINE = frozenset({"ok", "resting"})


class Health(msgspec.Struct, frozen=True):
    """A session's line: `state` is ok, resting, stale, failing, gone, forbidden or never polled.

    Of one that rests, `quiet_as_of` is the list of sessions that found it quiet, and
    `missed_share_upper` a bound of the share of its changes that this would not show.
    """

    source: str
    session_id: str
    label: str | None
    state: str
    last_complete_poll: datetime | None
    threads: int
    open_threads: int
    last_error: str | None
    clock_skew_seconds: float | None = None
    quiet_as_of: datetime | None = None
    missed_share_upper: float | None = None

    @property
    def name(self) -> str:
        """What a person calls the session."""
        return self.label or self.session_id


def read_health(warehouse: Warehouse, settings: Settings, now: datetime) -> list[Health]:
    """Return a line per session in scope, those in trouble first.

    A session is gone, or forbidden, if the server said so last, failing if its last poll was not
    complete for another reason, or the last complete one lies in the future, and stale if that
    began more than two poll intervals before `now`. One that rests is stale if the list that found
    it quiet did, or its last complete poll full_listing_hours more.
    """
    lines = [
        Health(
            source=source,
            session_id=session.id,
            label=session.label,
            state=session_state(row, settings, now),
            **{name: row[name] for name in Health.__struct_fields__ if name in NEVER}
            | {"last_error": row["last_error"] or find_impossible(row, now)},
        )
        for source, session, row in pair_sessions(settings, read_rows(warehouse))
    ]
    return sorted(lines, key=lambda line: line.state in FINE)


def pair_sessions(
    settings: Settings, rows: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, ScopedSession, Mapping[str, Any]]]:
    """Yield each session in scope after its source's name, with its row of ingestion_health."""
    known = {(row["source"], row["session_id"]): row for row in rows}
    for source in settings.sources:
        found = {
            id_: ScopedSession(id_, row["registered_label"], "discovered")
            for (name, id_), row in known.items()
            if name == source.name and is_found(row) and source.discover
        }
        for session in (found | name_sessions(source)).values():
            if session.id not in source.exclude:
                yield source.name, session, known.get((source.name, session.id), NEVER)


def is_found(row: Mapping[str, Any]) -> bool:
    """Whether the registry says that a session was discovered, and is asked for."""
    return row["origin"] == "discovered" and row["state"] in {"polled", "resting", "forbidden"}


def find_oldest(settings: Settings, now: datetime) -> datetime:
    """Return when the last complete poll of a session must have begun for it not to be stale."""
    return now - settings.stale_after


def read_rows(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Return the rows of ingestion_health; none if nothing is published yet."""
    if not warehouse.is_published():
        return []
    with warehouse.read() as connection:
        try:
            return fetch_records(connection, read_query("ledger", "health"))
        except duckdb.CatalogException:
            hint = "It was published by an older version: run `session-threads run` first"
            raise WarehouseError(f"ingestion_health is missing. {hint}") from None


def session_state(row: Mapping[str, Any], settings: Settings, now: datetime) -> str:
    """Return the word for a session's row of ingestion_health."""
    if row["last_outcome"] in ABSENT:
        return str(row["last_outcome"])
    if row["failure_streak"] or find_impossible(row, now):
        return "failing"
    if row["last_complete_poll"] is None:
        return "never polled"
    oldest, rests = find_oldest(settings, now), row["quiet_as_of"] is not None
    if not rests:
        return "ok" if row["last_complete_poll"] >= oldest else "stale"
    is_old = row["last_complete_poll"] < now - settings.resting_stale_after
    return "stale" if is_old or row["quiet_as_of"] < oldest else "resting"


def find_impossible(row: Mapping[str, Any], now: datetime) -> str | None:
    """Return why the time of a session's last complete poll cannot be; None if it can."""
    moment = row["last_complete_poll"]
    return describe_future(moment, now) if moment else None

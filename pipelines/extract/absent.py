"""Sessions that the server said are gone, or forbidden: they are asked again now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipelines import clock
from pipelines.extract.resting import HOUR_US

if TYPE_CHECKING:
    from pipelines.config.polling import Polling
    from pipelines.extract.discover import SourceSessions
    from pipelines.extract.history import History, Registered

ABSENT = frozenset({"gone", "forbidden"})


def leave_absent(found: SourceSessions, history: History, polling: Polling) -> SourceSessions:
    """Return a source's sessions without those that are absent, and were asked a short time ago.

    If that leaves none, all stay: a wrong base URL or token says the same of each session, and
    whoever has corrected it must not wait.
    """
    period = polling.full_listing_hours * HOUR_US
    kept = [
        session
        for session in found.sessions
        if not (row := history.registry.get((found.source.name, session.id)))
        or is_due(row, found.present.at, period)
    ]
    return msgspec.structs.replace(found, sessions=tuple(kept)) if kept else found


def is_due(row: Registered, now: int | None, period: int) -> bool:
    """Whether a session is to be asked: it is not absent, or was asked longer ago than a period.

    `now` is the server's, in microseconds since 1970; None if it was not asked yet: then it is
    ours, less what our clock was ahead then. A time that cannot be is no reason to wait.
    """
    if row.state not in ABSENT or row.asked_at is None:
        return True
    if now is None:
        now = clock.count_microseconds(clock.now() - clock.find_error(row.clock_skew_seconds))
    return not 0 <= now - row.asked_at < period

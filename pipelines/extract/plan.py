"""What to ask in a run: for now, every page of every session that is selected."""

from __future__ import annotations

import difflib
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from pipelines.errors import SettingsError
from pipelines.extract.discover import SourceSessions
from pipelines.files import list_statuses
from pipelines.providers.registry import PROVIDERS
from pipelines.records import THREADS_ENDPOINT, History

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.records import ScopedSession, Selection


def plan_polls(
    found: Sequence[SourceSessions],
    selection: Selection,
    history: History | None = None,
    deadline_s: float | None = None,
) -> list[SourceSessions]:
    """Return the sessions of each source that are to be listed, whole, in the order of their turn.

    A source that was never listed whole has no deadline. Raises SettingsError if the selection
    names a status that nobody knows, or a session that was not found: one that nobody configured
    must not be listed, because listing creates its coordinator.
    """
    history = history or History()
    wanted = set(selection.sessions)
    known = {session.id for each in found for session in each.sessions}
    if unknown := sorted(wanted - known):
        raise SettingsError(
            f"--session {unknown[0]}",
            "not among the sessions that are configured, or were found",
            "Add it to the configuration, or run once without --session to find it.",
        )
    check_statuses(selection, history)
    check_filters(found, selection)
    return [
        SourceSessions(
            each.source,
            order_sessions(
                each.source.name,
                [session for session in each.sessions if not wanted or session.id in wanted],
                history,
            ),
            deadline_s if was_listed_whole(each, history) else None,
            each.ended,
        )
        for each in found
    ]


def was_listed_whole(found: SourceSessions, history: History) -> bool:
    """Whether every session of a source was listed to its end once, as far as the server has it."""
    return all((found.source.name, session.id) in history.answered for session in found.sessions)


def order_sessions(
    source: str, sessions: Sequence[ScopedSession], history: History
) -> tuple[ScopedSession, ...]:
    """Return the sessions, those whose last complete poll is the oldest first.

    New ones share the first half with them, so that no deadline starves the one or the other.
    """
    completed = {s.id: history.completed.get((source, s.id)) for s in sessions}
    new = [session for session in sessions if completed[session.id] is None]
    old = [session for session in sessions if completed[session.id] is not None]
    old.sort(key=lambda session: completed[session.id] or 0)
    return tuple(filter(None, chain.from_iterable(zip_longest(old, new))))


def check_statuses(selection: Selection, history: History) -> None:
    """Raise SettingsError for a status that is neither documented nor in the data."""
    known = {*list_statuses(closed=True), *list_statuses(closed=False), *history.statuses}
    for status in selection.statuses:
        if not status:
            raise SettingsError("--status ''", "names no status", "Name one, such as running.")
        if status not in known:
            close = difflib.get_close_matches(status, known, n=1)
            fix = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(sorted(known))}."
            raise SettingsError(f"--status {status}", "no thread was ever in this status", fix)


def check_filters(found: Sequence[SourceSessions], selection: Selection) -> None:
    """Raise SettingsError if a source cannot be asked for threads in certain statuses alone."""
    for source in [each.source for each in found if selection.statuses]:
        if not PROVIDERS[source.provider].endpoint(THREADS_ENDPOINT).takes_statuses:
            raise SettingsError(
                f"--status {selection.statuses[0]}",
                f"source {source.name}: {source.provider} lists threads in all statuses alone",
                "Leave --status out, and use show --where on what was loaded.",
            )

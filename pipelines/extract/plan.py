"""What to ask in a run: which sessions, in which order, and for how long."""

from __future__ import annotations

import difflib
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

import msgspec

from pipelines.config.polling import Polling
from pipelines.errors import SettingsError
from pipelines.extract.absent import leave_absent
from pipelines.extract.discover import SourceSessions
from pipelines.extract.history import History, Trials
from pipelines.extract.resting import Choice, choose
from pipelines.files import list_statuses
from pipelines.providers.registry import PROVIDERS
from pipelines.records import THREADS_ENDPOINT, SourcePlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelines.records import ScopedSession, Selection


class PlannedSource(SourceSessions, frozen=True):
    """A source and the sessions of it that are asked, with what was decided of each, and why.

    `trials` are what its evidence has gone through. Where a run is of certain sessions or statuses
    alone, nothing is decided.
    """

    choices: tuple[Choice, ...] = ()
    is_trusted: bool = False
    trials: Trials = Trials()


def plan_polls(
    found: Sequence[SourceSessions],
    selection: Selection,
    history: History | None = None,
    deadline_s: float | None = None,
    polling: Polling | None = None,
    readings: Mapping[str, str] | None = None,
) -> list[PlannedSource]:
    """Return the sessions of each source that are to be listed, whole, in the order of their turn.

    A source that was never listed whole has no deadline. `readings` say how each provider's pages
    are read. Raises SettingsError if the selection names a status that nobody knows, or a session
    that was not found: one that nobody configured must not be listed, because listing creates its
    coordinator.
    """
    history, polling = history or History(), polling or Polling()
    check_sessions(found, selection)
    check_statuses(selection, history)
    check_filters(found, selection)
    if selection.sessions or selection.statuses:
        planned = [select(each, selection) for each in found]
    else:
        asked = polling.model_copy(update={"strategy": "full"}) if selection.is_full else polling
        planned = [
            plan_source(
                each if selection.is_full else leave_absent(each, history, polling),
                history,
                asked,
                (readings or {}).get(each.source.provider),
            )
            for each in found
        ]
    return [
        msgspec.structs.replace(
            each,
            sessions=order_sessions(each.source.name, each.sessions, history),
            deadline_s=deadline_s if was_listed_whole(scope, history) else None,
        )
        for scope, each in zip(found, planned, strict=True)
    ]


def select(found: SourceSessions, selection: Selection) -> PlannedSource:
    """Return the sessions of a source that someone chose."""
    wanted = set(selection.sessions)
    chosen = tuple(session for session in found.sessions if not wanted or session.id in wanted)
    return PlannedSource(found.source, chosen, ended=found.ended, present=found.present)


def plan_source(
    found: SourceSessions, history: History, polling: Polling, reading: str | None
) -> PlannedSource:
    """Return the sessions of a source that are asked, and what was decided of each."""
    name = found.source.name
    listings = {id_: last for (source, id_), last in history.listings.items() if source == name}
    trials = history.trials.get(name, Trials())
    choices, is_trusted = choose(found.sessions, listings, found.present, trials, polling, reading)
    return PlannedSource(
        found.source,
        tuple(choice.session for choice in choices if choice.is_asked),
        ended=found.ended,
        present=found.present,
        titles=found.titles,
        choices=tuple(choices),
        is_trusted=is_trusted,
        trials=trials,
    )


def describe_plans(planned: Sequence[PlannedSource]) -> list[SourcePlan]:
    """Return what was decided of each source, to be landed with what its sessions bring."""
    return [
        SourcePlan(
            each.source.name,
            each.is_trusted,
            sessions_resting=sum(not choice.is_asked for choice in each.choices),
            sessions_due=sum(choice.reason == "due" for choice in each.choices),
        )
        for each in planned
        if each.choices
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
    listings = {s.id: history.listings.get((source, s.id)) for s in sessions}
    completed = {id_: last and last.sequence for id_, last in listings.items()}
    new = [session for session in sessions if completed[session.id] is None]
    old = [session for session in sessions if completed[session.id] is not None]
    old.sort(key=lambda session: completed[session.id] or 0)
    return tuple(filter(None, chain.from_iterable(zip_longest(old, new))))


def check_sessions(found: Sequence[SourceSessions], selection: Selection) -> None:
    """Raise SettingsError for a session that was not found."""
    known = {session.id for each in found for session in each.sessions}
    if unknown := sorted(set(selection.sessions) - known):
        raise SettingsError(
            f"--session {unknown[0]}",
            "not among the sessions that are configured, or were found",
            "Add it to the configuration, or run once without --session to find it.",
        )


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

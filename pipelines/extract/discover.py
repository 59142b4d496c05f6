"""Which sessions there are: those that someone named, in settings or a file, and those found."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from pipelines import clock
from pipelines.config.settings import Source
from pipelines.errors import ApiError, SettingsError
from pipelines.extract.history import History, Registered
from pipelines.extract.listing import SessionListing
from pipelines.extract.resting import Present
from pipelines.http.opening import open_client
from pipelines.records import Decision, FetchedPage, Poll, ScopedSession

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence

    from pipelines.config.settings import Settings
    from pipelines.records import Selection

Registry = dict[str, Registered]
# Of these the registry has had the last word.
ENDED = frozenset({"excluded", "out_of_scope", "gone"})


class SourceSessions(msgspec.Struct, frozen=True):
    """A source and sessions of it, to be polled in this order, for so long (None: to the end).

    Where an answer to the listing of its sessions has `ended` the source, none is asked for.
    `present` is what that listing says, and `titles` what it calls them.
    """

    source: Source
    sessions: tuple[ScopedSession, ...]
    deadline_s: float | None = None
    ended: ApiError | None = None
    present: Present = Present()
    titles: dict[str, str | None] = {}


class Discovery(msgspec.Struct, frozen=True):
    """What there is: the sessions of each source, and which are asked for no more.

    `fetched` are the pages and polls of what was asked to find them, to be landed with the run.
    """

    sources: list[SourceSessions]
    decisions: list[Decision] = []
    fetched: list[FetchedPage | Poll] = []


def list_configured(settings: Settings) -> list[SourceSessions]:
    """Return the sessions of each source that are configured, or in its file; nothing is asked."""
    return [
        SourceSessions(source, tuple(name_sessions(source).values())) for source in settings.sources
    ]


def name_sessions(source: Source) -> dict[str, ScopedSession]:
    """Return the sessions that someone named, but for the excluded, by their ids."""
    named = {
        id_: ScopedSession(id_, label, "file") for id_, label in source.file_sessions.items()
    } | {session.id: ScopedSession(session.id, session.label) for session in source.sessions}
    return {id_: session for id_, session in named.items() if id_ not in source.exclude}


async def discover_sessions(
    settings: Settings, history: History, selection: Selection, *, backoff_s: float = 1
) -> Discovery:
    """Ask each source that discovers for its sessions, side by side; return all that there are.

    A selection of sessions asks for none: they are known already. A listing that fails leaves a
    source with the sessions that it had. Sessions of sources that are not configured any more are
    out of scope.
    """
    found = await asyncio.gather(
        *(
            discover_source(source, read_registry(source, history), selection, backoff_s=backoff_s)
            for source in choose_sources(settings, selection)
        )
    )
    return Discovery(
        [each for discovery in found for each in discovery.sources],
        [
            *([] if selection.sessions else decide_removed(settings, history)),
            *(each for discovery in found for each in discovery.decisions),
        ],
        [each for discovery in found for each in discovery.fetched],
    )


def choose_sources(settings: Settings, selection: Selection) -> list[Source]:
    """Return the sources that are asked. Raises SettingsError for one that is not configured."""
    known = {source.name: source for source in settings.sources}
    for name in selection.sources:
        if name not in known:
            there = f"There is {', '.join(known)}"
            raise SettingsError("sources", f"none is called {name}", there)
    return [source for name, source in known.items() if name in (selection.sources or known)]


async def count_found(source: Source) -> int:
    """Return how many sessions a source discovers now; nothing is polled. Raises ApiError."""
    if source.discover is None:
        return 0
    async with open_client(source) as client:
        listing = SessionListing(client)
        await listing.fetch(source.discover)
        if listing.error:
            raise listing.error
        return len(listing.found.keys() - {*source.exclude})


def read_registry(source: Source, history: History) -> Registry:
    """Return what the registry knows of a source's sessions, by their ids."""
    return {id_: row for (name, id_), row in history.registry.items() if name == source.name}


async def discover_source(
    source: Source, registry: Registry, selection: Selection, *, backoff_s: float = 1
) -> Discovery:
    """Return the sessions of one source: named, found, and those that are leaving."""
    named = name_sessions(source)
    # Who names one that is gone wants to know.
    ended = ENDED - {"gone"} if selection.sessions else ENDED
    known = {
        id_: ScopedSession(id_, row.label, "discovered")
        for id_, row in registry.items()
        if row.origin == "discovered" and row.state not in ended and id_ not in source.exclude
    }
    if source.discover is None or selection.sessions:
        kept = known | named if source.discover else named
        decisions = [] if selection.sessions else decide(source, registry, kept)
        return Discovery([SourceSessions(source, tuple(kept.values()))], decisions)
    async with open_client(source, backoff_s=backoff_s) as client:
        listing = SessionListing(client)
        poll = await listing.fetch(source.discover)
        kept_ids = [id_ for id_ in listing.found if id_ not in source.exclude]
        found = {id_: ScopedSession(id_, None, "discovered") for id_ in kept_ids}
        is_whole = poll.outcome == "complete"
        left = [id_ for id_ in known if id_ not in found and id_ not in named] if is_whole else []
        gone = await listing.look_up(left)
    kept = (known if not is_whole else {}) | found
    kept |= {
        id_: msgspec.structs.replace(known[id_], is_leaving=True) for id_ in left if id_ not in gone
    }
    kept |= named
    decisions = decide(source, registry, kept, gone)
    stopped_by = listing.error if listing.error and listing.error.ends_source else None
    present = Present(
        listing.evidence, clock.count_microseconds(poll.started_at - poll.clock_error)
    )
    sessions = SourceSessions(
        source, tuple(kept.values()), ended=stopped_by, present=present, titles=listing.found
    )
    return Discovery([sessions], decisions, [*listing.pages, poll])


def decide(
    source: Source,
    registry: Registry,
    kept: Mapping[str, ScopedSession],
    gone: Collection[str] = (),
) -> list[Decision]:
    """Return what the registry is to say of sessions that were asked for and are no more."""
    reasons = {
        id_: ("excluded", "exclude of the configuration names it")
        if id_ in source.exclude
        else ("gone", "the server answered 404")
        if id_ in gone
        else ("out_of_scope", "the configuration names it no more")
        for id_, row in registry.items()
        if id_ not in kept and row.state not in ENDED
    }
    return [Decision(source.name, id_, *reason) for id_, reason in reasons.items()]


def decide_removed(settings: Settings, history: History) -> list[Decision]:
    """Return what the registry is to say of sessions whose whole source is configured no more."""
    configured = {source.name for source in settings.sources}
    reason = "its source is configured no more"
    return [
        Decision(source, id_, "out_of_scope", reason)
        for (source, id_), row in history.registry.items()
        if source not in configured and row.state not in ENDED
    ]


async def follow(
    found: Sequence[FetchedPage | Poll], polls: AsyncGenerator[FetchedPage | Poll]
) -> AsyncGenerator[FetchedPage | Poll]:
    """Yield what was found, then what the polls bring."""
    for item in found:
        yield item
    async with aclosing(polls) as items:
        async for item in items:
            yield item

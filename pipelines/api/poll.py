"""One poll: every session of every source, side by side, each with an honest end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from pipelines.api.client import Client, Meter, open_client
from pipelines.api.interrupt import on_interrupt
from pipelines.api.walk import Visit, Walk, walk_session
from pipelines.errors import INTERRUPTED, ApiError, Interrupted, SettingsError, TokenRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from pipelines.settings import Session, Source


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger keeps of one session's poll, but the counts that only a load can tell."""

    source: str
    session_id: str
    label: str | None
    started_at: datetime
    finished_at: datetime
    outcome: str
    ended_by: str
    status_filter: str | None
    pages: int
    requests: int
    retries: int
    wait_seconds: float
    bytes: int
    threads_listed: int
    duplicates: int
    error_type: str | None = None
    error_message: str | None = None
    request_id: str | None = None


class Scope(msgspec.Struct, frozen=True):
    """What of the configured sessions is polled: all of them and every status where empty."""

    sessions: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()


class Observer:
    """Is told how a poll goes on; does nothing itself."""

    def begin(self, sessions: int) -> None:
        """So many sessions are going to be polled."""

    def page(self, threads: int) -> None:
        """A page with so many threads has come."""

    def wait(self, seconds: float) -> None:
        """A session waits so long before its next request, or has done so."""

    def end(self, poll: Poll) -> None:
        """A session's poll has ended."""


class _Fleet:
    """The sessions of one source: they share its client, its places, and its refusal."""

    def __init__(self, client: Client, scope: Scope, observer: Observer) -> None:
        self.client = client
        self.scope = scope
        self.observer = observer
        self.places = asyncio.Semaphore(client.source.max_concurrency)
        self.tasks: list[asyncio.Task[tuple[Poll, list[Visit]]]] = []
        self.stopped_by: ApiError | None = None

    def launch(self, session: Session) -> asyncio.Task[tuple[Poll, list[Visit]]]:
        task = asyncio.create_task(self._poll(session), name=session.id)
        self.tasks.append(task)
        return task

    async def _poll(self, session: Session) -> tuple[Poll, list[Visit]]:
        source, started_at = self.client.source, datetime.now(UTC)
        meter = Meter(on_wait=self.observer.wait)
        walk = Walk(max_pages=source.max_pages_per_session)
        try:
            async with self.places:
                started_at = datetime.now(UTC)
                await walk_session(
                    self.client,
                    session.id,
                    walk,
                    order=source.order,
                    statuses=self.scope.statuses,
                    meter=meter,
                    on_page=lambda visit: self.observer.page(len(visit.page.envelope.data)),
                )
        except asyncio.CancelledError:
            if self.stopped_by is None:
                raise
            walk.error = self.stopped_by
        if isinstance(walk.error, TokenRefused):
            self.stop(walk.error)
        poll = self._conclude(session, walk, meter, started_at)
        self.observer.end(poll)
        return poll, walk.visits

    def stop(self, reason: ApiError) -> None:
        """End every session that is still being polled, at once and for this reason."""
        if self.stopped_by is not None:
            return
        self.stopped_by = reason
        for task in self.tasks:
            if task is not asyncio.current_task():
                task.cancel()

    def _conclude(self, session: Session, walk: Walk, meter: Meter, started_at: datetime) -> Poll:
        error = walk.error
        return Poll(
            source=self.client.source.name,
            session_id=session.id,
            label=session.label,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            outcome=judge(walk),
            ended_by=walk.ended_by,
            status_filter=",".join(self.scope.statuses) or None,
            pages=len(walk.visits),
            requests=meter.requests,
            retries=meter.retries,
            wait_seconds=meter.wait_seconds,
            bytes=meter.bytes,
            threads_listed=len(walk.ids),
            duplicates=walk.duplicates,
            error_type=error.error_type if error else None,
            error_message=str(error) if error else None,
            request_id=error.request_id if error else None,
        )


def judge(walk: Walk) -> str:
    """Return the ledger's word for how a walk ended."""
    if walk.is_complete:
        return "complete"
    outcome = walk.error.outcome if walk.error else ApiError.outcome
    return "incomplete" if outcome == "failed" and walk.visits else outcome


async def poll_sessions(
    sources: Sequence[Source],
    scope: Scope,
    observer: Observer,
    *,
    backoff_s: float = 1,
) -> AsyncIterator[tuple[Poll, list[Visit]]]:
    """Yield each session's poll and its pages as soon as it has ended, failed ones too.

    Raises SettingsError where the scope names a session that no source has: a session nobody
    configured must not be listed, because listing creates its coordinator.
    """
    chosen = choose_sessions(sources, scope)
    observer.begin(sum(len(sessions) for _, sessions in chosen))
    async with AsyncExitStack() as stack:
        fleets, tasks = [], []
        for source, sessions in chosen:
            client = await stack.enter_async_context(open_client(source, backoff_s=backoff_s))
            fleet = _Fleet(client, scope, observer)
            fleets.append(fleet)
            tasks += [fleet.launch(session) for session in sessions]

        hint = "interrupted by a signal. What had come is loaded; run again"

        def stop_all() -> None:
            for fleet in fleets:
                fleet.stop(Interrupted(hint, error_type=INTERRUPTED))

        stack.enter_context(on_interrupt(stop_all))
        try:
            for task in asyncio.as_completed(tasks):
                yield await task
        finally:
            for pending in tasks:
                pending.cancel()


def choose_sessions(sources: Iterable[Source], scope: Scope) -> list[tuple[Source, list[Session]]]:
    """Return the sessions of each source that the scope asks for."""
    sources = list(sources)
    wanted = set(scope.sessions)
    known = {session.id for source in sources for session in source.sessions}
    if unknown := sorted(wanted - known):
        raise SettingsError(
            f"--session {unknown[0]}",
            "not among the configured sessions",
            "Add it to sessions.yaml or QODER_SESSION_IDS.",
        )
    return [
        (source, [session for session in source.sessions if not wanted or session.id in wanted])
        for source in sources
    ]

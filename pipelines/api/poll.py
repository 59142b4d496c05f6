"""One poll: every session of every source, side by side, each with an honest end."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from pipelines.api.client import Client, Meter, open_client
from pipelines.api.interrupt import on_interrupt
from pipelines.api.page import cut_threads
from pipelines.api.walk import Visit, Walk, walk_session
from pipelines.errors import INTERRUPTED, ApiError, Interrupted, SettingsError, TokenRefused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from pipelines.settings import Session, Source


# Pages that wait for whoever takes them.
MOST_WAITING = 32


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger keeps of one session's poll, but the counts that only a load can tell.

    `digest` is that of the threads on its pages, as `digest_page` adds them up.
    """

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
    digest: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    request_id: str | None = None


class Arrival(msgspec.Struct, frozen=True):
    """A page that has come, and from where."""

    source: str
    session_id: str
    visit: Visit


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


Arrivals = asyncio.Queue["Arrival | asyncio.Task[Poll]"]


class _Fleet:
    """The sessions of one source: they share its client, its places, and its refusal."""

    def __init__(
        self, client: Client, scope: Scope, observer: Observer, arrivals: Arrivals
    ) -> None:
        self.client = client
        self.arrivals = arrivals
        self.scope = scope
        self.observer = observer
        self.places = asyncio.Semaphore(client.source.max_concurrency)
        self.tasks: list[asyncio.Task[Poll]] = []
        self.stopped_by: ApiError | None = None

    def launch(self, session: Session) -> asyncio.Task[Poll]:
        task = asyncio.create_task(self._poll(session), name=session.id)
        self.tasks.append(task)
        return task

    async def _poll(self, session: Session) -> Poll:
        source, started_at = self.client.source, datetime.now(UTC)
        meter = Meter(on_wait=self.observer.wait)
        walk = Walk(max_pages=source.max_pages_per_session)
        digest = new_digest()

        async def hand_on(visit: Visit) -> None:
            self.observer.page(len(visit.page.envelope.data))
            digest_page(digest, visit.page.body)
            # First it is handed on, then there is time to be interrupted.
            self.arrivals.put_nowait(Arrival(source.name, session.id, visit))
            if self.arrivals.qsize() > MOST_WAITING:
                await self.arrivals.join()

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
                    on_page=hand_on,
                )
        except asyncio.CancelledError:
            if self.stopped_by is None:
                raise
            if walk.ended_by == "interrupted":
                walk.error = self.stopped_by
        if isinstance(walk.error, TokenRefused):
            self.stop(walk.error)
        poll = self._conclude(session, walk, meter, started_at, digest.hexdigest())
        self.observer.end(poll)
        return poll

    def stop(self, reason: ApiError) -> None:
        """End every session that is still being polled, at once and for this reason."""
        if self.stopped_by is not None:
            return
        self.stopped_by = reason
        for task in self.tasks:
            if task is not asyncio.current_task():
                task.cancel()

    def _conclude(
        self, session: Session, walk: Walk, meter: Meter, started_at: datetime, digest: str
    ) -> Poll:
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
            pages=walk.pages,
            requests=meter.requests,
            retries=meter.retries,
            wait_seconds=meter.wait_seconds,
            bytes=meter.bytes,
            threads_listed=len(walk.ids),
            duplicates=walk.duplicates,
            digest=digest,
            error_type=error.error_type if error else None,
            error_message=str(error) if error else None,
            request_id=error.request_id if error else None,
        )


def new_digest() -> hashlib.blake2b:
    """Return the digest of no page."""
    return hashlib.blake2b(digest_size=16)


def digest_page(digest: hashlib.blake2b, body: bytes) -> None:
    """Add a page. Only its threads count: a cursor may be another each time."""
    digest.update(cut_threads(body))


def judge(walk: Walk) -> str:
    """Return the ledger's word for how a walk ended."""
    if walk.is_complete:
        return "complete"
    outcome = walk.error.outcome if walk.error else ApiError.outcome
    return "incomplete" if outcome == "failed" and walk.pages else outcome


async def poll_sessions(
    sources: Sequence[Source],
    scope: Scope,
    observer: Observer,
    *,
    backoff_s: float = 1,
) -> AsyncGenerator[Arrival | Poll]:
    """Yield each page as it comes, and each session's poll when it has ended, failed ones too.

    Pages of several sessions come interleaved, those of one in order, its poll after them. Whoever
    is slow to take them slows the polls down, so that few pages wait in memory.

    Raises SettingsError where the scope names no status, or a session that no source has: one that
    nobody configured must not be listed, because listing creates its coordinator.
    """
    chosen = choose_sessions(sources, scope)
    observer.begin(sum(len(sessions) for _, sessions in chosen))
    async with AsyncExitStack() as stack:
        fleets, tasks = [], []
        arrivals: Arrivals = asyncio.Queue()
        for source, sessions in chosen:
            client = await stack.enter_async_context(open_client(source, backoff_s=backoff_s))
            fleet = _Fleet(client, scope, observer, arrivals)
            fleets.append(fleet)
            tasks += [fleet.launch(session) for session in sessions]

        hint = "interrupted by a signal. What had come is loaded; run again"

        def stop_all() -> None:
            for fleet in fleets:
                fleet.stop(Interrupted(hint, error_type=INTERRUPTED))

        stack.enter_context(on_interrupt(stop_all))
        for task in tasks:
            task.add_done_callback(arrivals.put_nowait)
        pending = len(tasks)
        try:
            while pending:
                arrival = await arrivals.get()
                if isinstance(arrival, Arrival):
                    yield arrival
                else:
                    pending -= 1
                    yield await arrival
                arrivals.task_done()
        finally:
            for task in tasks:
                task.cancel()


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
    if "" in scope.statuses:
        raise SettingsError("--status ''", "names no status", "Name one, such as running.")
    return [
        (source, [session for session in source.sessions if not wanted or session.id in wanted])
        for source in sources
    ]

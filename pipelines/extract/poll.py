"""One poll: every session of every source, side by side, each with its outcome."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, aclosing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pipelines import clock
from pipelines.config.settings import Session
from pipelines.errors import INTERRUPTED, ApiError, DeadlineReached, Interrupted, Unexpected
from pipelines.extract.interrupt import on_interrupt
from pipelines.extract.paginate import ListRequest, Pagination, fetch_page, fetch_pages
from pipelines.http.client import Client, RequestStats, open_client
from pipelines.providers.registry import PROVIDERS
from pipelines.records import (
    THREADS_ENDPOINT,
    FetchedPage,
    PageFetch,
    Poll,
    Progress,
    Selection,
    Unfailing,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence
    from datetime import datetime

    from pipelines.config.settings import Source
    from pipelines.extract.discover import SourceSessions
    from pipelines.providers.base import Endpoint, Provider


logger = logging.getLogger(__name__)

# How many pages may wait to be taken.
MOST_WAITING = 32
# What is listed of a source as a whole is below no session.
WHOLE_SOURCE = Session.model_construct(id="", label=None)

FetchedPages = asyncio.Queue["FetchedPage | asyncio.Task[Poll]"]


class _Fleet:
    """The sessions of one source: they share its client, its places, and what ends all of them."""

    def __init__(
        self,
        client: Client,
        provider: Provider,
        selection: Selection,
        progress: Progress,
        fetched_pages: FetchedPages,
    ) -> None:
        self.client = client
        self.provider = provider
        self.fetched_pages = fetched_pages
        self.selection = selection
        self.progress = progress
        self.places = asyncio.Semaphore(client.source.max_concurrency)
        self.tasks: list[asyncio.Task[Poll]] = []
        self.stopped_by: ApiError | None = None

    def launch(self, endpoint: Endpoint[Any], session: Session) -> asyncio.Task[Poll]:
        task = asyncio.create_task(self._poll(endpoint, session), name=session.id)
        self.tasks.append(task)
        return task

    async def _poll(self, endpoint: Endpoint[Any], session: Session) -> Poll:
        source, started_at = self.client.source, clock.now()
        progress = Progress() if endpoint.per_source else self.progress
        stats = RequestStats(on_wait=progress.wait)
        pagination = Pagination(max_pages=source.max_pages_per_session)

        async def hand_on(fetch: PageFetch) -> None:
            progress.page(len(fetch.page.listing.ids))
            page = FetchedPage(source.name, session.id, fetch, endpoint.name, self.provider.name)
            # First it is handed on, then there is time to be interrupted.
            self.fetched_pages.put_nowait(page)
            if self.fetched_pages.qsize() > MOST_WAITING:
                await self.fetched_pages.join()

        try:
            async with self.places:
                started_at = clock.now()
                request = self._request(endpoint, session)
                await fetch_pages(self.client, request, pagination, stats=stats, on_page=hand_on)
        except asyncio.CancelledError:
            if self.stopped_by is None:
                raise
            if pagination.end_reason == "interrupted":
                pagination.stop(self.stopped_by)
        except Exception as error:
            logger.warning("session %s: %s", session.id, type(error).__name__, exc_info=True)
            problem = f"an unexpected {type(error).__name__}. Report it, with the log"
            pagination.fail(Unexpected(problem, error_type="unexpected"))
        if pagination.error and pagination.error.ends_source:
            self.stop(pagination.error)
        poll = self._conclude(endpoint, session, pagination, stats, started_at)
        progress.end(poll)
        return poll

    def _request(self, endpoint: Endpoint[Any], session: Session) -> ListRequest:
        return ListRequest(
            endpoint=endpoint,
            ids={"session_id": session.id},
            limit=self.client.source.page_limit,
            order=self.client.source.order,
            statuses=self._statuses(endpoint),
        )

    def _statuses(self, endpoint: Endpoint[Any]) -> tuple[str, ...]:
        return () if endpoint.per_source else self.selection.statuses

    def stop(self, reason: ApiError) -> None:
        """End every session that is still being polled, at once and for this reason."""
        if self.stopped_by is not None:
            return
        self.stopped_by = reason
        for task in self.tasks:
            if task is not asyncio.current_task():
                task.cancel()

    def _conclude(
        self,
        endpoint: Endpoint[Any],
        session: Session,
        pagination: Pagination,
        stats: RequestStats,
        started_at: datetime,
    ) -> Poll:
        error = pagination.error
        return Poll(
            source=self.client.source.name,
            provider=self.provider.name,
            endpoint=endpoint.name,
            session_id=session.id,
            label=session.label,
            started_at=started_at,
            finished_at=clock.now(),
            outcome=name_outcome(pagination),
            end_reason=pagination.end_reason,
            status_filter=",".join(self._statuses(endpoint)) or None,
            pages=pagination.pages,
            requests=stats.requests,
            retries=stats.retries,
            wait_seconds=stats.wait_seconds,
            bytes=stats.bytes,
            threads_listed=len(pagination.ids),
            duplicates=pagination.duplicates,
            clock_skew_seconds=stats.clock_skew_seconds,
            error_type=error.error_type if error else None,
            error_message=str(error) if error else None,
            request_id=error.request_id if error else None,
        )


async def ask_once(source: Source) -> RequestStats:
    """Ask once for one thread of the first session; return what that cost. Raises ApiError."""
    provider = PROVIDERS[source.provider]
    request = ListRequest(
        endpoint=provider.endpoint(THREADS_ENDPOINT),
        ids={"session_id": source.sessions[0].id},
        limit=1,
    )
    async with open_client(source.model_copy(update={"max_attempts": 1})) as client:
        await fetch_page(client, request, None, stats := RequestStats())
    return stats


@contextmanager
def end_in_time(fleet: _Fleet, deadline_s: float | None) -> Iterator[None]:
    """End a source's polls when its time is up."""
    if deadline_s is None:
        yield
        return
    problem = f"run_deadline_minutes is reached, after {deadline_s / 60:g} minutes"
    error = DeadlineReached(
        f"{problem}. What had come is loaded, the next run goes on", error_type="deadline"
    )
    timer = asyncio.get_running_loop().call_later(deadline_s, fleet.stop, error)
    try:
        yield
    finally:
        timer.cancel()


def name_outcome(pagination: Pagination) -> str:
    """Return the ledger's word for how a pagination ended."""
    if pagination.is_complete:
        return "complete"
    outcome = pagination.error.outcome if pagination.error else ApiError.outcome
    return "incomplete" if outcome == "failed" and pagination.pages else outcome


async def poll_sessions(
    plan: Sequence[SourceSessions],
    selection: Selection,
    progress: Progress,
    *,
    backoff_s: float = 1,
) -> AsyncGenerator[FetchedPage | Poll]:
    """Yield each page as it comes, and each session's poll when it has ended, failed ones too.

    Pages of several sessions come interleaved, those of one in order, its poll after them. A caller
    that takes them slowly slows the polls down, so that few pages wait in memory.
    """
    progress = Unfailing(progress)
    progress.begin(sum(len(planned.sessions) for planned in plan))
    fetched_pages: FetchedPages = asyncio.Queue()
    fleets, tasks = [], []
    async with AsyncExitStack() as stack:
        for planned in plan:
            provider = PROVIDERS[planned.source.provider]
            opening = open_client(planned.source, backoff_s=backoff_s)
            client = await stack.enter_async_context(opening)
            fleet = _Fleet(client, provider, selection, progress, fetched_pages)
            fleets.append(fleet)
            for endpoint in provider.endpoints:
                below = [WHOLE_SOURCE] if endpoint.per_source else planned.sessions
                tasks += [fleet.launch(endpoint, session) for session in below]
            stack.enter_context(end_in_time(fleet, planned.deadline_s))
        stack.enter_context(on_interrupt(partial(stop_all, fleets)))
        items = await stack.enter_async_context(aclosing(drain(tasks, fetched_pages)))
        async for item in items:
            yield item


def stop_all(fleets: Sequence[_Fleet]) -> None:
    """End what is still being polled: someone has ended the run."""
    hint = "interrupted by a signal. What had come is loaded; run again"
    for fleet in fleets:
        fleet.stop(Interrupted(hint, error_type=INTERRUPTED))


async def drain(
    tasks: Sequence[asyncio.Task[Poll]], fetched_pages: FetchedPages
) -> AsyncGenerator[FetchedPage | Poll]:
    """Yield what comes until every task has ended; end those that have not when it is closed."""
    for task in tasks:
        task.add_done_callback(fetched_pages.put_nowait)
    pending = len(tasks)
    try:
        while pending:
            come = await fetched_pages.get()
            if isinstance(come, FetchedPage):
                yield come
            else:
                pending -= 1
                yield await come
            fetched_pages.task_done()
    finally:
        for task in tasks:
            task.cancel()

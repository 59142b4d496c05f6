"""The polls of one source's sessions: each ends by itself, or with all of them."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from pipelines import clock
from pipelines.errors import ApiError, Unexpected
from pipelines.extract.lookup import Lookups, Unlisted
from pipelines.extract.paginate import ListRequest, Pagination, fetch_pages
from pipelines.http.stats import RequestStats
from pipelines.records import THREAD_ENDPOINT, THREADS_ENDPOINT, FetchedPage, Poll, Progress

if TYPE_CHECKING:
    from datetime import datetime

    from pipelines.http.client import Client
    from pipelines.providers.base import Endpoint, Provider
    from pipelines.records import KnownThreads, PageFetch, ScopedSession, Selection

logger = logging.getLogger(__name__)

# How many pages may wait to be taken.
MOST_WAITING = 32

FetchedPages = asyncio.Queue["FetchedPage | asyncio.Task[Poll]"]


class Fleet:
    """The sessions of one source: they share its client, its places, and what ends all of them."""

    def __init__(
        self,
        client: Client,
        provider: Provider,
        selection: Selection,
        progress: Progress,
        fetched_pages: FetchedPages,
        known: KnownThreads,
    ) -> None:
        self.client = client
        self.provider = provider
        self.fetched_pages = fetched_pages
        self.selection = selection
        self.progress = progress
        self.places = asyncio.Semaphore(client.source.max_concurrency)
        self.tasks: list[asyncio.Task[Poll]] = []
        self.stopped_by: ApiError | None = None
        self.lookups = Lookups(client, find_lookup(provider), known)

    def launch(self, endpoint: Endpoint[Any], session: ScopedSession) -> asyncio.Task[Poll]:
        """Begin to poll a session."""
        task = asyncio.create_task(self._poll(endpoint, session), name=session.id)
        self.tasks.append(task)
        return task

    async def _poll(self, endpoint: Endpoint[Any], session: ScopedSession) -> Poll:
        source, started_at = self.client.source, clock.now()
        progress = Progress() if endpoint.per_source else self.progress
        stats = RequestStats(on_wait=progress.wait)
        pagination, unlisted = Pagination(max_pages=source.max_pages_per_session), Unlisted()
        take = partial(self._hand_on, session.id, endpoint.name, progress)
        try:
            async with self.places:
                started_at = clock.now()
                if self.stopped_by:  # before it began
                    pagination.stop(self.stopped_by)
                else:
                    request = self._request(endpoint, session)
                    await fetch_pages(self.client, request, pagination, stats=stats, on_page=take)
                    await self._look_up(request, pagination, unlisted, stats)
        except asyncio.CancelledError:
            if self.stopped_by is None:
                raise
            if pagination.end_reason == "interrupted":
                pagination.stop(self.stopped_by)
        except Exception as error:
            logger.warning("session %s: %s", session.id, type(error).__name__, exc_info=True)
            problem = f"an unexpected {type(error).__name__}. Report it, with the log"
            pagination.fail(Unexpected(problem, error_type="unexpected"))
        for failure in (pagination.error, unlisted.error):
            if failure and failure.ends_source:
                self.stop(failure)
        poll = self._conclude(endpoint, session, pagination, unlisted, stats, started_at)
        progress.end(poll)
        return poll

    async def _look_up(
        self,
        request: ListRequest,
        pagination: Pagination,
        unlisted: Unlisted,
        stats: RequestStats,
    ) -> None:
        """Look up what a complete listing of all threads lacks."""
        is_whole = pagination.is_complete and not request.statuses
        if is_whole and request.endpoint.name == THREADS_ENDPOINT:
            session_id = request.ids["session_id"]
            take = partial(self._hand_on, session_id, THREAD_ENDPOINT, Progress())
            await self.lookups.look_up(
                session_id, pagination.ids, unlisted, stats=stats, on_page=take
            )

    async def _hand_on(
        self, session_id: str, endpoint: str, progress: Progress, fetch: PageFetch
    ) -> None:
        progress.page(len(fetch.page.listing.ids))
        name = self.client.source.name
        # First it is handed on, then there is time to be interrupted.
        self.fetched_pages.put_nowait(
            FetchedPage(name, session_id, fetch, endpoint, self.provider.name)
        )
        if self.fetched_pages.qsize() > MOST_WAITING:
            await self.fetched_pages.join()

    def _request(self, endpoint: Endpoint[Any], session: ScopedSession) -> ListRequest:
        return ListRequest(
            endpoint=endpoint,
            ids={"session_id": session.id},
            limit=self.client.source.limit_page(),
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
        session: ScopedSession,
        pagination: Pagination,
        unlisted: Unlisted,
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
            origin=session.origin,
            is_leaving=session.is_leaving,
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
            threads_unlisted=unlisted.threads,
            lookups=unlisted.lookups,
            threads_unconfirmed=unlisted.unconfirmed,
            missing_rule=unlisted.rule,
            error_type=error.error_type if error else None,
            error_message=str(error) if error else None,
            request_id=error.request_id if error else None,
        )


def find_lookup(provider: Provider) -> Endpoint[Any] | None:
    """Return what a provider gives a thread by; None if it does not."""
    return next((each for each in provider.lookups if each.name == THREAD_ENDPOINT), None)


def name_outcome(pagination: Pagination) -> str:
    """Return the ledger's word for how a pagination ended."""
    if pagination.is_complete:
        return "complete"
    outcome = pagination.error.outcome if pagination.error else ApiError.outcome
    return "incomplete" if outcome == "failed" and pagination.pages else outcome

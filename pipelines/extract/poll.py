"""One poll: every session of every source, side by side, each with its outcome."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from pipelines.errors import (
    INTERRUPTED,
    DeadlineReached,
    Forbidden,
    Interrupted,
    RequestRejected,
    SessionGone,
)
from pipelines.extract.discover import name_sessions
from pipelines.extract.fleet import FetchedPages, Fleet
from pipelines.extract.interrupt import on_interrupt
from pipelines.extract.progress import Unfailing
from pipelines.http.opening import open_client
from pipelines.http.stats import RequestStats
from pipelines.providers.registry import PROVIDERS
from pipelines.records import (
    SESSIONS_ENDPOINT,
    THREADS_ENDPOINT,
    FetchedPage,
    KnownThreads,
    Poll,
    Progress,
    Selection,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from pipelines.config.settings import Source
    from pipelines.extract.discover import SourceSessions


async def ask_once(source: Source) -> float | None:
    """Ask for one session, or one thread of the first that is named if the server lists none.

    Listing threads makes the server create a coordinator where there is none, listing sessions
    nothing. Return by how many seconds this machine's clock is ahead of the server's, None if that
    is not known. Raises ApiError.
    """
    named = [*name_sessions(source)]
    provider, stats = PROVIDERS[source.provider], RequestStats()
    asked: dict[str, dict[str, str]] = {SESSIONS_ENDPOINT: {}}
    asked |= {THREADS_ENDPOINT: {"session_id": named[0]}} if named else {}
    async with open_client(source.model_copy(update={"max_attempts": 1})) as client:
        for name, ids in asked.items():
            endpoint = provider.endpoint(name)
            params = endpoint.params(limit=source.limit_page(1))
            try:
                await client.get(endpoint.path(ids), params, endpoint.read_page, stats)
            except (SessionGone, Forbidden, RequestRejected):
                if name == [*asked][-1]:
                    raise
            else:
                break
    return stats.clock_skew_seconds


@contextmanager
def end_in_time(fleet: Fleet, deadline_s: float | None) -> Iterator[None]:
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


async def poll_sessions(
    plan: Sequence[SourceSessions],
    selection: Selection,
    progress: Progress,
    *,
    known: KnownThreads | None = None,
    backoff_s: float = 1,
) -> AsyncGenerator[FetchedPage | Poll]:
    """Yield each page as it comes, and each session's poll when it has ended, failed ones too.

    Pages of several sessions come interleaved, those of one in order, its poll after them. A caller
    that takes them slowly slows the polls down, so that few pages wait in memory. What is known and
    not listed any more is looked up.
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
            fleet = Fleet(
                client, provider, selection, progress, fetched_pages, known or KnownThreads()
            )
            fleet.stopped_by = planned.ended
            fleets.append(fleet)
            threads = provider.endpoint(THREADS_ENDPOINT)
            tasks += [fleet.launch(threads, session) for session in planned.sessions]
            stack.enter_context(end_in_time(fleet, planned.deadline_s))
        stack.enter_context(on_interrupt(partial(stop_all, fleets)))
        items = await stack.enter_async_context(aclosing(drain(tasks, fetched_pages)))
        async for item in items:
            yield item


def stop_all(fleets: Sequence[Fleet]) -> None:
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

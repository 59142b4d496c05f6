"""All pages of one listing: follow the cursors until the server says that a page was the last.

Where a page has its cursor is the provider's (docs/api.md, 2.2 to 2.4); which cursors are followed
is decided here, for all of them (docs/api.md, 2.5 to 2.8).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec

from pipelines.errors import ApiError, PaginationIncomplete
from pipelines.providers.base import Endpoint
from pipelines.records import COMPLETE, Cursor, EndReason, Page, PageFetch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipelines.http.client import Client
    from pipelines.http.stats import RequestStats

# Characters of a cursor that an error quotes.
LONGEST_NAMED = 200


class ListRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is listed: the objects of an endpoint below what its path names, so many on a page.

    Without a limit the server cannot page: what it lists at once is all, unless it says otherwise.

    In either order, or the server's own; in certain statuses, or all; those that pass filters, as
    the server spells them.
    """

    endpoint: Endpoint[Any]
    ids: Mapping[str, str]
    limit: int | None
    order: str | None = None
    statuses: tuple[str, ...] = ()
    filters: Sequence[tuple[str, str]] = ()


class Pagination:
    """What one listing has given so far; all there is only if `is_complete`.

    `start` is a cursor to begin behind.
    """

    def __init__(self, *, max_pages: int, start: Cursor | None = None) -> None:
        self.pages = 0
        self.ids: set[str] = set()
        self.duplicates = 0
        self.end_reason: EndReason = "interrupted"
        self.error: ApiError | None = None
        self.cursor = start
        self._used = {start}
        self._max_pages = max_pages
        self._fault: str | None = None
        self._previous: set[str] = set()

    @property
    def is_complete(self) -> bool:
        """Whether the server itself said that there is no more (docs/api.md, 2.8)."""
        return self.end_reason in COMPLETE

    def take(self, page: Page) -> bool:
        """Take the page that the current cursor led to; return whether there is one to follow."""
        ids = page.listing.ids
        dead_end = self._find_dead_end(ids)
        self._previous = set(ids)
        self.pages += 1
        if page.listing.fault and not self._fault:
            self._fault = f"page {self.pages}: {page.listing.fault}"
        before = len(self.ids)
        self.ids.update(ids)
        self.duplicates += len(ids) - (len(self.ids) - before)
        following = self._follow(page.listing.following, dead_end)
        if isinstance(following, str):
            self._end(following)
            return False
        self._used.add(following)
        self.cursor = following
        return True

    def fail(self, error: ApiError) -> None:
        """End the pagination by an error; what came before it stays."""
        self.end_reason, self.error = "error", error

    def stop(self, error: ApiError) -> None:
        """End the pagination from outside; what came before it stays."""
        self.end_reason, self.error = cast("EndReason", error.end_reason), error

    def _find_dead_end(self, ids: list[str]) -> EndReason | None:
        """Return why nothing new can follow these threads, if the server claims that more does."""
        if ids and self._previous == set(ids):
            return "same_page"
        return "no_progress" if ids and self.ids.issuperset(ids) else None

    def _follow(
        self, following: Cursor | EndReason, dead_end: EndReason | None
    ) -> Cursor | EndReason:
        """Return the cursor, unless following it would lead nowhere (docs/api.md, 2.6)."""
        if isinstance(following, str):
            return following
        if dead_end == "same_page":
            return dead_end
        if following in self._used:
            self.cursor = following
            return "cursor_loop"
        if dead_end:
            return dead_end
        return "page_cap" if self.pages >= self._max_pages else following

    def _end(self, end_reason: EndReason) -> None:
        problem = PROBLEMS.get(end_reason)
        if problem is None and self._fault:
            end_reason, problem = "malformed_thread", self._fault
        self.end_reason = end_reason
        if problem:
            at = name_cursor(self.cursor) if self.cursor else "first page"
            self.error = PaginationIncomplete(
                f"after {self.pages} pages, at the {at}: {problem}", error_type=end_reason
            )


def name_cursor(cursor: Cursor) -> str:
    """Return a cursor for a line of text; they may be as long as a URL may be."""
    name, value = cursor
    quoted = value if len(value) <= LONGEST_NAMED else f"{value[:LONGEST_NAMED]}…"
    return f"cursor {name}={quoted!r}"


PROBLEMS: dict[EndReason, str] = {
    "cursor_loop": "the server gave a cursor that this pagination has used already",
    "no_cursor": "the server says that there is more and gives no cursor to it",
    "no_progress": "every thread of the page was listed before, and the server claims more",
    "same_page": "this server cannot page: it answered the same page twice. Set page_limit of the"
    " source to more threads than a session has, if the server takes it",
    "page_cap": "max_pages_per_session is reached, and the server claims more",
}


async def fetch_page(
    client: Client, request: ListRequest, cursor: Cursor | None, stats: RequestStats
) -> Page:
    """Return the page that a cursor leads to, the first one without. Raises ApiError."""
    endpoint = request.endpoint
    params = endpoint.params(
        limit=request.limit, cursor=cursor, order=request.order, statuses=request.statuses
    )
    params += request.filters
    parse = partial(endpoint.read_page, cursor=cursor)
    response, listing = await client.get(endpoint.path(request.ids), params, parse, stats)
    if request.limit is None and not isinstance(listing.following, str):
        listing = msgspec.structs.replace(listing, following="no_cursor")
    return Page(response.status, response.observed_at, response.body, listing)


async def fetch_pages(
    client: Client,
    request: ListRequest,
    pagination: Pagination,
    *,
    stats: RequestStats,
    on_page: Callable[[PageFetch], Awaitable[None]],
) -> None:
    """Hand each page on as it comes, so that what came before an interruption stays.

    A failing request ends the pagination with its error; nothing is raised but a cancellation.
    """
    interval = client.source.min_page_interval_ms / 1000
    is_more, earliest = True, 0.0
    try:
        while is_more:
            await asyncio.sleep(max(0.0, earliest - time.monotonic()))
            earliest = time.monotonic() + interval
            cursor = pagination.cursor
            page = await fetch_page(client, request, cursor, stats)
            is_more = pagination.take(page)
            await on_page(PageFetch(pagination.pages, cursor, page))
    except ApiError as error:
        pagination.fail(error)

"""All pages of one session: follow the cursors until the server says that it was the last one.

The rules are those of docs/api.md, 2; the numbers in the comments are theirs.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pipelines.errors import ApiError, PaginationIncomplete
from pipelines.http.client import Cursor
from pipelines.http.page import Page, thread_ids

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pipelines.http.client import Client, Order, RequestStats
    from pipelines.http.page import Envelope

EndReason = Literal[
    "has_more_false",
    "no_next_page",
    "cursor_loop",
    "no_cursor",
    "no_progress",
    "page_cap",
    "malformed_thread",
    "error",
    "interrupted",
]
COMPLETE: frozenset[EndReason] = frozenset({"has_more_false", "no_next_page"})


class PageFetch(msgspec.Struct, frozen=True):
    """A page and how it was asked for: its number (from 1) and cursor (None for the first)."""

    number: int
    cursor: Cursor | None
    page: Page


class Pagination:
    """What one pagination has learnt so far; whole only when `is_complete`.

    `start` is a cursor to begin behind; with a `before_id` the pagination goes backward.
    """

    def __init__(self, *, max_pages: int, start: Cursor | None = None) -> None:
        self.pages = 0
        self.ids: set[str] = set()
        self.duplicates = 0
        self.end_reason: EndReason = "interrupted"
        self.error: ApiError | None = None
        self.cursor = start
        self._backward = start is not None and start[0] == "before_id"
        self._used = {start}
        self._max_pages = max_pages
        self._fault: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the server itself said that there is no more (rule 8)."""
        return self.end_reason in COMPLETE

    def take(self, page: Page) -> bool:
        """Take the page that the current cursor led to; return whether there is one to follow."""
        ids, fault = thread_ids(page.envelope)
        is_stale = bool(ids) and self.ids.issuperset(ids)
        self.pages += 1
        if fault and not self._fault:
            self._fault = f"page {self.pages}: {fault}, not a thread with an id"
        before = len(self.ids)
        self.ids.update(ids)
        self.duplicates += len(ids) - (len(self.ids) - before)
        following = self._follow(next_cursor(page.envelope, backward=self._backward), is_stale)
        if isinstance(following, str):
            self._end(following)
            return False
        self._used.add(following)
        self.cursor = following
        return True

    def fail(self, error: ApiError) -> None:
        """End the pagination by an error; what came before it stays."""
        self.end_reason, self.error = "error", error

    def _follow(self, following: Cursor | EndReason, is_stale: bool) -> Cursor | EndReason:  # noqa: FBT001
        """Return the cursor, unless following it would lead nowhere (rule 6)."""
        if isinstance(following, str):
            return following
        if following in self._used:
            self.cursor = following
            return "cursor_loop"
        if is_stale:
            return "no_progress"
        return "page_cap" if self.pages >= self._max_pages else following

    def _end(self, end_reason: EndReason) -> None:
        problem = PROBLEMS.get(end_reason)
        if problem is None and self._fault:
            end_reason, problem = "malformed_thread", self._fault
        self.end_reason = end_reason
        if problem:
            at = f"cursor {self.cursor[0]}={self.cursor[1]!r}" if self.cursor else "first page"
            self.error = PaginationIncomplete(
                f"after {self.pages} pages, at the {at}: {problem}", error_type=end_reason
            )


PROBLEMS: dict[EndReason, str] = {
    "cursor_loop": "the server gave a cursor that this pagination has used already",
    "no_cursor": "the server says that there is more and gives no cursor to it",
    "no_progress": "every thread of the page was listed before, and the server claims more",
    "page_cap": "max_pages_per_session is reached, and the server claims more",
}


def next_cursor(envelope: Envelope[Any], *, backward: bool = False) -> Cursor | EndReason:
    """Return the cursor of the page after this one, or what ends the pagination here."""
    if envelope.has_more is False:
        return "has_more_false"  # rule 4
    if envelope.next_page:
        return ("page", envelope.next_page)  # rule 2
    if envelope.has_more is None:
        return "no_next_page"  # rule 4
    if envelope.next_page is msgspec.UNSET:
        edge = envelope.first_id if backward else envelope.last_id
        if edge:
            return ("before_id" if backward else "after_id", edge)  # rule 3
    return "no_cursor"  # rule 6


async def fetch_pages(
    client: Client,
    session_id: str,
    pagination: Pagination,
    *,
    order: Order | None = None,
    statuses: Sequence[str] = (),
    stats: RequestStats | None = None,
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
            page = await client.list_threads(
                session_id, cursor=pagination.cursor, order=order, statuses=statuses, stats=stats
            )
            cursor, is_more = pagination.cursor, pagination.take(page)
            await on_page(PageFetch(pagination.pages, cursor, page))
    except ApiError as error:
        pagination.fail(error)

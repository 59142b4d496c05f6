"""Threads that a complete listing lacks are looked up by their ids (docs/api.md, 2.10 to 2.12)."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines import clock
from pipelines.errors import ApiError
from pipelines.records import THREAD_ID, Listing, MissingRule, Page, PageFetch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from pipelines.http.client import Client
    from pipelines.http.stats import RequestStats
    from pipelines.providers.base import Endpoint
    from pipelines.records import KnownThreads

NOT_FOUND = 404
# So answers a server too that has no such endpoint.
NO_SUCH = frozenset({NOT_FOUND, 405, 501})
# How many listed threads must be unknown to the endpoint until it counts as none: one may have been
# deleted since it was listed.
PROOFS = 2


class Unlisted(msgspec.Struct):
    """What a session's look-ups have shown so far.

    So many known `threads` were not listed, of which so many `lookups` were answered; `rule` says
    which of them are missing, `error` what ended the look-ups early, or failed one of them.
    """

    threads: int = 0
    lookups: int = 0
    rule: MissingRule = "unlisted"
    error: ApiError | None = None

    @property
    def unconfirmed(self) -> int:
        """How many were neither listed nor looked up: they may be there, or not."""
        return self.threads - self.lookups if self.rule == "not_found" else 0


class Lookups:
    """The look-ups of one source: they share what is known of its endpoint, None if it has none."""

    def __init__(self, client: Client, endpoint: Endpoint[Any] | None, known: KnownThreads) -> None:
        self._client = client
        self._endpoint = endpoint
        self._known = known
        self._is_there: bool | None = None
        self._checking = asyncio.Lock()
        self._listed: list[tuple[str, str]] = []

    async def look_up(
        self,
        session_id: str,
        listed: Collection[str],
        unlisted: Unlisted,
        *,
        stats: RequestStats,
        on_page: Callable[[PageFetch], Awaitable[None]],
    ) -> None:
        """Look up what a complete listing of a session lacks, and hand each answer on as it comes.

        As many as the source allows, those first whose last look-up is the longest ago. What has
        been learned is in `unlisted`, also if it is cancelled.
        """
        source = self._client.source
        self._listed = [(session_id, id_) for id_ in islice(listed, PROOFS)] or self._listed
        ids = self._known.find_unlisted(source.name, session_id, listed)
        unlisted.threads = len(ids)
        if not source.lookup_limit or self._has_no_endpoint():
            return
        unlisted.rule = "not_found"
        for number, thread_id in enumerate(sorted(ids[: source.lookup_limit]), 1):
            await asyncio.sleep(source.min_page_interval_ms / 1000)
            page = await self._find(session_id, thread_id, unlisted, stats)
            if page:
                unlisted.lookups += 1
                await on_page(PageFetch(number, (THREAD_ID, thread_id), page))
            elif self._has_no_endpoint():
                unlisted.rule = "unlisted"
                return
            elif is_lasting(unlisted.error):
                return

    def _has_no_endpoint(self) -> bool:
        return self._endpoint is None or self._is_there is False

    async def _find(
        self, session_id: str, thread_id: str, unlisted: Unlisted, stats: RequestStats
    ) -> Page | None:
        """Return the thread, or that there is none; None if neither is certain."""
        try:
            page = await self._ask(session_id, thread_id, stats)
        except ApiError as error:
            if error.status not in NO_SUCH:
                unlisted.error = error
                return None
            is_there = await self._check_endpoint(stats)
            nothing = Listing([thread_id], None, "has_more_false")
            is_gone = is_there and error.status == NOT_FOUND
            return Page(NOT_FOUND, clock.now(), b"", nothing) if is_gone else None
        self._is_there = True
        return page

    async def _check_endpoint(self, stats: RequestStats) -> bool | None:
        """Whether the source knows by their ids what it lists; None if that is not to be known.

        Asked once in a run, and only if no look-up has been answered with a thread.
        """
        async with self._checking:
            for session_id, thread_id in self._listed if self._is_there is None else ():
                try:
                    await self._ask(session_id, thread_id, stats)
                except ApiError as error:
                    if error.status not in NO_SUCH:
                        return None
                else:
                    self._is_there = True
                    return True
            if self._is_there is None and self._listed:
                self._is_there = False
        return self._is_there

    async def _ask(self, session_id: str, thread_id: str, stats: RequestStats) -> Page:
        endpoint = self._endpoint
        assert endpoint is not None  # noqa: S101 - nobody asks without

        def parse(body: bytes) -> Listing:
            listing = endpoint.read_page(body)
            if listing.fault or listing.ids != [thread_id]:
                raise ValueError("no thread with the id that was asked for")
            return listing

        path = endpoint.path({"session_id": session_id, THREAD_ID: thread_id})
        response, listing = await self._client.get(path, endpoint.params(limit=1), parse, stats)
        return Page(response.status, response.observed_at, response.body, listing)


def is_lasting(error: ApiError | None) -> bool:
    """Whether the session's next look-up would fail alike."""
    return error is not None and (error.retryable or error.ends_source)

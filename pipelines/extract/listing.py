"""The list of a source's sessions, page by page, and single ones that it does not list any more."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines import clock
from pipelines.errors import (
    TOO_MANY_SESSIONS,
    ApiError,
    BodyTooLarge,
    SessionGone,
    TooManySessions,
    Unexpected,
)
from pipelines.extract.evidence import Evidence, read_evidence
from pipelines.extract.filters import matches, query_filters
from pipelines.extract.fleet import name_outcome
from pipelines.extract.paginate import ListRequest, Pagination, fetch_page, fetch_pages
from pipelines.http.stats import RequestStats
from pipelines.providers.registry import PROVIDERS
from pipelines.records import SESSION_ENDPOINT, SESSIONS_ENDPOINT, FetchedPage, PageFetch, Poll

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from pipelines.config.discovery import Discover
    from pipelines.http.client import Client
    from pipelines.providers.base import Endpoint

# Pages of sessions wait in memory until the run lands: of ten thousand, 13 kB of each.
MOST_BYTES = 128 * 2**20

logger = logging.getLogger(__name__)


class SessionListing:
    """Lists the sessions of one source.

    `found` are the titles of those that passed the filters, by their ids, `evidence` what each that
    was listed says, `pages` what came, without secrets, to be landed; `error` is why the list is
    not whole.
    """

    def __init__(self, client: Client) -> None:
        self.found: dict[str, str | None] = {}
        self.evidence: dict[str, Evidence] = {}
        self.pages: list[FetchedPage] = []
        self.error: ApiError | None = None
        self._client = client
        self._provider = PROVIDERS[client.source.provider]
        self._stats = RequestStats()
        self._room = MOST_BYTES

    async def fetch(self, wanted: Discover) -> Poll:
        """List all sessions; return how that has ended. More than may pass are an error."""
        now = await self._find_now() if wanted.created_within_days else clock.now()
        source, most, passes = self._client.source, wanted.max_sessions, matches(wanted, now)
        endpoint = self._provider.endpoint(SESSIONS_ENDPOINT)
        request = ListRequest(
            endpoint=endpoint,
            ids={},
            limit=source.limit_page(endpoint.page_limit),
            statuses=wanted.statuses if endpoint.takes_statuses else (),
            filters=[
                (name, value)
                for name, value in query_filters(wanted, now)
                if name in endpoint.filters
            ],
        )
        pagination = Pagination(max_pages=source.max_pages_per_session)
        started_at = clock.now()

        async def take(fetch: PageFetch) -> None:
            self._keep(endpoint, "", fetch)
            items = endpoint.read_items(fetch.page.body)
            self.evidence |= {session.id: read_evidence(session) for session, _ in items}
            self.found |= {each.id: each.title for each, _ in items if passes(each)}
            if len(self.found) > most:
                self.found.clear()
                problem = f"more than {most} sessions pass its filters (max_sessions)"
                raise TooManySessions(
                    f"source {source.name}: {problem}", error_type=TOO_MANY_SESSIONS
                )

        try:
            await fetch_pages(self._client, request, pagination, stats=self._stats, on_page=take)
        except Exception as error:
            logger.warning("source %s: %s", source.name, type(error).__name__, exc_info=True)
            problem = f"an unexpected {type(error).__name__}. Report it, with the log"
            pagination.fail(Unexpected(problem, error_type="unexpected"))
        self.error = pagination.error
        return self._conclude(pagination, started_at)

    async def look_up(self, session_ids: Collection[str]) -> set[str]:
        """Ask for single sessions; return those that are gone. What else came is in `pages`."""
        places = asyncio.Semaphore(self._client.source.max_concurrency)
        gone = await asyncio.gather(*(self._ask(id_, places) for id_ in session_ids))
        return {id_ for id_, is_gone in zip(session_ids, gone, strict=True) if is_gone}

    async def _ask(self, session_id: str, places: asyncio.Semaphore) -> bool:
        endpoint = self._provider.endpoint(SESSION_ENDPOINT)
        request = ListRequest(endpoint=endpoint, ids={"session_id": session_id}, limit=1)
        async with places:
            try:
                page = await fetch_page(self._client, request, None, self._stats)
                if page.listing.ids == [session_id]:
                    self._keep(endpoint, session_id, PageFetch(1, None, page))
            except SessionGone:
                return True
            except ApiError:
                return False  # it is listed one last time all the same, and that says why not
        return False

    async def _find_now(self) -> datetime:
        """Return the present, by the server's clock if ours is wrong: a filter by age rests on it.

        Asking costs a request. What else is wrong, the listing meets again.
        """
        endpoint = self._provider.endpoint(SESSIONS_ENDPOINT)
        with suppress(ApiError):
            params = endpoint.params(limit=self._client.source.limit_page(1))
            await self._client.get(endpoint.path({}), params, endpoint.read_page, self._stats)
        return clock.now() - clock.find_error(self._stats.clock_skew_seconds)

    def _keep(self, endpoint: Endpoint[Any], session_id: str, fetch: PageFetch) -> None:
        body = endpoint.redact(fetch.page.body)
        self._room -= len(body)
        if self._room < 0:
            where, most = f"source {self._client.source.name}", MOST_BYTES // 2**20
            problem = f"its sessions came with more than {most} MiB, which nobody needs of them"
            raise BodyTooLarge(f"{where}: {problem}", error_type="body_too_large")
        page = msgspec.structs.replace(fetch.page, body=body)
        fetch = msgspec.structs.replace(fetch, page=page)
        name = self._client.source.name
        self.pages.append(FetchedPage(name, session_id, fetch, endpoint.name, self._provider.name))

    def _conclude(self, pagination: Pagination, started_at: datetime) -> Poll:
        error, stats = pagination.error, self._stats
        return Poll(
            source=self._client.source.name,
            provider=self._provider.name,
            endpoint=SESSIONS_ENDPOINT,
            session_id="",
            label=None,
            started_at=started_at,
            finished_at=clock.now(),
            outcome=name_outcome(pagination),
            end_reason=pagination.end_reason,
            status_filter=None,
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

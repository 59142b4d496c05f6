"""One request: signed, rate-limited, bounded in time and size, and tried again if that may help."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

import httpx
import msgspec
import tenacity

from pipelines import __version__
from pipelines.errors import ApiError, BodyTooLarge, MalformedBody, Unavailable
from pipelines.http.rate_limit import RateLimiter
from pipelines.http.response import RawResponse, ResponseParser, is_exhausted, read_reset
from pipelines.http.transport import explain, open_connections

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from pipelines.config.settings import Source
    from pipelines.http.auth import Auth

MAX_BODY_BYTES = 32 * 2**20
TOO_MANY_REQUESTS = 429

T = TypeVar("T")


class Dialect(Protocol):
    """How the requests to a server must look, and how it names them in its responses."""

    @property
    def auth(self) -> Auth:
        """Return how the token is shown."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers that every request must have."""

    @property
    def params(self) -> Mapping[str, str]:
        """Return the query parameters that every request must have."""

    @property
    def request_id_headers(self) -> Sequence[str]:
        """Return the headers in which a request's id may come, lower case."""


class RequestStats(msgspec.Struct):
    """What the requests of one session cost; `wait_seconds` is back-off and pace together."""

    requests: int = 0
    retries: int = 0
    wait_seconds: float = 0.0
    bytes: int = 0
    on_wait: Callable[[float], None] = lambda _: None

    def wait(self, seconds: float) -> None:
        """Count a wait, before it or after."""
        self.wait_seconds += seconds
        self.on_wait(seconds)


class Client:
    """The server of one source. `backoff_s` is the first step of 1-2-4."""

    def __init__(
        self, source: Source, dialect: Dialect, http: httpx.AsyncClient, *, backoff_s: float = 1
    ) -> None:
        self.source = source
        self._http = http
        self._signature = dialect.auth.sign(source.token.get_secret_value())
        self._params = list(dialect.params.items())
        self._parser = ResponseParser(source, dialect.request_id_headers)
        self._rate_limiter = RateLimiter(source.max_requests_per_second)
        self._backoff = tenacity.wait_random_exponential(multiplier=backoff_s, max=60)

    async def get(
        self,
        path: str,
        params: Sequence[tuple[str, str]],
        parse: Callable[[bytes], T],
        stats: RequestStats,
    ) -> tuple[RawResponse, T]:
        """Ask for a path below the base URL until what `parse` reads comes, or retries are used up.

        Return the response, its body as it was parsed, and what `parse` made of it. `parse` raises
        ValueError for a body that is not what was asked for. Raises ApiError.
        """
        url = httpx.URL(self.source.base_url + path, params=[*params, *self._params])
        return await self._retrying(stats)(self._request, url, parse, stats)

    def _retrying(self, stats: RequestStats) -> tenacity.AsyncRetrying:
        """Return how a request is tried again, and what of that is counted."""

        def note_wait(state: tenacity.RetryCallState) -> None:
            stats.retries += 1
            stats.wait(state.upcoming_sleep)
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, ApiError) and error.status == TOO_MANY_REQUESTS:
                self._rate_limiter.slow_down(state.upcoming_sleep)

        def is_over(state: tenacity.RetryCallState) -> bool:
            is_last = state.attempt_number >= self.source.max_attempts
            return is_last or state.idle_for >= self.source.retry_budget_s

        return tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, ApiError) and error.retryable
            ),
            wait=self._choose_wait,
            stop=is_over,
            before_sleep=note_wait,
            reraise=True,
        )

    def _choose_wait(self, state: tenacity.RetryCallState) -> float:
        """Return what the server asks for, else the back-off, within what the budget leaves."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after_s if isinstance(error, ApiError) else None
        left = self.source.retry_budget_s - state.idle_for
        return min(left, asked if asked is not None else self._backoff(state))

    async def _request(
        self, url: httpx.URL, parse: Callable[[bytes], T], stats: RequestStats
    ) -> tuple[RawResponse, T]:
        stats.wait(await self._rate_limiter.turn())
        stats.requests += 1
        try:
            async with asyncio.timeout(self.source.request_timeout_s):
                response = await self._fetch(url, stats)
        except (httpx.HTTPError, TimeoutError) as error:
            raise self._explain(error) from None
        if is_exhausted(response.headers):
            reset = read_reset(response.headers) or 0
            self._rate_limiter.pause(min(reset, self.source.retry_budget_s))
        return self._parser.read(response, parse)

    async def _fetch(self, url: httpx.URL, stats: RequestStats) -> RawResponse:
        body = bytearray()
        async with self._http.stream("GET", url, headers=self._signature) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                stats.bytes += len(chunk)
                if len(body) > MAX_BODY_BYTES:
                    problem = f"sent more than {MAX_BODY_BYTES} bytes at once"
                    raise self._parser.fail(BodyTooLarge, problem, "body_too_large")
        return RawResponse(
            status=response.status_code,
            reason=response.reason_phrase,
            headers=response.headers,
            body=bytes(body),
            observed_at=datetime.now(UTC),
        )

    def _explain(self, error: httpx.HTTPError | TimeoutError) -> ApiError:
        """Return the failure of a request that no whole answer came to."""
        if isinstance(error, httpx.DecodingError):
            problem = f"sent a body that cannot be decoded: {error}"
            return self._parser.fail(MalformedBody, problem, "malformed_body")
        kind, what = "connection_error", explain(error)
        if isinstance(error, TimeoutError):
            kind, what = "timeout", f"no whole answer within {self.source.request_timeout_s:g} s"
        hint = "Check base_url and the network, then run again"
        return self._parser.fail(Unavailable, f"gave no answer ({what}). {hint}", kind)


@asynccontextmanager
async def open_client(
    source: Source, dialect: Dialect, *, backoff_s: float = 1
) -> AsyncIterator[Client]:
    """Open the connections to one source and close them at the end."""
    headers = {"User-Agent": f"session-threads/{__version__}", "Accept": "application/json"}
    headers |= dialect.headers
    async with open_connections(source.base_url, source.max_concurrency, headers) as http:
        yield Client(source, dialect, http, backoff_s=backoff_s)

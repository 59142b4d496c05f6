"""One request: signed, rate-limited, bounded in time and size, and tried again if that may help."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn, TypeVar

import httpx
import tenacity

from pipelines import clock
from pipelines.errors import (
    ApiError,
    BodyTooLarge,
    MalformedBody,
    RequestRejected,
    Throttled,
    Unavailable,
    Unreachable,
)
from pipelines.http.auth import SCHEMES
from pipelines.http.encoding import Inflater
from pipelines.http.rate_limit import RateLimiter
from pipelines.http.response import RawResponse, ResponseParser
from pipelines.http.times import is_exhausted, read_reset, read_sent_at
from pipelines.http.transport import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipelines.config.settings import Source
    from pipelines.http.stats import RequestStats

MAX_BODY_BYTES = 32 * 2**20
TOO_MANY_REQUESTS = 429

T = TypeVar("T")


class Client:
    """The server of one source. `backoff_s` is the first step of 1-2-4."""

    def __init__(self, source: Source, http: httpx.AsyncClient, *, backoff_s: float = 1) -> None:
        self.source = source
        self._http = http
        self._signature = SCHEMES[source.auth].sign(source.token.get_secret_value())
        self._params = list(source.reveal(source.params).items())
        self._parser = ResponseParser(source)
        self._rate_limiter = RateLimiter(source.max_requests_per_second)
        self._backoff = tenacity.wait_random_exponential(multiplier=backoff_s, max=60)
        self._answers = 0

    async def get(
        self,
        path: str,
        params: Sequence[tuple[str, str]],
        parse: Callable[[bytes], T],
        stats: RequestStats,
    ) -> tuple[RawResponse, T]:
        """Request a path until `parse` can read the response, or retries are used up.

        Return the response, its body as it was parsed, and what `parse` made of it. `parse` raises
        ValueError for a body that is not what was asked for. Raises ApiError.
        """
        try:
            url = httpx.URL(self.source.base_url + path, params=[*params, *self._params])
        except httpx.InvalidURL as error:
            problem = f"gave a cursor that no request can hold ({error})"
            raise self._parser.fail(RequestRejected, problem, "invalid_cursor") from None
        return await self._retrying(stats)(self._request, url, parse, stats)

    def _retrying(self, stats: RequestStats) -> tenacity.AsyncRetrying:
        """Return how a request is tried again, and what of that is counted."""
        answers = self._answers

        def note_wait(state: tenacity.RetryCallState) -> None:
            stats.retries += 1
            stats.wait(state.upcoming_sleep)
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, ApiError) and error.status == TOO_MANY_REQUESTS:
                self._rate_limiter.slow_down(state.upcoming_sleep)

        def is_over(state: tenacity.RetryCallState) -> bool:
            left = self.source.retry_budget_s - state.idle_for
            is_last = state.attempt_number >= self.source.max_attempts
            return is_last or left <= 0 or asked_wait(state) > left

        def give_up(state: tenacity.RetryCallState) -> NoReturn:
            error = state.outcome.exception() if state.outcome else None
            asked, left = asked_wait(state), self.source.retry_budget_s - state.idle_for
            if isinstance(error, ApiError) and error.retryable and asked > left:
                raise explain_wait(error, asked, left)
            if isinstance(error, Unreachable) and self._answers > answers:
                raise recast(error, Unavailable)  # others were answered in the meantime
            raise error or AssertionError

        return tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, ApiError) and error.retryable
            ),
            wait=self._choose_wait,
            stop=is_over,
            before_sleep=note_wait,
            retry_error_callback=give_up,
        )

    def _choose_wait(self, state: tenacity.RetryCallState) -> float:
        """Return the larger of what the server asks for and the back-off, as the budget allows."""
        left = self.source.retry_budget_s - state.idle_for
        return min(left, max(asked_wait(state), self._backoff(state)))

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
        except ValueError as error:
            problem = f"sent a body {error}"
            raise self._parser.fail(MalformedBody, problem, "malformed_body") from None
        except MemoryError:
            problem = "sent a body that the memory has no room for"
            raise self._parser.fail(BodyTooLarge, problem, "body_too_large") from None
        if is_exhausted(response.headers):
            reset = read_reset(response.headers) or 0
            self._rate_limiter.pause(min(reset, self.source.retry_budget_s))
        return self._parser.read(response, parse)

    async def _fetch(self, url: httpx.URL, stats: RequestStats) -> RawResponse:
        body = bytearray()
        async with self._http.stream("GET", url, headers=self._signature) as response:
            self._answers += 1
            stats.compare_clocks(read_sent_at(response.headers))
            inflater = Inflater(response.headers.get("content-encoding"))
            async for chunk in response.aiter_raw():
                inflated = inflater.inflate(chunk, MAX_BODY_BYTES - len(body))
                body += inflated
                stats.bytes += len(inflated)
                if len(body) > MAX_BODY_BYTES:
                    problem = f"sent more than {MAX_BODY_BYTES} bytes at once"
                    raise self._parser.fail(BodyTooLarge, problem, "body_too_large")
        return RawResponse(
            status=response.status_code,
            reason=response.reason_phrase,
            headers=response.headers,
            body=bytes(body),
            observed_at=clock.now(),
        )

    def _explain(self, error: httpx.HTTPError | TimeoutError) -> ApiError:
        """Return the failure of a request that no whole answer came to."""
        kind, what = "connection_error", explain(error)
        if isinstance(error, TimeoutError):
            kind, what = "timeout", f"no whole answer within {self.source.request_timeout_s:g} s"
        hint = "Check base_url and the network, then run again"
        failure = Unreachable if isinstance(error, httpx.ConnectError) else Unavailable
        return self._parser.fail(failure, f"gave no answer ({what}). {hint}", kind)


def explain_wait(error: ApiError, asked: float, left: float) -> ApiError:
    """Return the error of a request that would have to wait for longer than it may."""
    kind = Throttled if error.status == TOO_MANY_REQUESTS else type(error)
    wait = f"It asks to wait {asked:.12g} s, retry_budget_s leaves {max(left, 0):.0f} s"
    return recast(error, kind, f"{error}. {wait}")


def recast(error: ApiError, kind: type[ApiError], message: str | None = None) -> ApiError:
    """Return an error as one of another kind, with another message if there is one."""
    return kind(
        message or str(error),
        error_type=error.error_type,
        status=error.status,
        request_id=error.request_id,
        retry_after_s=error.retry_after_s,
    )


def asked_wait(state: tenacity.RetryCallState) -> float:
    """Return the seconds that the last response asked to wait; 0 if it asked for nothing."""
    error = state.outcome.exception() if state.outcome else None
    return (error.retry_after_s or 0.0) if isinstance(error, ApiError) else 0.0

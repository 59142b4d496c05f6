"""One request: authorization, pace, retries, and every answer turned into a page or an error.

The rules are those of spec 1-api.md, 1.4.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

import httpx
import msgspec
import tenacity

from pipelines import __version__
from pipelines.api.page import Page, read_envelope
from pipelines.errors import (
    TOKEN_REFUSED,
    ApiError,
    Forbidden,
    MalformedBody,
    Redirected,
    RequestRefused,
    SessionGone,
    TokenRefused,
    Unavailable,
)
from pipelines.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pipelines.settings import Source

LIMIT = 100
RETRYABLE = frozenset({408, 429, 500, 502, 503, 504, 529})
ERROR_TYPES = {
    400: "invalid_request_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
REFUSALS: dict[int, type[ApiError]] = {401: TokenRefused, 403: Forbidden, 404: SessionGone}
HIDDEN = "[token]"

Order = Literal["asc", "desc"]
Cursor = tuple[Literal["page", "after_id", "before_id"], str]


class Meter(msgspec.Struct):
    """What the requests of one session cost; `wait_seconds` is back-off and pace together."""

    requests: int = 0
    retries: int = 0
    wait_seconds: float = 0.0
    bytes: int = 0


class Pace:
    """Gives out evenly spaced turns, so that no second holds more than `per_second` of them."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._next = 0.0

    async def turn(self) -> float:
        """Wait for the next turn and return the seconds waited."""
        now = time.monotonic()
        at = max(now, self._next)
        self._next = at + self._interval
        if at > now:
            await asyncio.sleep(at - now)
        return at - now


class Client:
    """The threads endpoint of one source. `backoff_s` is the first step of 1-2-4."""

    def __init__(self, source: Source, http: httpx.AsyncClient, *, backoff_s: float = 1) -> None:
        self.source = source
        self._http = http
        self._token = source.token.get_secret_value()
        self._pace = Pace(source.max_requests_per_second)
        self._backoff = tenacity.wait_random_exponential(multiplier=backoff_s, max=60)

    async def list_threads(
        self,
        session_id: str,
        *,
        cursor: Cursor | None = None,
        limit: int = LIMIT,
        order: Order | None = None,
        statuses: Sequence[str] = (),
        meter: Meter | None = None,
    ) -> Page:
        """Return one page of a session's threads, asked for until it comes or retries are used up.

        `cursor` is one of ("page", …), ("after_id", …), ("before_id", …), which exclude each
        other. Every parameter is sent only where it is given, `limit` always. Raises ApiError.
        """
        params: list[tuple[str, str]] = [("limit", str(limit)), *([cursor] if cursor else [])]
        params += [("order", order)] if order else []
        params += [("statuses[]", status) for status in statuses]
        return await self._retry(session_id, httpx.QueryParams(tuple(params)), meter or Meter())

    async def _retry(self, session_id: str, params: httpx.QueryParams, meter: Meter) -> Page:
        def note_wait(state: tenacity.RetryCallState) -> None:
            meter.retries += 1
            meter.wait_seconds += state.upcoming_sleep

        attempts = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_is_retryable),
            wait=self._wait,
            stop=tenacity.stop_after_attempt(self.source.max_attempts)
            | tenacity.stop_before_delay(self.source.retry_budget_s),
            before_sleep=note_wait,
            reraise=True,
        )
        result: Page = await attempts(self._request, session_id, params, meter)
        return result

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after_s if isinstance(error, ApiError) else None
        return asked if asked is not None else self._backoff(state)

    async def _request(self, session_id: str, params: httpx.QueryParams, meter: Meter) -> Page:
        meter.wait_seconds += await self._pace.turn()
        meter.requests += 1
        url = f"{self.source.base_url}/sessions/{quote(session_id, safe='')}/threads"
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            response = await self._http.get(url, params=params, headers=headers)
        except httpx.TransportError as error:
            raise self._no_answer(error) from None
        except httpx.HTTPError as error:
            raise MalformedBody(
                self._hide(f"{self._where()} sent a body that cannot be read: {error}"),
                error_type="malformed_body",
            ) from None
        meter.bytes += len(response.content)
        return self._read(response, datetime.now(UTC))

    def _read(self, response: httpx.Response, observed_at: datetime) -> Page:
        if response.status_code != httpx.codes.OK:
            raise self._refusal(response)
        try:
            envelope = read_envelope(response.content)
        except ValueError as error:
            raise MalformedBody(
                self._hide(
                    f"{self._where()} answered 200 with something else than a page: {error}"
                ),
                error_type="malformed_body",
                status=response.status_code,
                request_id=response.headers.get("x-request-id"),
            ) from None
        body = response.content.replace(self._token.encode(), HIDDEN.encode())
        return Page(response.status_code, observed_at, body, envelope)

    def _no_answer(self, error: httpx.TransportError) -> ApiError:
        kind = "timeout" if isinstance(error, httpx.TimeoutException) else "connection_error"
        what = str(error) or type(error).__name__
        hint = "Check base_url and the network, then run again"
        message = f"{self._where()} gave no answer ({what}). {hint}"
        return Unavailable(self._hide(message), error_type=kind)

    def _refusal(self, response: httpx.Response) -> ApiError:
        status = response.status_code
        error_type, message, request_id = read_error(response)
        if response.is_redirect:
            target = response.headers.get("location", "")
            message = f"redirects to {target}, which is not followed. Mend base_url"
        error_type = error_type or ERROR_TYPES.get(status, f"http_{status}")
        kind: type[ApiError] = REFUSALS.get(status, RequestRefused)
        kind = Redirected if response.is_redirect else kind
        kind = Unavailable if status in RETRYABLE else kind
        return kind(
            self._hide(f"{self._where()} answered {status}: {message}"),
            error_type=TOKEN_REFUSED if kind is TokenRefused else self._hide(error_type),
            status=status,
            request_id=self._hide(request_id) if request_id else None,
            retry_after_s=read_retry_after(response),
        )

    def _where(self) -> str:
        return f"source {self.source.name}: {urlsplit(self.source.base_url).netloc}"

    def _hide(self, text: str) -> str:
        return text.replace(self._token, HIDDEN)


@asynccontextmanager
async def open_client(source: Source, *, backoff_s: float = 1) -> AsyncIterator[Client]:
    """Open the connections to one source and close them at the end."""
    host = urlsplit(source.base_url).hostname or ""
    async with httpx.AsyncClient(
        timeout=source.request_timeout_s,
        limits=httpx.Limits(max_connections=source.max_concurrency),
        follow_redirects=False,
        headers={"User-Agent": f"session-threads/{__version__}", "Accept": "application/json"},
        # A proxy for plain http would read the token; loopback needs none.
        trust_env=not is_loopback(host),
    ) as http:
        yield Client(source, http, backoff_s=backoff_s)


def read_error(response: httpx.Response) -> tuple[str | None, str, str | None]:
    """Return (error.type, message on one line, request id) of any error body met in practice."""
    request_id = response.headers.get("x-request-id")
    try:
        body: Any = msgspec.json.decode(response.content)
    except (ValueError, RecursionError):
        body = None
    body = body if isinstance(body, dict) else {}
    inner = body.get("error", body)
    inner = inner if isinstance(inner, dict) else {"message": inner}
    message = _one_line(inner.get("message")) or response.reason_phrase or "no message"
    parameter = _one_line(inner.get("param"))
    error_type = _one_line(inner.get("type"))
    request_id = _one_line(body.get("request_id")) or request_id
    return error_type, f"{message} (param: {parameter})" if parameter else message, request_id


def _one_line(value: object, limit: int = 300) -> str | None:
    if not isinstance(value, str):
        return None
    printable = "".join(character if character.isprintable() else " " for character in value)
    return " ".join(printable.split())[:limit] or None


def read_retry_after(response: httpx.Response) -> float | None:
    """Return the seconds that Retry-After asks for, as a number or a date; None without one."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, at.timestamp() - time.time())


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, ApiError) and error.retryable

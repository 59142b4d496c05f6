"""What a response means: a page, or the right error (docs/api.md, 5)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, quote_plus, urlsplit

import httpx
import msgspec

from pipelines.errors import (
    TOKEN_REJECTED,
    ApiError,
    Forbidden,
    MalformedBody,
    Redirected,
    RequestRejected,
    SessionGone,
    TokenRejected,
    Unavailable,
)
from pipelines.http.auth import SCHEMES
from pipelines.http.bodies import check_width, repair, unescape
from pipelines.http.times import read_wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.config.settings import Source

# Of the statuses below 500; and those from there on that no retry changes.
RETRYABLE = frozenset({408, 425, 429})
FINAL = frozenset({501, 505})
REJECTIONS: dict[int, type[ApiError]] = {401: TokenRejected, 403: Forbidden, 404: SessionGone}
ERROR_TYPES = {
    400: "invalid_request_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
# In which servers of this family name a request, lower case.
REQUEST_ID_HEADERS = ("x-request-id", "request-id")
HIDDEN = "[token]"
SHORTEST_HIDDEN = 8
MESSAGE_LENGTH = 300

T = TypeVar("T")


class RawResponse(msgspec.Struct, frozen=True):
    """A response whose body has come whole, at the instant (UTC) `observed_at`."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    observed_at: datetime


class ResponseParser:
    """Reads the responses of one source, and lets its secrets into nothing that it returns."""

    def __init__(self, source: Source) -> None:
        self._where = f"source {source.name}: {urlsplit(source.base_url).netloc}"
        self._scheme = SCHEMES[source.auth].described
        self._forms = list_forms(source.secrets)
        # A short one could be part of any word of a thread's.
        secrets = [secret for secret in source.secrets if len(secret) >= SHORTEST_HIDDEN]
        self._forms_in_bodies = [(form.encode(), HIDDEN.encode()) for form in list_forms(secrets)]

    def read(self, response: RawResponse, parse: Callable[[bytes], T]) -> tuple[RawResponse, T]:
        """Return what `parse` makes of the body, beside the response with the body that it took.

        `parse` raises ValueError for a body that is not what was asked for. Raises the ApiError
        that the response means.
        """
        if response.status != httpx.codes.OK:
            raise self._rejection(response)
        body = self._hide_in_body(response.body)
        try:
            check_width(body)
            try:
                content = parse(body)
            except ValueError:
                body = self._hide_in_body(repair(body))
                content = parse(body)
        except ValueError as error:
            message = f"answered 200 with something else than was asked for: {error}"
            raise self.fail(MalformedBody, message, "malformed_body", response) from None
        return msgspec.structs.replace(response, body=body), content

    def fail(
        self,
        kind: type[ApiError],
        message: str,
        error_type: str,
        response: RawResponse | None = None,
        request_id: str | None = None,
    ) -> ApiError:
        """Return an error that names the source and shows no token."""
        headers = response.headers if response else {}
        named = (to_line(headers.get(name)) for name in REQUEST_ID_HEADERS)
        request_id = request_id or next(filter(None, named), None)
        return kind(
            f"{self._where} {to_line(self._hide(message))}",
            error_type=self._hide(error_type),
            status=response.status if response else None,
            request_id=self._hide(request_id) if request_id else None,
            retry_after_s=read_wait(headers),
        )

    def _rejection(self, response: RawResponse) -> ApiError:
        status = response.status
        error_type, message, request_id = read_error(response)
        kind = REJECTIONS.get(status, RequestRejected)
        if is_retryable(status):
            kind = Unavailable
        elif 300 <= status < 400:  # noqa: PLR2004 - redirects
            kind, target = Redirected, to_line(response.headers.get("location"))
            message = f"a redirect to {target}, which is not followed. Fix base_url"
        error_type = error_type or ERROR_TYPES.get(status, f"http_{status}")
        if kind is TokenRejected:
            error_type = TOKEN_REJECTED
            message = f"{message.rstrip('.')}. The token was sent as {self._scheme}"
        return self.fail(kind, f"answered {status}: {message}", error_type, response, request_id)

    def _hide(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def _hide_in_body(self, body: bytes) -> bytes:
        forms = self._forms_in_bodies
        if rb"\u00" in body:
            plain = unescape(body)
            body = plain if any(form in plain for form, _ in forms) else body
        for form, hidden in forms:
            body = body.replace(form, hidden)
        return body


def list_forms(secrets: Sequence[str]) -> list[str]:
    """Return what a server may make of secrets when it repeats them, the longest first."""
    forms = {
        form
        for secret in secrets
        for form in (
            secret,
            json.dumps(secret)[1:-1],
            secret.replace("/", "\\/"),
            quote(secret),
            quote_plus(secret),
        )
    }
    return sorted(forms - {""}, key=len, reverse=True)


def is_retryable(status: int) -> bool:
    """Whether what a status says may pass: gateways have many others from 500 on."""
    return status in RETRYABLE or (
        status >= httpx.codes.INTERNAL_SERVER_ERROR and status not in FINAL
    )


def read_error(response: RawResponse) -> tuple[str | None, str, str | None]:
    """Return (error.type, message on one line, request id) of any error body met in practice."""
    try:
        check_width(response.body)
        body: Any = msgspec.json.decode(response.body)
    except (ValueError, RecursionError):
        body = None
    body = body if isinstance(body, dict) else {}
    inner = body.get("error", body)
    inner = inner if isinstance(inner, dict) else {"message": inner}
    message = to_line(inner.get("message")) or to_line(response.reason) or "no message"
    parameter = to_line(inner.get("param"))
    message = f"{message} (param: {parameter})" if parameter else message
    return to_line(inner.get("type")), message, to_line(body.get("request_id"))


def to_line(value: object) -> str | None:
    """Return a text on one line that a terminal can show; None if there is none."""
    if not isinstance(value, str):
        return None
    printable = "".join(character if character.isprintable() else " " for character in value)
    return " ".join(printable.split())[:MESSAGE_LENGTH] or None

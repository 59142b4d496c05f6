"""A sandbox that misbehaves on demand: what gateways, proxies and broken servers do to a client."""

from __future__ import annotations

import asyncio
import email.utils
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pipelines.sandbox.exchange import CURSOR, Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

SLOW_S = 2.0
DRIP_S = 0.05
DRIPS = 12_000
HUGE_BYTES = 40 * 2**20
WAIT_S = 1

Fault = Callable[[Exchange], Awaitable[None]]


def reject(status: int, error_type: str, message: str, **headers: str) -> Fault:
    """Return a fault that answers an error in the documented envelope."""

    async def fault(exchange: Exchange) -> None:
        error = {"type": error_type, "message": message}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await exchange.answer(status, json.dumps({"type": "error", "error": error}), named)

    return fault


def throttle(headers: Callable[[], dict[str, str]]) -> Fault:
    """Return a fault that answers 429 with one of the headers that announce a wait."""

    async def fault(exchange: Exchange) -> None:
        error = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
        await exchange.answer(429, json.dumps(error), headers())

    return fault


def answer(status: int, body: str, content_type: str = "application/json") -> Fault:
    """Return a fault that answers this body."""

    async def fault(exchange: Exchange) -> None:
        await exchange.answer(status, body, {"content-type": content_type})

    return fault


def change(edit: Callable[[dict[str, Any], Exchange], None]) -> Fault:
    """Return a fault that edits the page which the sandbox would answer."""

    async def fault(exchange: Exchange) -> None:
        status, body = await exchange.pass_on()
        page = json.loads(body)
        if status == 200:  # noqa: PLR2004 - anything else is no page
            edit(page, exchange)
        await exchange.answer(status, json.dumps(page))

    return fault


def repeat_threads(page: dict[str, Any], _: Exchange) -> None:
    """List the page's first threads twice."""
    page["data"][:0] = page["data"][:3]


def claim_more(page: dict[str, Any], _: Exchange) -> None:
    """Say that there is more, but not where."""
    page.pop("next_page", None)
    page |= {"has_more": True, "last_id": None}


def stall(page: dict[str, Any], _: Exchange) -> None:
    """Give the same cursor again and again."""
    page |= {"has_more": True, "next_page": f"{CURSOR}stall."}


def circle(page: dict[str, Any], exchange: Exchange) -> None:
    """Lead from the first page to the second, and from there back."""
    is_second = exchange.query.get("page", "").startswith(f"{CURSOR}b.")
    cursor = "a." if is_second else f"b.after_id={page['last_id']}"
    page |= {"has_more": True, "next_page": CURSOR + cursor}


def empty(page: dict[str, Any], exchange: Exchange) -> None:
    """Give no thread, and a new cursor to what was asked for."""
    wanted = next((f"{k}={v}" for k, v in exchange.query.items() if k in CURSOR_KEYS), "")
    page |= {"data": [], "has_more": True, "next_page": f"{CURSOR}empty.{wanted}"}


def name_token(page: dict[str, Any], exchange: Exchange) -> None:
    """Name the first thread after the token."""
    page["data"][0]["name"] = f"authorized by {exchange.token}"


CURSOR_KEYS = ("page", "after_id", "before_id")


async def echo_token(exchange: Exchange) -> None:
    """Answer 400 with the token in the message."""
    error = {"type": "invalid_request_error", "message": f"bad header: Bearer {exchange.token}"}
    await exchange.answer(400, json.dumps({"error": error}), {"x-request-id": exchange.token})


async def tear(exchange: Exchange) -> None:
    """Answer half of the page as if it were the whole."""
    status, body = await exchange.pass_on()
    await exchange.answer(status, body[: len(body) // 2])


async def reset(exchange: Exchange) -> None:
    """Reset the connection before the answer."""
    exchange.reset()


async def reset_inside(exchange: Exchange) -> None:
    """Reset the connection within the body."""
    status, body = await exchange.pass_on()
    await exchange.begin(status, len(body))
    await exchange.write(body[: len(body) // 2], more=True)
    await asyncio.sleep(DRIP_S)
    exchange.reset()


async def start_slowly(exchange: Exchange) -> None:
    """Answer late."""
    status, body = await exchange.pass_on()
    await asyncio.sleep(SLOW_S)
    await exchange.answer(status, body)


async def drip(exchange: Exchange) -> None:
    """Send a byte now and then, and never the last."""
    await exchange.begin(200, DRIPS + 1)
    for _ in range(DRIPS):
        if exchange.is_gone:
            return
        await exchange.write(b" ", more=True)
        await asyncio.sleep(DRIP_S)


async def overfeed(exchange: Exchange) -> None:
    """Send a body that no page can have."""
    await exchange.answer(200, b" " * HUGE_BYTES)


def as_date() -> dict[str, str]:
    """Return a wait as a date."""
    return {"retry-after": email.utils.formatdate(time.time() + WAIT_S, usegmt=True)}


FAULTS: dict[str, tuple[str, Fault]] = {
    "400": ("an invalid request", reject(400, "invalid_request_error", "no such thing")),
    "401": ("a rejected token", reject(401, "authentication_error", "Invalid API key or token.")),
    "403": ("no access", reject(403, "permission_error", "No access to this session.")),
    "404": ("an unknown session", reject(404, "not_found_error", "Session was not found.")),
    "408": ("a request time-out", reject(408, "api_error", "request timed out")),
    "429": ("too many requests, no header", throttle(dict)),
    "429-seconds": ("Retry-After in seconds", throttle(lambda: {"retry-after": str(WAIT_S)})),
    "429-date": ("Retry-After as a date", throttle(as_date)),
    "429-zero": ("Retry-After: 0", throttle(lambda: {"retry-after": "0"})),
    "429-negative": ("Retry-After: -5", throttle(lambda: {"retry-after": "-5"})),
    "429-garbage": ("Retry-After: soon", throttle(lambda: {"retry-after": "soon"})),
    "429-ms": ("Retry-After-Ms", throttle(lambda: {"retry-after-ms": "200"})),
    "429-reset": (
        "X-RateLimit-Reset",
        throttle(lambda: {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(WAIT_S)}),
    ),
    "500": ("a server error", reject(500, "api_error", "internal error")),
    "502": ("a gateway's HTML", answer(502, "<html><body>Bad Gateway</body></html>", "text/html")),
    "503": ("unavailable, no body", answer(503, "")),
    "529": ("overloaded", reject(529, "overloaded_error", "overloaded")),
    "reset": ("connection reset before the answer", reset),
    "reset-inside": ("connection reset within the body", reset_inside),
    "torn": ("half of the JSON", tear),
    "html": ("an HTML page with status 200", answer(200, "<html>Sign in</html>", "text/html")),
    "shape": ("valid JSON that is no page", answer(200, '{"threads": []}')),
    "slow": (f"an answer {SLOW_S:g} s late", start_slowly),
    "drip": ("a body that comes byte by byte, without end", drip),
    "huge": (f"a body of {HUGE_BYTES // 2**20} MiB", overfeed),
    "stall": ("a page whose cursor is always the same", change(stall)),
    "circle": ("pages whose cursors lead to each other", change(circle)),
    "empty": ("an empty page with more behind it", change(empty)),
    "no-cursor": ("has_more without a cursor", change(claim_more)),
    "duplicates": ("threads listed twice", change(repeat_threads)),
    "redirect": (
        "a redirect to another host",
        reject(307, "redirect", "moved", location="https://elsewhere.example/threads"),
    ),
    "echo-error": ("the token in an error message", echo_token),
    "echo-body": ("the token in a thread's name", change(name_token)),
}
PASSING = (
    "408", "429", "429-ms", "500", "502", "503", "529", "reset", "reset-inside", "torn",
)  # fmt: skip


class Faulty:
    """A sandbox's app, of which some requests go wrong.

    `plan` maps the number of a request for `objects` (from 1), such as the threads of a session, to
    its fault; `rate` is the share of the others that get one of `kinds`. Which these are follows
    from the seed and the request alone, and no request gets more than `MOST` in a row.
    """

    MOST = 3

    def __init__(
        self,
        app: ASGIApp,
        plan: Mapping[int, str] | None = None,
        *,
        objects: str = "threads",
        rate: float = 0,
        kinds: Sequence[str] = PASSING,
        seed: int = 0,
    ) -> None:
        self.requests = 0
        self.met: Counter[str] = Counter()
        self._app = app
        self._plan = {} if plan is None else plan
        self._path = f"/{objects}"
        self._rate, self._kinds, self._seed = rate, kinds, seed
        self._tries: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, well or with its fault."""
        if scope["type"] != "http" or not scope["path"].endswith(self._path):
            await self._app(scope, receive, send)
            return
        self.requests += 1
        kind = self._plan.get(self.requests) or self._draw(scope)
        exchange = Exchange(self._app, scope, receive, send)
        if kind is None:
            status, body = await exchange.pass_on()
            await exchange.answer(status, body)
        else:
            self.met[kind] += 1
            await FAULTS[kind][1](exchange)

    def _draw(self, scope: Scope) -> str | None:
        target = f"{scope['path']}?{scope['query_string'].decode()}"
        attempt = self._tries[target] = self._tries[target] + 1
        draw = random.Random(f"{self._seed} {target} {attempt}")  # noqa: S311 - made-up faults
        if attempt % (self.MOST + 1) == 0 or draw.random() >= self._rate:
            return None
        return draw.choice(self._kinds)

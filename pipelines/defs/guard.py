"""What stands before Dagster's web server, which obeys any page: its own alone may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# A page of another site can send neither without asking first, and nobody says yes.
CONTENT_TYPES = {"application/json", "application/graphql"}
POLICY_VIOLATION = 1008


class Guard:
    """Passes on what its own pages, and programs that are no browser, ask; rejects all else.

    `hosts` are what it is called in a URL, with the port. Any other `Host` is a name that someone
    has pointed here, any other `Origin` a page of someone else.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or say in one line why not."""
        problem = find_problem(scope, self.hosts) if "headers" in scope else None
        if problem is None:
            await self._app(scope, receive, forbid_frames(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            status, reason = problem
            await PlainTextResponse(f"{reason}\n", status)(scope, receive, send)


def find_problem(scope: Scope, hosts: Collection[str]) -> tuple[int, str] | None:
    """Return the status and the reason with which a request is rejected; None if it is not."""
    headers = Headers(scope=scope)
    host, origin = headers.get("host", "").lower(), headers.get("origin")
    if host not in hosts:
        return 421, f"rejected: this server is not called {host!a}"
    if origin is not None and urlsplit(origin.lower()).netloc not in hosts:
        return 403, f"rejected: a page of {origin!a} may not use this server"
    if "query" in parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        return 405, "rejected: a query is taken in the body of a POST"
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if scope.get("method", "GET") not in SAFE_METHODS and kind not in CONTENT_TYPES:
        return 415, "rejected: a POST is taken as application/json"
    return None


def forbid_frames(send: Send) -> Send:
    """Return what sends the same, and lets no other page show it in a frame."""

    async def send_unframed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Frame-Options"] = "DENY"
        await send(message)

    return send_unframed

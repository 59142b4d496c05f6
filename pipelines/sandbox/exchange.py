"""One request and its connection, for faults that answer it badly."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CURSOR = "fault-"


class Connection(H11Protocol):
    """Lets a fault reach the connection that its request came by."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Put the transport where the request's scope shows it."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Exchange:
    """One request and the means to answer it, well or badly."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._app, self._receive, self._send = app, receive, send
        self._scope = resolve_cursor(scope)
        self._transport: asyncio.Transport = scope["state"]["transport"]
        self.query = dict(parse_qsl(scope["query_string"].decode()))
        headers = dict(scope["headers"])
        self.token = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
        self._dates: list[tuple[bytes, bytes]] = []

    async def pass_on(self) -> tuple[int, bytes]:
        """Return the status and body that the sandbox would answer."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(self._scope, self._receive, keep)
        body = b"".join(message.get("body", b"") for message in messages)
        self._dates = [field for field in messages[0]["headers"] if field[0] == b"date"]
        return messages[0]["status"], body

    async def answer(
        self, status: int, body: str | bytes = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer in full."""
        raw = body.encode() if isinstance(body, str) else body
        await self.begin(status, len(raw), headers)
        await self.write(raw, more=False)

    async def begin(
        self, status: int, length: int, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send the head of an answer."""
        fields = {"content-type": "application/json", "content-length": str(length)}
        fields |= headers or {}
        encoded = [(name.encode(), value.encode()) for name, value in fields.items()]
        start = {"type": "http.response.start", "status": status}
        await self._send({**start, "headers": [*encoded, *self._dates]})

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def reset(self) -> None:
        """Reset the connection."""
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    @property
    def is_gone(self) -> bool:
        """Whether the client has hung up."""
        return self._transport.is_closing()


def resolve_cursor(scope: Scope) -> Scope:
    """Return the request that a cursor of a fault replaces."""
    query = parse_qsl(scope["query_string"].decode())
    page = dict(query).get("page", "")
    if not page.startswith(CURSOR):
        return scope
    key, _, value = page.partition(".")[2].partition("=")
    query = [(name, text) for name, text in query if name != "page"]
    query += [(key, value)] if key else []
    return {**scope, "query_string": urlencode(query).encode()}

"""The sandbox over HTTP: the threads endpoint in either revision, on loopback."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from pipelines.sandbox.dialect import Dialect, P, Rejection, encode_cursor, locate
from pipelines.sandbox.exchange import Connection
from pipelines.sandbox.faults import Faulty
from pipelines.sandbox.sessions import check_filters, list_sessions, render_session
from pipelines.sandbox.world import STATUSES, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from pipelines.sandbox.plans import SessionPlan, ThreadPlan
    from pipelines.sandbox.world import Revision

WITH_ARCHIVED = QueryParams({"include_archived": "true"})

BASE_PATH = "/api/v1/cloud"
TOKEN = "pt-sandbox"  # noqa: S105 - opens nothing but made-up data

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
}


class Advance(msgspec.Struct, frozen=True):
    """Move the clock so many seconds forward."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class Sandbox:
    """The endpoint over a world, in a dialect; `latency_s` delays each answer."""

    def __init__(
        self,
        world: World,
        *,
        token: str = TOKEN,
        latency_s: float = 0,
        dialect: Dialect | None = None,
    ) -> None:
        self.world = world
        self.token = token
        self.dialect = dialect or Dialect()
        self.latency_s = latency_s
        self._request_ids = itertools.count(1)
        self.app = Starlette(
            routes=[
                Route(f"{BASE_PATH}/sessions", self.list_sessions),
                Route(f"{BASE_PATH}/sessions/{{session_id}}", self.show_session),
                Route(f"{BASE_PATH}/sessions/{{session_id}}/threads", self.list_threads),
                Route(
                    f"{BASE_PATH}/sessions/{{session_id}}/threads/{{thread_id}}", self.get_thread
                ),
                Route("/sandbox/advance", self.advance, methods=["POST"]),
                Route("/openapi.json", self.describe),
            ],
            exception_handlers={HTTPException: self.reject},
        )

    async def list_threads(self, request: Request) -> JSONResponse:
        """Answer one page of a session's threads."""
        await asyncio.sleep(self.latency_s)
        self.dialect.authorize(request, self.token)
        limit = self.dialect.read_limit(request)
        cursor = self.dialect.read_cursor(request)
        statuses, descending = self._read_order(request)
        session_id = self._find_session(request).id
        # A cursor keeps its place also when its thread has left the wanted statuses.
        plans = self._list_plans(session_id)
        plans = locate(plans[::-1] if descending else plans, cursor)
        wanted = {plan.id for plan in self.world.list_plans(session_id, statuses)}
        plans = [plan for plan in plans if plan.id in wanted]
        render = partial(self._render, session_id)
        return JSONResponse(self._page(plans, cursor, limit, render))

    async def list_sessions(self, request: Request) -> JSONResponse:
        """Answer one page of the sessions that a request's filters leave."""
        await asyncio.sleep(self.latency_s)
        self.dialect.authorize(request, self.token)
        limit, cursor = self.dialect.read_limit(request), self.dialect.read_cursor(request)
        check_filters(request.query_params)
        everything = list_sessions(self.world, WITH_ARCHIVED)
        if request.query_params.get("order") == "asc":
            everything.reverse()
        wanted = {plan.id for plan in list_sessions(self.world, request.query_params)}
        plans = [plan for plan in locate(everything, cursor) if plan.id in wanted]
        return JSONResponse(self._page(plans, cursor, limit, self._render_session))

    async def show_session(self, request: Request) -> JSONResponse:
        """Answer one session."""
        await asyncio.sleep(self.latency_s)
        self.dialect.authorize(request, self.token)
        return JSONResponse(self._render_session(self._find_session(request)))

    def _render_session(self, plan: SessionPlan) -> dict[str, Any]:
        return self.dialect.speak_session(render_session(self.world, plan))

    def _find_session(self, request: Request) -> SessionPlan:
        session_id = request.path_params["session_id"]
        if session_id not in self.world.sessions:
            raise Rejection(404, f"Session {session_id!r} was not found.")
        return self.world.sessions[session_id]

    async def get_thread(self, request: Request) -> JSONResponse:
        """Answer one thread, whether it is listed or not."""
        await asyncio.sleep(self.latency_s)
        self.dialect.authorize(request, self.token)
        session_id, thread_id = self._find_session(request).id, request.path_params["thread_id"]
        plans = self.world.list_plans(session_id) if self.dialect.has_lookups else []
        for plan in plans:
            if plan.id == thread_id:
                return JSONResponse(self._render(session_id, plan))
        raise Rejection(404, f"Thread {thread_id!r} was not found.")

    async def advance(self, request: Request) -> JSONResponse:
        """Move the world's clock forward."""
        try:
            order = msgspec.json.decode(await request.body(), type=Advance)
        except (ValueError, RecursionError) as error:
            raise Rejection(400, f"{error}", "seconds") from None
        self.world.advance(order.seconds)
        return JSONResponse({"now": self.world.now().isoformat()})

    async def describe(self, _: Request) -> JSONResponse:
        """Answer the OpenAPI document."""
        return JSONResponse(load_description(self.world.revision))

    async def reject(self, _: Request, error: Exception) -> JSONResponse:
        """Answer an error in the documented envelope."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        inner = {
            "type": ERROR_TYPES.get(status, "api_error"),
            "message": str(getattr(error, "detail", error)),
        }
        param = getattr(error, "param", None)
        body = {
            "type": "error",
            "request_id": f"req_{next(self._request_ids):08d}",
            "error": inner | ({"param": param} if param else {}),
        }
        return JSONResponse(body, status, headers=dict(getattr(error, "headers", None) or {}))

    def _render(self, session_id: str, plan: ThreadPlan) -> dict[str, Any]:
        thread = self.world.render(session_id, plan)
        return self.dialect.speak(thread, self.world.elapsed() - plan.born)

    def _list_plans(self, session_id: str) -> list[ThreadPlan]:
        """Return the threads that the server lists."""
        plans = self.world.list_plans(session_id)
        if self.dialect.hides_archived:
            plans = [p for p in plans if not self.world.render(session_id, p)["archived_at"]]
        if self.dialect.newest_only is not None:
            newest = sorted(plans, key=lambda plan: plan.born)[-self.dialect.newest_only :]
            plans = [plan for plan in plans if plan in newest]
        return plans

    def _read_order(self, request: Request) -> tuple[list[str], bool]:
        """Return the wanted statuses, and whether the newest come first."""
        order = request.query_params.get("order")
        is_descending = order == "desc" or (order is None and self.dialect.newest_first)
        if self.world.revision == "b":
            if order is not None:
                raise Rejection(400, "Unknown parameter.", "order")
            return [], is_descending
        if order not in {None, "asc", "desc"}:
            raise Rejection(400, "order must be asc or desc.", "order")
        statuses = request.query_params.getlist("statuses[]")
        if self.dialect.ignores_filter:
            return [], is_descending
        if unknown := set(statuses) - set(STATUSES["a"]):
            raise Rejection(400, f"Unknown status {min(unknown)!r}.", "statuses[]")
        return statuses, is_descending

    def _page(
        self,
        plans: Sequence[P],
        cursor: tuple[str, str] | None,
        limit: int,
        render: Callable[[P], dict[str, Any]],
    ) -> dict[str, Any]:
        is_backward = cursor is not None and cursor[0] == "before_id"
        shown = plans[-limit:] if is_backward else plans[:limit]
        page = [render(plan) for plan in shown]
        # Who reads no cursor cannot know better than that a page is full.
        has_more = len(plans) > limit if self.dialect.has_cursors else len(shown) == limit
        last_id = page[-1]["id"] if page else None
        answer = {
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": last_id,
            "has_more": has_more,
        }
        if self.world.revision == "b" and not is_backward and self.dialect.has_cursors:
            answer["next_page"] = encode_cursor(last_id) if has_more and last_id else None
        return answer


def load_description(revision: Revision) -> dict[str, Any]:
    """Return the OpenAPI document without the parameters that only the other revision takes."""
    text = Path(__file__).with_name("openapi.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    listing = document["paths"][f"{BASE_PATH}/sessions/{{session_id}}/threads"]["get"]
    listing["parameters"] = [
        parameter
        for parameter in listing["parameters"]
        if parameter.get("x-revision", revision) == revision
    ]
    return document


@contextmanager
def serve(app: ASGIApp, port: int = 0, *, is_dated: bool = True) -> Iterator[str]:
    """Serve on loopback in a separate thread, with a Date or the app's; give the base URL."""
    listener = socket.create_server(("127.0.0.1", port))
    host, bound = listener.getsockname()
    config = uvicorn.Config(
        app,
        http=Connection if isinstance(app, Faulty) else "auto",
        log_level="critical",
        lifespan="off",
        access_log=False,
        date_header=is_dated,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{bound}{BASE_PATH}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        listener.close()

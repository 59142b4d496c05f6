"""Another API than any of ours is one Provider object: nothing else knows how it is spoken to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from pipelines.errors import LandingError
from pipelines.extract.discover import SourceSessions, name_sessions
from pipelines.extract.poll import poll_sessions
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.landing.writer import land_polls
from pipelines.providers.base import Endpoint, Provider
from pipelines.providers.registry import PROVIDERS
from pipelines.providers.thread import Thread
from pipelines.records import Poll, Progress, Selection
from pipelines.sandbox.server import serve
from pipelines.warehouse.place import open_warehouse
from pipelines.warehouse.replay import replay
from tests.builders import load_all
from tests.support import CANARY, make_source, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from pipelines.records import Cursor, EndReason

T = TypeVar("T")
THREADS = [
    {"id": f"w{number}", "status": "running", "agent": {"name": "a", "system": "SECRET"}}
    for number in range(7)
]
PAGE = 3


class Envelope(msgspec.Struct, Generic[T], frozen=True):
    """A page of the made-up API."""

    workers: list[T]
    bookmark: str | None = None


class Bookmarks:
    """A page is the last one unless it holds a bookmark."""

    key: ClassVar[str] = "workers"
    envelope: ClassVar[Any] = Envelope

    def find_next(self, page: Envelope[Any], cursor: Cursor | None) -> Cursor | EndReason:  # noqa: ARG002
        """Return what leads to the page after this one."""
        return ("from", page.bookmark) if page.bookmark else "no_next_page"


MADE_UP = Provider(
    name="made-up",
    base_url="https://api.example/v9",
    auth="x-api-key",
    headers={"made-up-version": "2026-11-26"},
    params={"beta": "true"},
    token_variables=("MADE_UP_KEY",),
    page_limit=PAGE,
    endpoints=(
        Endpoint(
            "threads",
            "/teams/{session_id}/workers",
            item=Thread,
            paginator=Bookmarks(),
            prompt_fields=("agent.system",),
            limit_param="size",
            order_param=None,
            status_param="state",
        ),
    ),
)


class Server:
    """The made-up API: it takes nothing but its own spelling, and notes what it was asked."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.app = Starlette(routes=[Route("/v9/teams/{team}/workers", self.answer)])

    async def answer(self, request: Request) -> JSONResponse:
        """Answer with the page behind the bookmark."""
        self.queries.append(request.url.query)
        sent = request.headers
        if sent.get("x-api-key") != CANARY or "authorization" in sent:
            return JSONResponse({"error": "who?"}, 401, {"request-id": "r1"})
        if sent["made-up-version"] != "2026-11-26" or request.query_params["beta"] != "true":
            return JSONResponse({"error": "which version?"}, 400, {"request-id": "r2"})
        if request.path_params["team"] == "none":
            return JSONResponse({"error": "no such team"}, 404, {"request-id": "r3"})
        begin = int(request.query_params.get("from", "0"))
        end = begin + int(request.query_params["size"])
        bookmark = str(end) if end < len(THREADS) else None
        return JSONResponse({"workers": THREADS[begin:end], "bookmark": bookmark})


@pytest.fixture
def polled(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Poll], list[str]]:
    """Poll two sessions of the made-up API and load them; return the polls and the queries."""
    monkeypatch.setitem(PROVIDERS, MADE_UP.name, MADE_UP)
    server = Server()
    with serve(server.app) as address:
        base_url = address.split("/api")[0] + "/v9"
        source = make_source(
            base_url, name="other", provider=MADE_UP.name, sessions=["team", "none"], order="asc"
        )
        plan = [SourceSessions(source, tuple(name_sessions(source).values()))]
        polls = poll_sessions(plan, Selection(statuses=("running",)), Progress())
        _, ended = asyncio.run(land_polls(polls, Directory(home / RAW), "run"))
    load_all(home)
    return {poll.session_id: poll for poll in ended}, server.queries


def test_threads_land(home: Path, polled: tuple[dict[str, Poll], list[str]]) -> None:
    """Every thread of every page comes to be a row, without its prompts, and the poll is whole."""
    polls, _ = polled
    assert (polls["team"].outcome, polls["team"].pages) == ("complete", 3)
    query = "SELECT source, thread_id, status, agent_name, extra FROM threads ORDER BY thread_id"
    assert read_table(home / "warehouse.duckdb", query) == [
        {
            "source": "other",
            "thread_id": thread["id"],
            "status": "running",
            "agent_name": "a",
            "extra": None,
        }
        for thread in THREADS
    ]


def test_provider_that_is_not_known_any_more(
    home: Path, polled: tuple[dict[str, Poll], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Landed pages of a provider that this version does not know are rejected by its name."""
    del polled
    monkeypatch.delitem(PROVIDERS, MADE_UP.name)
    with pytest.raises(LandingError, match="provider made-up are not known to this version"):
        replay(open_warehouse(home), Directory(home / RAW))


def test_requests_are_spelled_its_way(polled: tuple[dict[str, Poll], list[str]]) -> None:
    """Page size, filter and cursor have the server's names; what it does not take is not sent."""
    _, queries = polled
    first = "size=3&state=running&beta=true"
    assert sorted(set(queries)) == [
        "size=3&from=3&state=running&beta=true",
        "size=3&from=6&state=running&beta=true",
        first,
    ]


def test_request_ids_are_its_own(polled: tuple[dict[str, Poll], list[str]]) -> None:
    """The id of a request that failed is read where this server puts it."""
    polls, _ = polled
    assert (polls["none"].outcome, polls["none"].request_id) == ("gone", "r3")

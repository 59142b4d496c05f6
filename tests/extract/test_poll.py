"""Every session of a poll ends on its own, and a rejected token ends them all."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from pipelines.errors import RequestRejected, SettingsError, TokenRejected
from pipelines.extract.discover import SourceSessions, name_sessions
from pipelines.extract.paginate import Pagination
from pipelines.extract.plan import plan_polls
from pipelines.extract.poll import ask_once, poll_sessions
from pipelines.records import Poll, Progress, Selection
from pipelines.reporting.failures import Failures
from pipelines.sandbox.faults import Faulty
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.world import World
from tests.support import CANARY, Script, make_source

if TYPE_CHECKING:
    from starlette.requests import Request

    from pipelines.config.settings import Source
    from pipelines.records import Page

PAGE = {"data": [{"id": "t1"}], "has_more": True, "next_page": "p2"}


class Fleet:
    """A server whose sessions answer as their id says: `ok`, or an HTTP status from page 2 on."""

    def __init__(self) -> None:
        self.requests = 0
        self.fetched_pages: list[float] = []
        self.app = Starlette(routes=[Route("/{base:path}/sessions/{id}/threads", self.answer)])

    async def answer(self, request: Request) -> JSONResponse:
        """Answer a page, or fail."""
        self.requests += 1
        self.fetched_pages.append(time.monotonic())
        kind, _, at = request.path_params["id"].partition("_")
        is_second = "page" in request.query_params
        if kind == "ok":
            return JSONResponse({"data": [{"id": "t2"}]} if is_second else PAGE)
        if at == "2" and not is_second:
            return JSONResponse(PAGE)
        return JSONResponse({"error": "no"}, int(kind))


def poll(
    *ids: str, selection: Selection | None = None, **keys: object
) -> tuple[dict[str, Poll], Fleet]:
    """Poll the sessions of a fleet; return the polls by session."""
    fleet, chosen = Fleet(), selection or Selection()

    async def run(source: Source) -> dict[str, Poll]:
        plan = plan_polls([SourceSessions(source, tuple(name_sessions(source).values()))], chosen)
        polls = poll_sessions(plan, chosen, Progress(), backoff_s=0.001)
        return {item.session_id: item async for item in polls if isinstance(item, Poll)}

    with serve(fleet.app) as base_url:
        return asyncio.run(run(make_source(base_url, sessions=ids, **keys))), fleet


def test_outcomes() -> None:
    """Each session ends by itself: complete, gone, forbidden, failed, or incomplete."""
    polls, _ = poll("ok", "404", "403", "500", "400", "500_2", "404_2", max_attempts=2)
    assert {id_: (p.outcome, p.end_reason, p.pages, p.requests) for id_, p in polls.items()} == {
        "ok": ("complete", "no_next_page", 2, 2),
        "404": ("gone", "error", 0, 1),
        "403": ("forbidden", "error", 0, 1),
        "500": ("failed", "error", 0, 2),
        "400": ("failed", "error", 0, 1),
        "500_2": ("incomplete", "error", 1, 3),
        "404_2": ("gone", "error", 1, 2),
    }
    assert polls["ok"].error_message is None
    assert polls["404"].error_message
    assert all(p.started_at <= p.finished_at for p in polls.values())


def test_rejected_token_ends_the_run() -> None:
    """401 stops every session of the source: at most the requests in flight follow."""
    polls, fleet = poll("401", *(f"ok_{i}" for i in range(50)), max_concurrency=2)
    assert len(polls) == 51
    assert fleet.requests <= 4
    unfinished = [p for p in polls.values() if p.outcome != "complete"]
    assert len(unfinished) >= 49
    assert {p.error_type for p in unfinished} == {"authentication_error"}


def test_selection() -> None:
    """Only the sessions of the selection are listed."""
    polls, fleet = poll("ok", "ok_1", selection=Selection(sessions=("ok_1",)))
    assert (set(polls), fleet.requests) == ({"ok_1"}, 2)


def test_session_that_nobody_configured() -> None:
    """A session that nobody configured is rejected before any request."""
    with pytest.raises(SettingsError, match="sess_x"):
        poll("ok", selection=Selection(sessions=("sess_x",)))


def test_concurrency_is_bounded() -> None:
    """No more than max_concurrency sessions are polled at once."""
    polls, _ = poll(*(f"ok_{i}" for i in range(12)), max_concurrency=3, min_page_interval_ms=20)
    edges = [(p.started_at, 1) for p in polls.values()] + [
        (p.finished_at, -1) for p in polls.values()
    ]
    running = peak = 0
    for _, step in sorted(edges):
        running += step
        peak = max(peak, running)
    assert peak == 3


def test_rate() -> None:
    """Of 40 requests a second asked for, about so many come, though the machine may be busy."""
    ids = [f"ok_{i}" for i in range(70)]
    polls, fleet = poll(*ids, max_requests_per_second=40, max_concurrency=16)
    assert {p.outcome for p in polls.values()} == {"complete"}
    at = fleet.fetched_pages
    assert len(at) == 140
    assert max(sum(begin <= other < begin + 1 for other in at) for begin in at) <= 60
    assert 139 / (at[-1] - at[0]) >= 25


@pytest.mark.parametrize("sessions", [3, 40])
def test_long_throttling_ends_the_source(sessions: int) -> None:
    """429 with a wait beyond the budget ends every session of the source, as a 401 does."""
    script = Script((429, {"retry-after": "3600"}, ""))
    ids = [f"s{number}" for number in range(sessions)]
    with serve(script.app) as base_url:
        begun = time.monotonic()
        polls = asyncio.run(run_polls(make_source(base_url, sessions=ids, max_concurrency=2)))
    assert time.monotonic() - begun < 20
    assert len(polls) == sessions
    assert len(script.requests) <= 4
    assert all("asks to wait 3600 s" in str(poll.error_message) for poll in polls)


def free_port() -> int:
    """Return a port of loopback at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_server_without_connections_is_tried_once(scheme: str) -> None:
    """A dead server, or one without a certificate, ends its source: not each session tries it."""
    ids = [f"s{number}" for number in range(40)]
    with serve(Script({"data": []}).app) as base_url:
        port = urlsplit(base_url).port if scheme == "https" else free_port()
        keys: dict[str, Any] = {"sessions": ids, "max_attempts": 3, "max_concurrency": 4}
        polls = asyncio.run(run_polls(make_source(f"{scheme}://127.0.0.1:{port}/x", **keys)))
    assert [poll.outcome for poll in polls] == ["failed"] * 40
    assert len({poll.error_message for poll in polls}) == 1
    assert sum(poll.requests for poll in polls) <= 4 * 3
    assert sum(poll.requests == 0 for poll in polls) == 36
    failures = Failures()
    lines = list(filter(None, map(failures.describe, polls)))
    assert len(lines) == 1
    assert "gave no answer" in lines[0]


def test_session_that_breaks_its_connections_fails_alone() -> None:
    """A server that is there, and breaks off at one session, is asked for all the others."""
    world = World([1] * 12, seed=1)
    app = Faulty(Sandbox(world, token=CANARY).app, dict.fromkeys((1, 3, 4), "reset"))
    with serve(app) as base_url:
        keys: dict[str, Any] = {"max_attempts": 1, "max_concurrency": 1}
        polls = asyncio.run(run_polls(make_source(base_url, sessions=[*world.sessions], **keys)))
    assert [poll.outcome for poll in polls].count("complete") == 9
    assert all(poll.requests == 1 for poll in polls)


def test_server_that_dies_within_a_run() -> None:
    """One that has answered, and then takes no connection any more, ends its source as well."""
    ids = [f"s{number}" for number in range(30)]

    async def run(source: Source, server: ExitStack) -> list[Poll]:
        ended = []
        plan = [SourceSessions(source, tuple(name_sessions(source).values()))]
        async for item in poll_sessions(plan, Selection(), Progress(), backoff_s=0.001):
            ended += [item] if isinstance(item, Poll) else []
            if len(ended) == 2:
                server.close()
        return ended

    with ExitStack() as server:
        base_url = server.enter_context(serve(Script({"data": []}).app))
        keys: dict[str, Any] = {"max_attempts": 2, "max_concurrency": 1}
        polls = asyncio.run(run(make_source(base_url, sessions=ids, **keys), server))
    assert polls[0].outcome == "complete"
    assert sum(poll.requests == 0 for poll in polls) >= 20
    assert polls[-1].outcome == "failed"


class Failing(Progress):
    """Fails at the first thing that it is given."""

    def begin(self, sessions: int) -> None:  # noqa: ARG002
        """Fail."""
        raise BrokenPipeError

    def page(self, threads: int) -> None:  # noqa: ARG002
        """Fail."""
        raise OSError(28, "No space left on device")

    def end(self, poll: Poll) -> None:  # noqa: ARG002
        """Fail."""
        raise ValueError


class FailingLater(Failing):
    """Fails when the first page has come."""

    def begin(self, sessions: int) -> None:
        """Do nothing."""


@pytest.mark.parametrize("progress", [Failing(), FailingLater()])
def test_what_observes_a_poll_cannot_end_it(progress: Progress) -> None:
    """A log that is full, a closed pipe or a fault in what shows progress costs no session."""
    with serve(Script({"data": [{"id": "t"}]}).app) as base_url:
        source = make_source(base_url, sessions=["a", "b", "c", "d"])
        polls = asyncio.run(run_polls(source, progress))
    assert {poll.session_id: poll.outcome for poll in polls} == dict.fromkeys("abcd", "complete")


def test_failure_that_nobody_thought_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised inside a session is that session's failed poll; the others go on."""
    take = Pagination.take

    def take_or_fail(pagination: Pagination, page: Page) -> bool:
        if page.listing.ids == ["odd"]:
            raise ZeroDivisionError
        return take(pagination, page)

    monkeypatch.setattr(Pagination, "take", take_or_fail)
    script = Script({"data": [{"id": "odd"}]}, {"data": [{"id": "fine"}]})
    with serve(script.app) as base_url:
        source = make_source(base_url, sessions=["a", "b"], max_concurrency=1)
        polls = asyncio.run(run_polls(source))
    assert [(poll.outcome, poll.error_type) for poll in polls] == [
        ("failed", "unexpected"),
        ("complete", None),
    ]
    assert "an unexpected ZeroDivisionError" in str(polls[0].error_message)


async def run_polls(
    source: Source, progress: Progress | None = None, deadline_s: float | None = None
) -> list[Poll]:
    """Return the polls of every session of a source, in the order in which they ended."""
    plan = [SourceSessions(source, tuple(name_sessions(source).values()), deadline_s)]
    polls = poll_sessions(plan, Selection(), progress or Progress(), backoff_s=0.001)
    return [item async for item in polls if isinstance(item, Poll)]


def test_deadline_ends_a_run() -> None:
    """What has come by the deadline stays, the rest is incomplete for that reason."""

    async def answer(request: Request) -> JSONResponse:
        if request.path_params["id"] == "slow":
            await asyncio.sleep(0.05)
            return JSONResponse({"data": [{"id": uuid.uuid4().hex}], "next_page": uuid.uuid4().hex})
        return JSONResponse({"data": [{"id": "t"}]})

    app = Starlette(routes=[Route("/{path:path}/{id}/threads", answer)])
    with serve(app) as base_url:
        ids = ["fast", "slow", "never"]
        source = make_source(base_url, sessions=ids, max_concurrency=1, min_page_interval_ms=0)
        begun = time.monotonic()
        polls = asyncio.run(run_polls(source, deadline_s=0.5))
    assert time.monotonic() - begun < 10
    ended = {poll.session_id: (poll.outcome, poll.end_reason, poll.error_type) for poll in polls}
    cut = ("incomplete", "deadline", "deadline")
    assert ended == {"fast": ("complete", "no_next_page", None), "slow": cut, "never": cut}
    pages = {poll.session_id: poll.pages for poll in polls}
    assert (pages["fast"], pages["never"], pages["slow"] > 1) == (1, 0, True)
    assert "run_deadline_minutes is reached" in str(polls[-1].error_message)


@pytest.mark.parametrize(
    ("page_limit", "ended"),
    [
        (None, ("complete", "has_more_false", 1, 5)),
        (6, ("complete", "has_more_false", 1, 5)),
        (5, ("incomplete", "same_page", 2, 5)),
        (2, ("incomplete", "same_page", 2, 2)),
    ],
)
def test_server_that_cannot_page(page_limit: int | None, ended: tuple[object, ...]) -> None:
    """It reads no cursor and claims more on a full page: said so, unless one page holds all."""

    async def answer(request: Request) -> JSONResponse:
        limit = int(request.query_params["limit"])
        data = [{"id": f"t{number}"} for number in range(5)][:limit]
        last_id = data[-1]["id"]
        return JSONResponse({"data": data, "has_more": len(data) == limit, "last_id": last_id})

    with serve(Starlette(routes=[Route("/{path:path}", answer)])) as base_url:
        (poll,) = asyncio.run(run_polls(make_source(base_url, page_limit=page_limit)))
    assert (poll.outcome, poll.end_reason, poll.pages, poll.threads_listed) == ended
    says = "this server cannot page: it answered the same page twice. Set page_limit"
    assert (says in str(poll.error_message)) == (poll.outcome == "incomplete")


@pytest.mark.parametrize(
    ("claim", "ended"),
    [
        ({}, ("complete", "no_next_page")),
        ({"has_more": False}, ("complete", "has_more_false")),
        ({"has_more": True, "last_id": "t1"}, ("incomplete", "no_cursor")),
        ({"has_more": True, "next_page": "2"}, ("incomplete", "no_cursor")),
    ],
)
def test_server_that_lists_all_at_once(claim: dict[str, Any], ended: tuple[str, str]) -> None:
    """It is sent neither a limit nor a cursor; what it claims to have beyond is said."""
    script = Script({"data": [{"id": "t0"}, {"id": "t1"}], **claim})
    with serve(script.app) as base_url:
        (polled,) = asyncio.run(run_polls(make_source(base_url, paging="none")))
    assert (polled.outcome, polled.end_reason, polled.threads_listed) == (*ended, 2)
    assert script.queries == [""]


def test_check_creates_no_coordinator() -> None:
    """A server is asked for its sessions where it lists them: a session without threads has none.

    One that does not list them is asked for threads of the first; a bad token is one of both.
    """
    world = World([0, 1], seed=1)
    (empty, _) = world.sessions
    with serve(Sandbox(world, token=CANARY).app) as base_url:
        assert asyncio.run(ask_once(make_source(base_url, sessions=[empty]))) is not None
    assert world.sessions[empty].threads == []

    async def answer(request: Request) -> JSONResponse:
        is_list = request.url.path.endswith("/sessions")
        return JSONResponse({"data": []}, 405 if is_list else 200)

    with serve(Starlette(routes=[Route("/{path:path}", answer)])) as base_url:
        asyncio.run(ask_once(make_source(base_url)))
        with pytest.raises(RequestRejected):
            asyncio.run(ask_once(make_source(base_url, sessions=[], discover=True)))
    with serve(Script((401, {}, "")).app) as base_url, pytest.raises(TokenRejected):
        asyncio.run(ask_once(make_source(base_url)))


def test_clipped_limit() -> None:
    """A server may give fewer threads than it was asked for: that costs requests, no thread."""

    async def answer(request: Request) -> JSONResponse:
        after = int(request.query_params.get("after_id", "t0")[1:])
        data = [{"id": f"t{number}"} for number in range(after + 1, min(after + 3, 6))]
        return JSONResponse({"data": data, "has_more": after < 4, "last_id": data[-1]["id"]})

    with serve(Starlette(routes=[Route("/{path:path}", answer)])) as base_url:
        (poll,) = asyncio.run(run_polls(make_source(base_url, page_limit=1000)))
    assert (poll.outcome, poll.pages, poll.threads_listed, poll.duplicates) == ("complete", 3, 5, 0)

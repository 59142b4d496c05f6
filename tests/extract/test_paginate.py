"""The paging rules of docs/api.md, 2, over real HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.extract.paginate import ListRequest, Pagination, fetch_page, fetch_pages
from pipelines.http.opening import open_client
from pipelines.http.stats import RequestStats
from pipelines.providers.qoder import THREADS
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.world import World
from tests.support import CANARY, Script, make_source

if TYPE_CHECKING:
    from pipelines.config.settings import Source
    from pipelines.records import Cursor, PageFetch


class Kept(Pagination):
    """A pagination, and the pages that it handed on."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.fetches: list[PageFetch] = []

    async def keep(self, fetch: PageFetch) -> None:
        """Take a page over."""
        self.fetches.append(fetch)


def make_request(session_id: str = "sess_1", **options: Any) -> ListRequest:
    """Return what asks for the threads of a session."""
    ids = {"session_id": session_id}
    return ListRequest(**{"endpoint": THREADS, "ids": ids, "limit": 100, **options})


def follow(source: Source, start: Cursor | None = None, **options: Any) -> Kept:
    """Follow the pages of the source's first session to whatever end they come."""
    result = Kept(max_pages=source.max_pages_per_session, start=start)

    async def run() -> None:
        async with open_client(source, backoff_s=0.001) as client:
            request = make_request(source.sessions[0].id, **options)
            await fetch_pages(client, request, result, stats=RequestStats(), on_page=result.keep)

    asyncio.run(run())
    assert [fetch.number for fetch in result.fetches] == list(range(1, result.pages + 1))
    return result


def page(*ids: str, **keys: Any) -> dict[str, Any]:
    """Return a page's body."""
    edges = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return {"data": [{"id": id_} for id_ in ids], **edges, **keys}


def run_script(*answers: Any, **keys: Any) -> tuple[Kept, list[str]]:
    """Follow the pages of a scripted server; return the pagination and the queries it was asked."""
    script = Script(*answers)
    with serve(script.app) as base_url:
        return follow(make_source(base_url, **keys)), script.queries


def test_revision_a_follows_last_id() -> None:
    """Without next_page the pagination goes on after last_id, and sends limit=100 and no order."""
    result, queries = run_script(
        page("t1", "t2", has_more=True), page("t3", has_more=False)
    )  # fmt: skip
    assert queries == ["limit=100", "limit=100&after_id=t2"]
    assert (result.is_complete, result.end_reason, result.ids) == (
        True,
        "has_more_false",
        {"t1", "t2", "t3"},
    )


def test_revision_b_follows_next_page() -> None:
    """A next_page is sent as page, and nothing else as a cursor."""
    result, queries = run_script(
        page("t1", has_more=True, next_page="a b&c"), page("t2", has_more=False, next_page=None)
    )
    assert queries == ["limit=100", "limit=100&page=a+b%26c"]
    assert result.is_complete


def test_a_long_cursor_is_named_in_short() -> None:
    """A cursor of 50 kB that leads nowhere fills no log."""
    result, _ = run_script(page("t1", has_more=True, next_page="c" * 50_000))
    assert f"page='{'c' * 200}…'" in str(result.error)
    assert len(str(result.error)) < 500


@pytest.mark.parametrize(
    ("last", "end_reason"),
    [
        ({"has_more": False, "next_page": "more"}, "has_more_false"),
        ({"next_page": None}, "no_next_page"),
        ({}, "no_next_page"),
        ({"next_page": ""}, "no_next_page"),
    ],
)
def test_ends(last: dict[str, Any], end_reason: str) -> None:
    """has_more false ends a pagination even with a cursor; without either it has ended too."""
    result, queries = run_script(page("t1", **last))
    assert (len(queries), result.is_complete, result.end_reason) == (1, True, end_reason)
    assert result.error is None


def test_next_page_without_has_more_is_followed() -> None:
    """A next_page alone says that there is more."""
    result, queries = run_script(page("t1", next_page="p2"), page("t2"))
    assert (len(queries), result.ids, result.is_complete) == (2, {"t1", "t2"}, True)


def test_empty_middle_page_is_followed() -> None:
    """An empty page that is not the end is not taken for it."""
    result, queries = run_script(
        page("t1", has_more=True, next_page="p2"),
        page(has_more=True, next_page="p3"),
        page("t2", has_more=False),
    )
    assert (len(queries), result.ids, result.is_complete) == (3, {"t1", "t2"}, True)


@pytest.mark.parametrize(
    ("answers", "end_reason", "requests", "named"),
    [
        (
            [page("t1", has_more=True, next_page="p2"), page("t2", has_more=True, next_page="p2")],
            "cursor_loop",
            2,
            "page='p2'",
        ),
        (
            [
                page("t1", has_more=True, next_page="p2"),
                page("t2", has_more=True, next_page="p3"),
                page("t3", has_more=True, next_page="p2"),
            ],
            "cursor_loop",
            3,
            "page='p2'",
        ),
        ([page("t1", has_more=True, next_page=None)], "no_cursor", 1, "first page"),
        ([page(has_more=True)], "no_cursor", 1, "first page"),
        (
            [
                page("t1", has_more=True, next_page="p2"),
                page("t2", has_more=True, next_page="p3"),
                page("t1", has_more=True, next_page="p4"),
            ],
            "no_progress",
            3,
            "page='p3'",
        ),
        # A server that reads no cursor: neither of one revision nor of the other, in any order,
        # and when a thread was created meanwhile.
        ([page("t1", "t2", has_more=True)], "same_page", 2, "after_id='t2'"),
        (
            [page("t1", has_more=True, next_page="p2"), page("t1", has_more=True, next_page="p3")],
            "same_page",
            2,
            "page='p2'",
        ),
        ([page("a", "b", has_more=True), page("b", "a", has_more=True)], "same_page", 2, "'b'"),
        (
            [page("a", "b", has_more=True), page("c", "a", has_more=True)],
            "same_page",
            3,
            "after_id='a'",
        ),
    ],
)
def test_dead_ends(answers: list[Any], end_reason: str, requests: int, named: str) -> None:
    """Cursors that lead nowhere: incomplete at once, with an error that names the cursor."""
    result, queries = run_script(*answers)
    assert (result.end_reason, result.is_complete, len(queries)) == (end_reason, False, requests)
    assert named in str(result.error)


def test_page_cap() -> None:
    """A pagination longer than max_pages_per_session is incomplete."""
    pages = [page(f"t{i}", has_more=True, next_page=f"p{i}") for i in range(9)]
    result, queries = run_script(*pages, max_pages_per_session=3)
    assert (result.end_reason, len(queries), len(result.ids)) == ("page_cap", 3, 3)


def test_duplicates_are_counted() -> None:
    """A thread that several pages list, or one page twice, counts once, and as a duplicate."""
    result, _ = run_script(
        page("t1", "t2", "t2", has_more=True, next_page="p2"), page("t2", "t3", has_more=False)
    )
    assert (result.ids, result.duplicates, result.is_complete) == ({"t1", "t2", "t3"}, 2, True)


@pytest.mark.parametrize(
    ("wrong", "quoted"),
    [(None, "null"), (7, "7"), ({"name": "x"}, '{"name":"x"}'), ({"id": ""}, '{"id":""}')],
)
def test_what_is_no_thread(wrong: object, quoted: str) -> None:
    """What is no thread makes the poll incomplete, which goes on and quotes the spot."""
    first = {"data": [{"id": "t1"}, wrong], "has_more": True, "next_page": "p2"}
    result, queries = run_script(first, page("t2", has_more=False))
    assert (result.end_reason, len(queries), result.ids) == ("malformed_thread", 2, {"t1", "t2"})
    assert f"page 1: data[1] is {quoted}" in str(result.error)


def test_backward() -> None:
    """From a before_id the pagination goes backward to the first thread."""
    world = World([250])
    (session_id,) = world.sessions
    with serve(Sandbox(world, token=CANARY).app) as base_url:
        source = make_source(base_url, sessions=[session_id])
        listed = [thread["id"] for thread in world.list_threads(session_id)]
        result = follow(source, ("before_id", listed[-1]))
    assert result.is_complete
    assert result.ids == set(listed[:-1])
    assert [fetch.cursor and fetch.cursor[0] for fetch in result.fetches] == [
        "before_id" for _ in result.fetches
    ]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_order(order: str) -> None:
    """A pagination in either order lists every thread, in that order."""
    world = World([150])
    (session_id,) = world.sessions
    with serve(Sandbox(world, token=CANARY).app) as base_url:
        result = follow(make_source(base_url, sessions=[session_id]), order=order)
        listed = [thread["id"] for thread in world.list_threads(session_id)]
    came = [id_ for fetch in result.fetches for id_ in fetch.page.listing.ids]
    common = [thread_id for thread_id in came if thread_id in set(listed)]
    assert common == (listed if order == "asc" else listed[::-1])
    assert result.is_complete


def test_session_id_is_quoted() -> None:
    """A session id is one segment of the path, whatever it holds."""
    script = Script(page("t1", has_more=False))
    with serve(script.app) as base_url:
        follow(make_source(base_url, sessions=["a?b#c%d"]))
    assert script.requests[0].scope["raw_path"].endswith(b"/sessions/a%3Fb%23c%25d/threads")


def test_statuses_are_repeated() -> None:
    """Each status is a separate key."""
    script = Script(page("t1", has_more=False))
    with serve(script.app) as base_url:
        follow(make_source(base_url), statuses=("idle", "running"))
    assert script.queries == ["limit=100&statuses%5B%5D=idle&statuses%5B%5D=running"]


def test_interval_between_pages() -> None:
    """Two pages of one session lie at least min_page_interval_ms apart."""
    pages = [page(f"t{i}", has_more=i < 4, next_page=f"p{i}") for i in range(5)]
    script = Script(*pages)
    with serve(script.app) as base_url:
        result = follow(make_source(base_url, min_page_interval_ms=50))
    # The first answer is late by the time that connecting takes.
    came = [fetch.page.observed_at for fetch in result.fetches[1:]]
    assert (came[-1] - came[0]).total_seconds() >= 0.05 * 3 * 0.9


def test_limit_is_the_callers() -> None:
    """The limit that is asked for is sent."""
    script = Script(page("t1", has_more=False))

    async def ask(source: Source) -> None:
        async with open_client(source) as client:
            request = make_request(limit=7)
            await fetch_page(client, request, ("after_id", "t0"), RequestStats())

    with serve(script.app) as base_url:
        asyncio.run(ask(make_source(base_url)))
    assert script.queries == ["limit=7&after_id=t0"]

"""The sandbox over real HTTP: its paging, its rejections and the moving of its clock."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from pipelines.sandbox.server import BASE_PATH, TOKEN, Sandbox, load_description, serve
from pipelines.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.sandbox.world import Revision

NOW = datetime(2026, 6, 15, 8, tzinfo=UTC)
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
MANY = 45

both_revisions = pytest.mark.parametrize("revision", ["a", "b"])


class Server:
    """A world and a client of the sandbox that serves it; the second session has many threads."""

    def __init__(self, world: World, client: httpx.Client) -> None:
        self.world = world
        self.client = client
        self.empty, self.full = world.sessions
        self.ids = [thread["id"] for thread in world.list_threads(self.full)]

    def list(self, params: dict[str, Any] | None = None, session_id: str = "") -> httpx.Response:
        """Ask for a page of a session, the full one by default."""
        return self.client.get(f"/sessions/{session_id or self.full}/threads", params=params)

    def sandbox_url(self, path: str) -> str:
        """Return the address of something that is not below the base path."""
        return f"{self.client.base_url}".rstrip("/").removesuffix(BASE_PATH) + path


@contextmanager
def run(revision: Revision) -> Iterator[Server]:
    """Serve a world whose clock stands still until it is advanced."""
    world = World([0, MANY], revision=revision, clock=lambda: NOW)
    with (
        serve(Sandbox(world).app) as base_url,
        httpx.Client(base_url=base_url, headers=AUTHORIZATION, trust_env=False) as client,
    ):
        yield Server(world, client)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[Revision, Server]]:
    """Serve each revision; for tests that change nothing."""
    with run("a") as a, run("b") as b:
        yield {"a": a, "b": b}


@pytest.fixture(scope="module")
def a(servers: dict[Revision, Server]) -> Server:
    """Return the server of revision A."""
    return servers["a"]


@pytest.fixture(scope="module")
def b(servers: dict[Revision, Server]) -> Server:
    """Return the server of revision B."""
    return servers["b"]


def read_ids(page: dict[str, Any]) -> list[str]:
    """Return the ids of a page, whose ends must be the page's first_id and last_id."""
    ids = [thread["id"] for thread in page["data"]]
    assert [page["first_id"], page["last_id"]] == [ids[0], ids[-1]]
    return ids


def walk(server: Server, cursor: str, field: str, params: dict[str, Any]) -> list[list[str]]:
    """Return each page's ids, following a cursor taken from a field of the page before."""
    pages: list[list[str]] = []
    while len(pages) <= MANY:  # a server that never ends must not hang the suite
        page = server.list(params).raise_for_status().json()
        pages.append(read_ids(page))
        if not page["has_more"]:
            break
        params = params | {cursor: page[field]}
    return pages


def assert_rejected(
    answer: httpx.Response, status: int, kind: str, message: str, param: str | None = None
) -> None:
    """The answer is the documented envelope, with a param only where one is to blame."""
    body = answer.json()
    assert answer.status_code == status
    assert body.keys() == {"type", "request_id", "error"}
    assert body["type"] == "error"
    blamed = {"param": param} if param else {}
    assert body["error"] == {"type": kind, "message": message} | blamed


@pytest.mark.parametrize("limit", [1, 7, 100])
@pytest.mark.parametrize(
    ("revision", "cursor", "field"),
    [("a", "after_id", "last_id"), ("b", "page", "next_page"), ("b", "after_id", "last_id")],
)
def test_paging_forward_lists_every_thread_once(
    servers: dict[Revision, Server], revision: Revision, cursor: str, field: str, limit: int
) -> None:
    """Full pages in a row hold each thread exactly once, in the order of the revision."""
    server = servers[revision]
    pages = walk(server, cursor, field, {"limit": limit})
    assert [thread_id for page in pages for thread_id in page] == server.ids
    assert all(len(page) == limit for page in pages[:-1])


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_paging_backward_lists_every_earlier_thread_once(a: Server, limit: int) -> None:
    """before_id gives the page that ends just before the thread, and so back to the first."""
    pages = walk(a, "before_id", "first_id", {"limit": limit, "before_id": a.ids[-1]})
    assert [thread_id for page in reversed(pages) for thread_id in page] == a.ids[:-1]
    assert all(len(page) == limit for page in pages[:-1])


def test_descending_order_is_the_list_reversed(a: Server) -> None:
    """order=desc lists the youngest first, on every page; order=asc is the default."""
    pages = walk(a, "after_id", "last_id", {"limit": 7, "order": "desc"})
    assert [thread_id for page in pages for thread_id in page] == a.ids[::-1]
    assert a.list({"order": "asc"}).json() == a.list().json()


def test_repeated_statuses_are_alternatives(a: Server) -> None:
    """statuses[] given twice lists the threads that have either status, and pages through them."""
    wanted = ["idle", "archived"]
    expected = [thread["id"] for thread in a.world.list_threads(a.full, wanted)]
    pages = walk(a, "after_id", "last_id", {"limit": 2, "statuses[]": wanted})
    assert [thread_id for page in pages for thread_id in page] == expected
    found = a.list({"limit": 100, "statuses[]": wanted}).json()["data"]
    assert {thread["status"] for thread in found} == set(wanted)


@both_revisions
def test_a_page_has_twenty_threads_by_default(
    servers: dict[Revision, Server], revision: Revision
) -> None:
    """Without a limit a page is that of limit=20."""
    server = servers[revision]
    page = server.list().json()
    assert read_ids(page) == server.ids[:20]
    assert page == server.list({"limit": 20}).json()


@both_revisions
def test_a_page_is_the_envelope_of_its_revision(
    servers: dict[Revision, Server], revision: Revision
) -> None:
    """Revision B alone has next_page, null on the last page; the threads are the world's."""
    server = servers[revision]
    page = server.list({"limit": 100}).json()
    assert page == {
        "data": server.world.list_threads(server.full),
        "first_id": server.ids[0],
        "last_id": server.ids[-1],
        "has_more": False,
    } | ({"next_page": None} if revision == "b" else {})


def test_a_page_behind_the_last_thread_is_empty(a: Server) -> None:
    """The page after the last thread has no thread, no ends and nothing more."""
    page = a.list({"after_id": a.ids[-1]}).json()
    assert page == {"data": [], "first_id": None, "last_id": None, "has_more": False}


@both_revisions
def test_listing_an_empty_session_creates_its_coordinator(revision: Revision) -> None:
    """A session without a thread answers with the coordinator that this very request created."""
    with run(revision) as server:
        assert server.world.sessions[server.empty].threads == []
        page = server.list(session_id=server.empty).json()
        (coordinator,) = page["data"]
        assert coordinator["parent_thread_id"] is None
        assert server.list(session_id=server.empty).json() == page


@both_revisions
@pytest.mark.parametrize(
    "limit", ["0", "101", "abc", "", "-1", "2.5", "+5", "٣", "0000000010000", "9" * 5000]
)
def test_a_limit_out_of_range_is_rejected(
    servers: dict[Revision, Server], revision: Revision, limit: str
) -> None:
    """A limit is an integer from 1 to 100 in plain digits; anything else is a 400 that names it."""
    assert_rejected(
        servers[revision].list({"limit": limit}),
        400,
        "invalid_request_error",
        "limit must be an integer from 1 to 100.",
        "limit",
    )


@pytest.mark.parametrize("limit", ["1", "100", "007"])
def test_a_limit_in_range_is_taken(a: Server, limit: str) -> None:
    """Both ends of the range are in it, and leading zeros change nothing."""
    assert read_ids(a.list({"limit": limit}).json()) == a.ids[: int(limit)]


@both_revisions
@pytest.mark.parametrize(
    ("cursors", "blamed"),
    [
        (("after_id", "before_id"), "after_id"),
        (("page", "after_id"), "page"),
        (("page", "before_id"), "page"),
        (("page", "after_id", "before_id"), "page"),
    ],
)
def test_two_cursors_are_rejected(
    servers: dict[Revision, Server], revision: Revision, cursors: tuple[str, ...], blamed: str
) -> None:
    """Cursors exclude each other: two at once are a 400 with the documented message."""
    server = servers[revision]
    assert_rejected(
        server.list(dict.fromkeys(cursors, server.ids[0])),
        400,
        "invalid_request_error",
        "page, before_id and after_id are mutually exclusive",
        blamed,
    )


@pytest.mark.parametrize("cursor", ["after_id", "before_id"])
def test_a_cursor_of_another_list_is_rejected(a: Server, cursor: str) -> None:
    """A cursor that is no thread of the session is a 400 that names it, not a first page."""
    message = "The cursor is not one of this list."
    answer = a.list({cursor: "sthr_unknown"})
    assert_rejected(answer, 400, "invalid_request_error", message, cursor)


@pytest.mark.parametrize("page", ["sthr_x", "%%%", "é", "_w=="])
def test_a_page_that_the_server_never_gave_is_rejected(b: Server, page: str) -> None:
    """A page that is no cursor of this server is a 400 that names it."""
    message = "page is not a cursor of this server."
    assert_rejected(b.list({"page": page}), 400, "invalid_request_error", message, "page")


@pytest.mark.parametrize(
    ("revision", "params", "message", "param"),
    [
        ("a", {"order": "up"}, "order must be asc or desc.", "order"),
        ("a", {"statuses[]": ["idle", "lost"]}, "Unknown status 'lost'.", "statuses[]"),
        ("b", {"order": "asc"}, "Unknown parameter.", "order"),
    ],
)
def test_an_order_or_status_that_the_revision_lacks_is_rejected(
    servers: dict[Revision, Server],
    revision: Revision,
    params: dict[str, Any],
    message: str,
    param: str,
) -> None:
    """Values that are not documented are a 400, and revision B rejects order altogether."""
    answer = servers[revision].list(params)
    assert_rejected(answer, 400, "invalid_request_error", message, param)


@both_revisions
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer pt-wrong"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"x-api-key": TOKEN},
    ],
    ids=["none", "wrong", "bare", "basic", "x-api-key"],
)
def test_nothing_but_the_bearer_token_opens(
    servers: dict[Revision, Server], revision: Revision, headers: dict[str, str]
) -> None:
    """A missing or wrong token is a 401, and so is the right one in any other header."""
    server = servers[revision]
    address = f"{server.client.base_url}sessions/{server.full}/threads"
    answer = httpx.get(address, headers=headers, trust_env=False)
    assert_rejected(answer, 401, "authentication_error", "Invalid API key or token.")


@both_revisions
def test_an_unknown_session_is_not_found(
    servers: dict[Revision, Server], revision: Revision
) -> None:
    """A session that is not of this world is a 404 that names it, and is not created."""
    server = servers[revision]
    answer = server.list(session_id="sess_unknown")
    assert_rejected(answer, 404, "not_found_error", "Session 'sess_unknown' was not found.")
    assert "sess_unknown" not in server.world.sessions


def test_rejections_of_the_router_come_in_the_envelope_too(a: Server) -> None:
    """An unknown path and a wrong method answer in the same envelope, each with its own id."""
    unknown = a.client.get("/nowhere")
    assert_rejected(unknown, 404, "not_found_error", "Not Found")
    wrong = a.client.post(f"/sessions/{a.full}/threads")
    assert_rejected(wrong, 405, "invalid_request_error", "Method Not Allowed")
    assert "GET" in wrong.headers["allow"]
    assert unknown.json()["request_id"] != wrong.json()["request_id"]


@both_revisions
def test_the_description_is_published(servers: dict[Revision, Server], revision: Revision) -> None:
    """/openapi.json is open to all and describes the parameters of the revision that is served."""
    answer = httpx.get(servers[revision].sandbox_url("/openapi.json"), trust_env=False)
    document = answer.raise_for_status().json()
    listing = document["paths"][f"{BASE_PATH}/sessions/{{session_id}}/threads"]["get"]
    own = {"a": {"order", "statuses[]"}, "b": {"page"}}[revision]
    assert document == load_description(revision)
    assert document["openapi"] == "3.1.0"
    assert {parameter["name"] for parameter in listing["parameters"]} == own | {
        "session_id",
        "limit",
        "after_id",
        "before_id",
    }


@both_revisions
def test_advancing_moves_the_fleet(revision: Revision) -> None:
    """POST /sandbox/advance needs no token, answers the new present, and the next list shows it."""
    with run(revision) as server:
        before = server.list({"limit": 100}).json()
        answer = httpx.post(
            server.sandbox_url("/sandbox/advance"), json={"seconds": 900.5}, trust_env=False
        )
        assert answer.raise_for_status().json() == {
            "now": (NOW + timedelta(seconds=900.5)).isoformat()
        }
        after = server.list({"limit": 100}).json()
        assert after["data"] == server.world.list_threads(server.full)
        assert len(after["data"]) > len(before["data"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"seconds": null}',
        b'{"seconds": "5"}',
        b'{"seconds": true}',
        b'{"seconds": -1}',
        b'{"seconds": 1000001}',
        b'{"seconds": NaN}',
        b'{"seconds": 1e999}',
        b'{"seconds": "\xff"}',
        b'{"further": ' + b"[" * 100_000,
    ],
    ids=lambda body: body[:20].decode(errors="replace") or "empty",
)
def test_an_advance_that_makes_no_sense_is_rejected(a: Server, body: bytes) -> None:
    """A body other than 0 to 1000000 seconds is a 400 that names them, and the clock stays."""
    answer = a.client.post(a.sandbox_url("/sandbox/advance"), content=body)
    message = answer.json()["error"]["message"]
    assert message
    assert_rejected(answer, 400, "invalid_request_error", message, "seconds")
    assert a.world.now() == NOW


def test_latency_delays_each_answer() -> None:
    """A sandbox with a latency takes at least so long to answer."""
    world = World([1], clock=lambda: NOW)
    (session_id,) = world.sessions
    with serve(Sandbox(world, latency_s=0.2).app) as base_url:
        begin = time.monotonic()
        address = f"{base_url}/sessions/{session_id}/threads"
        httpx.get(address, headers=AUTHORIZATION, trust_env=False).raise_for_status()
        assert time.monotonic() - begin >= 0.2


def test_the_server_is_on_loopback_and_gone_afterwards() -> None:
    """The sandbox listens on loopback alone and stops listening when its block ends."""
    with serve(Sandbox(World([1])).app) as base_url:
        address = httpx.URL(base_url)
        assert address.host == "127.0.0.1"
        httpx.get(address.join("/openapi.json"), trust_env=False).raise_for_status()
    with pytest.raises(httpx.ConnectError):
        httpx.get(address.join("/openapi.json"), trust_env=False)

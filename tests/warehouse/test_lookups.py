"""Threads that a server lists no longer: looked up, and missing only if they are gone."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipelines.extract.discover import SourceSessions, name_sessions
from pipelines.extract.poll import poll_sessions
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.landing.writer import land_polls
from pipelines.records import Poll, Progress, Selection
from pipelines.sandbox.dialect import Dialect
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.world import World
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.history import read_history
from pipelines.warehouse.load import load_landed
from pipelines.warehouse.publication import publish
from tests.builders import build, read, replay_all, thread
from tests.support import CANARY, decode_json_columns, expect_row, make_source

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from pipelines.config.settings import Source

pytestmark = pytest.mark.slow  # together they take long

TABLES = ("threads", "thread_status_history", "session_polls", "spells_unseen")
NUMBERS = itertools.count()
# Instead of a status: 200, with another thread.
ANOTHER = -1


class Server:
    """A server that lists some of its threads, and gives all of them by their ids, or says why not.

    `answers` are the statuses of threads that are given otherwise; `asked` are those asked for.
    """

    def __init__(self, *ids: str) -> None:
        self.threads = {id_: thread(id_) for id_ in ids}
        self.hidden: set[str] = set()
        self.answers: dict[str, int] = {}
        self.has_lookups, self.latency_s = True, 0.0
        self.asked: list[str] = []
        path = "/{base:path}/sessions/{session}/threads"
        routes = [Route(path, self.list_all), Route(f"{path}/{{id}}", self.give)]
        self.app = Starlette(routes=routes)

    async def list_all(self, request: Request) -> Response:
        """List what is not hidden; of another session than the first, one thread."""
        if request.path_params["session"] != "sess_1":
            return JSONResponse({"data": [thread("other")]})
        listed = [each for id_, each in self.threads.items() if id_ not in self.hidden]
        return JSONResponse({"data": listed, "has_more": False})

    async def give(self, request: Request) -> Response:
        """Give one thread."""
        id_ = request.path_params["id"]
        self.asked.append(id_)
        await asyncio.sleep(self.latency_s)
        status = self.answers.get(id_, 200 if id_ in self.threads and self.has_lookups else 404)
        answers: dict[int, Response] = {
            200: JSONResponse(self.threads.get(id_)),
            ANOTHER: JSONResponse(thread("another")),
            429: Response(status_code=429, headers={"retry-after": "3600"}),
        }
        return answers.get(status, JSONResponse({"error": "no"}, status))


def run(home: Path, source: Source, deadline_s: float | None = None) -> list[Poll]:
    """Poll, load and publish once; return the polls."""
    planned = [SourceSessions(source, tuple(name_sessions(source).values()), deadline_s)]
    warehouse = DuckdbFile(home)
    known = read_history(warehouse).known
    polls = poll_sessions(planned, Selection(), Progress(), known=known, backoff_s=0.001)
    _, ended = asyncio.run(land_polls(polls, Directory(home / RAW), f"run-{next(NUMBERS)}"))
    with warehouse.write() as tables:
        load_landed(tables, Directory(home / RAW))
        publish(warehouse, tables, {})
    return ended


def run_one(home: Path, source: Source, **keys: Any) -> tuple[int, int, int, int]:
    """Poll once; return what the ledger says of the session."""
    (poll,) = (poll for poll in run(home, source, **keys) if poll.session_id == "sess_1")
    assert poll.outcome == "complete"
    columns = "threads_unlisted, lookups, threads_unconfirmed, threads_missing"
    query = f"SELECT {columns} FROM session_polls WHERE session_id = 'sess_1'"
    row = read(home, f"{query} ORDER BY sequence DESC LIMIT 1")[0]
    return tuple(row.values())


def find_missing(home: Path) -> set[str]:
    """Return the threads that are missing."""
    return {row["thread_id"] for row in read(home, "FROM threads WHERE missing_since IS NOT NULL")}


def assert_replayed(home: Path) -> None:
    """Check that the landed pages alone give the same tables."""
    before = {name: read(home, f"FROM {name} ORDER BY ALL") for name in TABLES}
    replay_all(home)
    assert {name: read(home, f"FROM {name} ORDER BY ALL") for name in TABLES} == before


def test_what_a_server_leaves_out(home: Path) -> None:
    """Archived threads that a list leaves out are closed, old ones beyond it go on as they are."""
    world = World([40], seed=3)
    (session_id,) = world.sessions
    dialect = Dialect(hides_archived=True, newest_only=30)
    with serve(Sandbox(world, token=CANARY, dialect=dialect).app) as base_url:
        source = make_source(base_url, sessions=[session_id])
        run(home, source)
        known = {row["thread_id"] for row in read(home, "FROM threads")}
        world.advance(900)
        (poll,) = run(home, source)
        assert (poll.lookups, poll.threads_unconfirmed) == (poll.threads_unlisted, 0) > (4, 0)
        given = {each["id"]: each for each in world.list_threads(session_id)}
        hidden = [id_ for id_ in known if given[id_]["archived_at"]]
        assert hidden
        rows = {row["thread_id"]: decode_json_columns(row) for row in read(home, "FROM threads")}
        for id_, row in rows.items():
            expected = expect_row(given[id_])
            assert {name: row[name] for name in expected} == expected
        # Of the closed ones there is nothing more to learn.
        (again,) = run(home, source)
        assert again.lookups <= poll.lookups - len(hidden)


def test_deleted_threads(home: Path) -> None:
    """What is not found by its id is missing, once, and back when it is listed again.

    Where nothing is unlisted, nothing is looked up.
    """
    server = Server("a", "b", "c", "d")
    with serve(server.app) as base_url:
        source = make_source(base_url)
        assert run_one(home, source) == (0, 0, 0, 0)
        gone = {id_: server.threads.pop(id_) for id_ in "bc"}
        assert run_one(home, source) == (2, 2, 0, 2)
        assert find_missing(home) == {"b", "c"}
        # And one that is listed, to prove that threads can be asked for.
        assert set(server.asked) > {"b", "c"}
        assert len(server.asked) == 3
        assert run_one(home, source) == (0, 0, 0, 0)
        server.threads |= gone
        assert run_one(home, source) == (0, 0, 0, 0)
        assert (find_missing(home), len(server.asked)) == (set(), 3)
    assert_replayed(home)


@pytest.mark.parametrize("status", [404, pytest.param(405, marks=pytest.mark.slow)])
def test_server_without_the_endpoint(home: Path, status: int) -> None:
    """One that knows by its id not even what it lists is believed as it lists."""
    server = Server("a", "b", "c", "d")
    with serve(server.app) as base_url:
        source = make_source(base_url, max_attempts=1)
        run(home, source)
        server.answers = dict.fromkeys("abcd", status)
        del server.threads["b"], server.threads["c"]
        assert run_one(home, source) == (2, 0, 0, 2)
        assert (find_missing(home), len(server.asked)) == ({"b", "c"}, 3)


def test_doubt(home: Path) -> None:
    """An answer that is neither the thread nor that there is none leaves it as it is.

    The others of its session are looked up, unless theirs would fail alike; and the next poll
    decides, even if it lists the same.
    """
    server = Server("a", "b", "c", "d", "e")
    with serve(server.app) as base_url:
        source = make_source(base_url, max_attempts=2)
        run(home, source)
        server.hidden = set("bcde")
        server.answers = {"b": 400, "c": 403, "d": 405, "e": 200}
        assert run_one(home, source) == (4, 1, 3, 0)
        for lasting in (500, ANOTHER):
            server.answers, server.asked = {"b": lasting}, []
            assert run_one(home, source) == (4, 0, 4, 0)
            assert server.asked == ["b", "b"]
        assert count_unconfirmed(home) == [(4, "sess_1")]
        server.answers = {"b": 404}
        assert run_one(home, source) == (4, 4, 0, 1)
        assert (find_missing(home), count_unconfirmed(home)) == ({"b"}, [(0, None)])


def count_unconfirmed(home: Path) -> list[tuple[int, str | None]]:
    """Return what data_quality says of threads in doubt."""
    rows = build(home, "data_quality")
    return [(row["rows"], row["example"]) for row in rows if row["check"] == "unconfirmed"]


def test_nothing_listed_proves_nothing(home: Path) -> None:
    """Where no thread is listed by which the endpoint could be proven, nothing is missing."""
    server = Server("a", "b")
    with serve(server.app) as base_url:
        run(home, make_source(base_url))
        server.threads = {}
        assert run_one(home, make_source(base_url)) == (2, 0, 2, 0)
        both = make_source(base_url, sessions=["sess_2", "sess_1"], max_concurrency=1)
        server.answers["other"] = 200
        server.threads["other"] = thread("other")
        server.hidden = {"other"}
        assert run_one(home, both) == (2, 2, 0, 2)


def test_limit(home: Path) -> None:
    """No more than lookup_limit are looked up in a run, in turn; none beyond it is missing."""
    server = Server("a", *"bcde")
    with serve(server.app) as base_url:
        source = make_source(base_url, lookup_limit=2)
        run(home, source)
        server.hidden = set("bcde")
        assert [run_one(home, source) for _ in range(2)] == [(4, 2, 2, 0)] * 2
        assert sorted(server.asked) == [*"bcde"]
        del server.threads["b"]
        missing = [run_one(home, source)[-1] for _ in range(2)]
        assert (sorted(missing), find_missing(home)) == ([0, 1], {"b"})
        asked = len(server.asked)
        off = make_source(base_url, lookup_limit=0)
        assert run_one(home, off) == (3, 0, 0, 3)
        assert len(server.asked) == asked


@pytest.mark.slow
def test_what_ends_a_source_ends_its_lookups(home: Path) -> None:
    """A rejected token, a long pause and the deadline hold for look-ups; the rest is in doubt."""
    server = Server("a", *"bcdef")
    with serve(server.app) as base_url:
        source = make_source(base_url, max_attempts=2)
        run(home, source)
        server.hidden = set("bcdef")
        for status in (401, 429):
            server.answers, server.asked = dict.fromkeys("bcdef", status), []
            assert run_one(home, source) == (5, 0, 5, 0)
            assert len(server.asked) == 1
        server.answers, server.latency_s = {}, 0.15
        unlisted, lookups, unconfirmed, _ = run_one(home, source, deadline_s=0.4)
        assert (unlisted, lookups + unconfirmed) == (5, 5)
        assert unconfirmed > 0
    assert find_missing(home) == set()


def test_state_of_what_is_looked_up(home: Path) -> None:
    """It is seen by the poll that looked it up, and by no later one that did not."""
    server = Server("a", "b")
    spells = "SELECT status, observed_until FROM thread_spells WHERE thread_id = 'b' ORDER BY spell"
    with serve(server.app) as base_url:
        source = make_source(base_url)
        run(home, source)
        server.hidden = {"b"}
        server.threads["b"] = thread("b", "idle", updated=1)
        run(home, source)
        server.threads["b"] = thread("b", "terminated", updated=2)
        run(home, source)
        run(home, source)
        begun = [row["started_at"] for row in read(home, "FROM session_polls ORDER BY sequence")]
        rows = read(home, spells)
        assert [row["status"] for row in rows] == ["running", "idle", "terminated"]
        assert rows[2]["observed_until"] < begun[3]
        assert rows[1]["observed_until"] >= begun[1]
        assert server.asked == ["b", "b"]
        server.hidden = set()
        run(home, source)
        assert read(home, "FROM spells_unseen") == []
        assert (
            read(home, spells)[2]["observed_until"]
            == read(home, "SELECT max(started_at) AS newest FROM session_polls")[0]["newest"]
        )
    assert_replayed(home)

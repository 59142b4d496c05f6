"""Sessions are found by asking for them, and the registry says what became of each."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from pipelines import clock
from pipelines.config.discovery import Discover
from pipelines.config.settings import Settings
from pipelines.extract.discover import Discovery, discover_sessions, follow
from pipelines.extract.filters import matches, query_filters
from pipelines.extract.history import History, Registered
from pipelines.extract.plan import plan_polls
from pipelines.extract.poll import poll_sessions
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.landing.writer import land_polls
from pipelines.providers.session import Session
from pipelines.providers.thread import Agent
from pipelines.records import Decided, Poll, Progress, Selection
from pipelines.sandbox.faults import Faulty
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.sessions import PROMPT, VARIABLE, render_session
from pipelines.sandbox.world import World
from tests.builders import load_all, replay_all
from tests.conftest import find_texts
from tests.support import CANARY, Script, invoke, make_source, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from pipelines.config.settings import Source

NOW = datetime(2026, 10, 1, tzinfo=UTC)
REGISTRY = "SELECT source, session_id, label, origin, state FROM sessions"


def run(home: Path, source: Source, number: int, selection: Selection | None = None) -> Discovery:
    """Discover, poll, land and load once; return what was found."""
    selection = selection or Selection()
    history = History()
    if (home / "warehouse.duckdb").exists():
        with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
            rows = connection.execute(REGISTRY).fetchall()
        history = History(registry={(name, id_): Registered(*row) for name, id_, *row in rows})
    settings = Settings(sources=(source,))
    found = asyncio.run(discover_sessions(settings, history, selection, backoff_s=0.001))
    polls = poll_sessions(
        plan_polls(found.sources, selection, history), selection, Progress(), backoff_s=0.001
    )
    landed = land_polls(
        follow(found.fetched, polls),
        Directory(home / RAW),
        f"run-{number}",
        decided=Decided(found.decisions),
    )
    asyncio.run(landed)
    load_all(home)
    return found


def states(home: Path) -> dict[str, tuple[str, str]]:
    """Return session -> its origin and state."""
    rows = read_table(home / "warehouse.duckdb", "FROM sessions")
    return {row["session_id"]: (row["origin"], row["state"]) for row in rows}


def find(base_url: str, **keys: Any) -> Source:
    """Return a source that discovers."""
    return make_source(base_url, **{"sessions": [], "discover": True, **keys})


@pytest.mark.slow
def test_registry_follows_the_server(home: Path) -> None:
    """Sessions that appear, are archived or deleted between polls are so in the registry.

    One that left the list is asked for once more, and its threads are listed one last time; a
    listing that breaks off concludes nothing. Replay gives the same.
    """
    world = World([2] * 40, seed=3, clock=lambda: NOW)
    app = Faulty(Sandbox(world, token=CANARY).app, {})
    expected: dict[str, tuple[str, str]] = {}
    with serve(app) as base_url:
        source = find(base_url, page_limit=15, max_attempts=1)
        for number in range(3):
            world.advance(600)
            listed = [id_ for id_, plan in world.sessions.items() if plan.archived is None]
            archived, deleted = listed[:3], listed[3:5]
            if number:
                for id_ in archived:
                    world.sessions[id_].archived = world.elapsed()
                for id_ in deleted:
                    del world.sessions[id_]
                for _ in range(4):
                    world.add_session(1)
                expected |= dict.fromkeys(archived, ("discovered", "out_of_scope"))
                expected |= dict.fromkeys(deleted, ("discovered", "gone"))
            expected |= {
                id_: ("discovered", "polled")
                for id_, plan in world.sessions.items()
                if plan.archived is None
            }
            run(home, source, number)
            assert states(home) == expected
    before = read_table(home / "warehouse.duckdb", "FROM sessions ORDER BY session_id")
    rows = {row["session_id"]: row for row in before}
    for id_, plan in world.sessions.items():
        truth, row = render_session(world, plan), rows[id_]
        assert (row["title"], row["status"]) == (truth["title"], truth["status"])
        assert (row["archived_at"] is None) == (truth["archived_at"] is None)
        assert row["missing_since"] is None or plan.archived is not None
        assert row["agent_name"] == truth["agent"]["name"]
        assert row["cost_currency"] == "USD"
    polled = read_table(home / "warehouse.duckdb", "FROM source_polls ORDER BY sequence")
    replay_all(home)
    assert read_table(home / "warehouse.duckdb", "FROM sessions ORDER BY session_id") == before
    assert read_table(home / "warehouse.duckdb", "FROM source_polls ORDER BY sequence") == polled
    assert [row["sessions_listed"] for row in polled] == [40, 39, 38]
    files = [path for path in home.rglob("*") if path.is_file()]
    assert find_texts(files, PROMPT, VARIABLE) == []


def test_broken_listing_concludes_nothing(home: Path) -> None:
    """After a listing that broke off in the middle, known sessions are polled and stay in scope."""
    world = World([1] * 50, seed=4, clock=lambda: NOW)
    with serve(Sandbox(world, token=CANARY).app) as base_url:
        run(home, find(base_url, page_limit=20), 1)
        known = set(world.sessions)
        world.add_session(1)
        capped = find(base_url, page_limit=20, max_pages_per_session=2, max_attempts=1)
        found = run(home, capped, 2)
    (listed,) = [item for item in found.fetched if isinstance(item, Poll)]
    assert (listed.outcome, listed.end_reason) == ("incomplete", "page_cap")
    assert known <= {session.id for session in found.sources[0].sessions}
    assert set(states(home).values()) == {("discovered", "polled")}


@pytest.mark.parametrize(("status", "headers"), [(401, {}), (429, {"retry-after": "3600"})])
def test_answer_that_ends_the_source(home: Path, status: int, headers: dict[str, str]) -> None:
    """What holds for every session of a source is asked once: no session is, after the list."""
    script = Script((status, headers, ""))
    with serve(script.app) as base_url:
        run(home, find(base_url, sessions=["a", "b", "c"], max_concurrency=2), 1)
    assert len(script.requests) == 1
    rows = read_table(home / "warehouse.duckdb", "SELECT outcome, requests FROM session_polls")
    assert rows == [{"outcome": "failed", "requests": 0}] * 3


def test_dead_server_is_asked_for_its_list_alone(home: Path) -> None:
    """Where the list finds no server, none of the known sessions does, without trying."""
    with serve(Script({"data": [], "has_more": False}).app) as base_url:
        pass
    run(home, find(base_url, sessions=["a", "b"], max_attempts=2), 1)
    (listed,) = read_table(home / "warehouse.duckdb", "SELECT outcome, requests FROM source_polls")
    assert listed == {"outcome": "failed", "requests": 2}
    query = "SELECT outcome, requests, error_type FROM session_polls"
    failed = {"outcome": "failed", "requests": 0, "error_type": "connection_error"}
    assert read_table(home / "warehouse.duckdb", query) == [failed] * 2
    assert set(states(home).values()) == {("configured", "polled")}


def test_odd_answers_about_one_session(home: Path) -> None:
    """A session that left the list and is then answered with another, or with two, harms none."""
    answers = {"a": '{"id": "z"}', "b": '{"id": "b"},{"id": "z"}', "c": '{"id": "c"}],"x":[{}'}
    listed = [*answers, "d"]

    async def answer(request: Request) -> Response:
        *_, name, last = request.url.path.split("/")
        items = {"sessions": listed, "threads": [f"t-{name}"]}.get(last)
        page = json.dumps({"data": [{"id": id_} for id_ in items or ()], "has_more": False})
        return Response(page if items else answers[last])

    with serve(Starlette(routes=[Route("/{path:path}", answer)])) as base_url:
        source = find(base_url, max_attempts=1)
        run(home, source, 1)
        listed[:3] = []
        run(home, source, 2)
    expected = dict.fromkeys(answers, ("discovered", "out_of_scope"))
    assert states(home) == expected | {"d": ("discovered", "polled")}
    polls = read_table(home / "warehouse.duckdb", "FROM session_polls WHERE outcome = 'complete'")
    assert len(polls) == 8


def test_a_session_without_a_title(home: Path) -> None:
    """An empty title is none: the session is called by its id. So is any other text of it."""
    empty = dict.fromkeys(("title", "agent_id", "environment_id", "deployment_id"), "")
    session = empty | {"id": "a", "agent": {"id": "", "name": ""}}
    listing = Script({"data": [session], "has_more": False})
    threads = Script({"data": [{"id": "t"}], "has_more": False})

    async def answer(request: Request) -> Response:
        script = listing if request.url.path.endswith("/sessions") else threads
        return await script.answer(request)

    with serve(Starlette(routes=[Route("/{path:path}", answer)])) as base_url:
        run(home, find(base_url), 1)
    (row,) = read_table(home / "warehouse.duckdb", "FROM sessions")
    assert {row[name] for name in (*empty, "agent_name", "extra")} == {None}


def test_sessions_of_megabytes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too long of a session is cut in the table; a list beyond its bound ends there."""
    monkeypatch.setattr("pipelines.extract.listing.MOST_BYTES", 500_000)
    page = {"data": [{"id": "a", "title": "t" * 2_000, "new": "n" * 100_000}], "has_more": True}
    pages = [page | {"next_page": str(number)} for number in range(9)]
    for number, each in enumerate(pages[1:]):
        each["data"] = [{"id": f"s{number}", "new": "n" * 100_000}]
    listing, threads = Script(*pages), Script({"data": [], "has_more": False})

    async def answer(request: Request) -> Response:
        script = listing if request.url.path.endswith("/sessions") else threads
        return await script.answer(request)

    with serve(Starlette(routes=[Route("/{path:path}", answer)])) as base_url:
        found = run(home, find(base_url, min_page_interval_ms=0), 1)
    (listed,) = [item for item in found.fetched if isinstance(item, Poll)]
    assert (listed.outcome, listed.error_type) == ("incomplete", "body_too_large")
    assert len(listing.requests) == 5
    first, *_ = read_table(home / "warehouse.duckdb", "FROM sessions ORDER BY session_id")
    assert len(first["title"]) == 1_000
    assert json.loads(first["extra"]) == {"(cut)": {"title": 2_000, "extra": 100_010}}


def test_too_many_sessions(home: Path) -> None:
    """More sessions than max_sessions are an error that says so; only known ones are polled."""
    world = World([1] * 3, seed=5, clock=lambda: NOW)
    with serve(Sandbox(world, token=CANARY).app) as base_url:
        run(home, find(base_url), 1)
        known = set(world.sessions)
        world.add_session(1)
        found = run(home, find(base_url, discover={"max_sessions": 3}), 2)
    assert {session.id for session in found.sources[0].sessions} == known
    assert states(home).keys() == known
    (row,) = read_table(home / "warehouse.duckdb", "FROM source_polls WHERE sequence = 2")
    assert (row["outcome"], row["error_type"]) == ("incomplete", "too_many_sessions")
    assert "more than 3 sessions pass its filters (max_sessions)" in row["error_message"]


def test_named_found_and_excluded(home: Path, tmp_path: Path) -> None:
    """What is named is polled beside what is found; the excluded never is, also from now on."""
    world = World([1] * 4, seed=6, clock=lambda: NOW)
    first, second, third, fourth = world.sessions
    world.sessions[second].archived = 0.0
    with serve(Sandbox(world, token=CANARY).app) as base_url:
        named = {"sessions": [{"id": second, "label": "mine"}]}
        run(home, find(base_url, **named, exclude=[third]), 1)
        assert states(home) == {
            first: ("discovered", "polled"),
            second: ("configured", "polled"),
            fourth: ("discovered", "polled"),
        }
        run(home, find(base_url, exclude=[third, fourth]), 2)
    assert states(home) == {
        first: ("discovered", "polled"),
        second: ("configured", "out_of_scope"),
        fourth: ("discovered", "excluded"),
    }
    del tmp_path


def test_selected_sessions_ask_for_no_list(home: Path) -> None:
    """A run of certain sessions takes found ones from the registry, and moves no other."""
    world = World([1] * 3, seed=7, clock=lambda: NOW)
    chosen = next(iter(world.sessions))
    with serve(Sandbox(world, token=CANARY).app) as base_url:
        run(home, find(base_url), 1)
        found = run(home, find(base_url), 2, Selection(sessions=(chosen,)))
    assert found.fetched == []
    assert len(states(home)) == 3
    (row,) = read_table(home / "warehouse.duckdb", "FROM source_polls WHERE sequence = 2")
    assert (row["sessions_polled"], row["outcome"]) == (1, None)


def session(**fields: Any) -> Session:
    """Return a session that passes every filter below, but for the fields given."""
    kept: dict[str, Any] = {
        "id": "s",
        "title": "nightly run",
        "status": "idle",
        "agent": Agent(id="agent_1"),
        "metadata": {"team": "search", "other": "x"},
        "created_at": "2026-09-20T00:00:00Z",
    }
    return Session(**(kept | fields))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"title": "Nightly run"}, False),
        ({"title": None}, False),
        ({"status": "running"}, False),
        ({"agent": None}, False),
        ({"agent": None, "agent_id": "agent_2"}, True),
        ({"metadata": {"team": "billing"}}, False),
        ({"metadata": None}, False),
        ({"created_at": "2026-08-30T23:59:59Z"}, False),
        ({"created_at": None}, True),
        ({"archived_at": "2026-09-21T00:00:00Z"}, False),
    ],
)
def test_filters_are_checked_here(fields: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    """A server may ignore what it is asked for: each filter holds for what comes."""
    wanted = Discover(
        created_within_days=30,
        created_after=datetime(2026, 8, 31, tzinfo=UTC),
        statuses=("idle",),
        agent_ids=("agent_1", "agent_2"),
        title_matches="nightly*",
        metadata={"team": "search"},
    )
    assert matches(wanted, NOW)(session(**fields)) is expected


def test_filters_are_asked_for() -> None:
    """The server is asked for what it can filter: less comes, and less is read."""
    wanted = Discover(
        created_within_days=30,
        created_after=datetime(2026, 9, 15, tzinfo=UTC),
        agent_ids=("a",),
        include_archived=True,
    )
    assert query_filters(wanted, NOW) == [
        ("include_archived", "true"),
        ("agent_id", "a"),
        ("created_at[gte]", "2026-09-15T00:00:00Z"),
    ]
    assert query_filters(Discover(agent_ids=("a", "b")), NOW) == []
    since = NOW - timedelta(days=2)
    assert query_filters(Discover(created_within_days=2), NOW) == [
        ("created_at[gte]", since.strftime("%Y-%m-%dT%H:%M:%SZ"))
    ]


def test_sessions_command(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From a token to tables without naming a session; `sessions` shows what was found."""
    world = World([2, 1], seed=8, clock=lambda: NOW)
    with serve(Sandbox(world, token=CANARY).app) as base_url:
        text = f"sources: [{{base_url: {base_url!r}, discover: true, min_page_interval_ms: 0}}]"
        (tmp_path / "sessions.yaml").write_text(text, encoding="utf-8")
        monkeypatch.setenv("QODER_PAT", CANARY)
        checked = invoke("check")
        assert "source qoder: discover finds 2 sessions. Listing one" in checked.stdout
        assert f"qoder at {base_url}, Authorization: Bearer …\n" in checked.stdout
        assert invoke("run").returncode == 0
    assert home.exists()
    shown = json.loads(invoke("sessions", "--format", "json").stdout)
    assert [(row["session_id"], row["origin"], row["state"], row["threads"]) for row in shown] == [
        (id_, "discovered", "polled", len(world.list_threads(id_)))
        for id_ in sorted(world.sessions, key=lambda id_: -world.sessions[id_].created)
    ]
    health = json.loads(invoke("status", "--json").stdout)
    assert {line["session_id"]: line["state"] for line in health["sessions"]} == dict.fromkeys(
        world.sessions, "ok"
    )


def test_age_is_counted_by_the_servers_clock(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock of ours that is years ahead makes no session too old to be found."""
    world = World([1, 1], seed=9)
    with serve(Sandbox(world, token=CANARY).app) as base_url:
        wrong = clock.now() + timedelta(days=1000)
        monkeypatch.setattr(clock, "now", lambda: wrong)
        run(home, find(base_url, discover={"created_within_days": 2}), 1)
    assert states(home).keys() == world.sessions.keys()

"""Each fault of the sandbox, met by a real poll: its end, its cost, its message, and its rows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.extract.discover import SourceSessions, name_sessions
from pipelines.extract.poll import poll_sessions
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.landing.writer import land_polls
from pipelines.records import Poll, Progress, Selection
from pipelines.sandbox.faults import FAULTS, Faulty
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.world import World
from tests.builders import load_all
from tests.support import CANARY, ROOT, make_source, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

THREADS = 250
PAGES = 3


def poll_once(home: Path, plan: Mapping[int, str], **keys: Any) -> tuple[Poll, Faulty, int]:
    """Poll a session of 250 threads under a plan of faults; return poll, server, rows loaded."""
    world = World([400], turn_s=1)
    world.advance(1000)
    (session_id,) = world.sessions
    assert len(world.list_threads(session_id)) >= THREADS
    plans = world.sessions[session_id].threads[:THREADS]
    world.sessions[session_id].threads[:] = plans
    faulty = Faulty(Sandbox(world, token=CANARY).app, plan)

    async def run(base_url: str) -> list[Poll]:
        source = make_source(base_url, sessions=[session_id], **keys)
        polls = poll_sessions(
            [SourceSessions(source, tuple(name_sessions(source).values()))],
            Selection(),
            Progress(),
            backoff_s=0.01,
        )
        _, ended = await land_polls(polls, Directory(home / RAW), "run-1")
        return ended

    with serve(faulty) as base_url:
        (poll,) = asyncio.run(run(base_url))
    load_all(home)
    (row,) = read_table(home / "warehouse.duckdb", "SELECT count(*) AS n FROM threads")
    return poll, faulty, row["n"]


PASSING = {
    "408": "408: request timed out",
    "429": "429: slow down",
    "429-seconds": "429: slow down",
    "429-date": "429: slow down",
    "429-zero": "429: slow down",
    "429-negative": "429: slow down",
    "429-garbage": "429: slow down",
    "429-ms": "429: slow down",
    "429-reset": "429: slow down",
    "500": "500: internal error",
    "502": "502: Bad Gateway",
    "503": "503: Service Unavailable",
    "529": "529: overloaded",
    "reset": "gave no answer",
    "reset-inside": "gave no answer",
    "torn": "something else than was asked for",
    "html": "something else than was asked for",
    "shape": "missing required field `data`",
    "slow": "no whole answer within 1 s",
    "drip": "no whole answer within 1 s",
}
REFUSING = {
    "400": ("failed", "invalid_request_error", "400: no such thing"),
    "401": ("failed", "authentication_error", "401: Invalid API key or token."),
    "403": ("forbidden", "permission_error", "403: No access to this session."),
    "404": ("gone", "not_found_error", "404: Session was not found."),
    "redirect": ("failed", "redirect", "redirect to https://elsewhere.example/threads"),
    "huge": ("failed", "body_too_large", "sent more than 33554432 bytes"),
    "echo-error": ("failed", "invalid_request_error", "400: bad header: Bearer [token]"),
}
HARMLESS = {"empty": (PAGES + 1, 0), "duplicates": (PAGES, 3), "echo-body": (PAGES, 0)}
MISLEADING = {
    # kind: requests, end_reason, what the message names, rows
    "stall": (2, "same_page", "page='fault-stall.'", 100),
    "circle": (3, "cursor_loop", "page='fault-b.after_id=sthr_", 200),
    "no-cursor": (1, "no_cursor", "first page", 100),
}


def test_every_fault_is_tested() -> None:
    """No kind of fault is without a test, and each stands in the documentation."""
    assert {*PASSING, *REFUSING, *HARMLESS, *MISLEADING} == set(FAULTS)
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    for kind in FAULTS:
        assert f"| `{kind}` |" in text


def limit_time(kind: str) -> dict[str, int]:
    """Return a short time-out where the fault is one: on a busy machine a page may take as long."""
    return {"request_timeout_s": 1} if PASSING[kind].endswith("within 1 s") else {}


@pytest.mark.parametrize("kind", PASSING)
def test_passing_faults(home: Path, kind: str) -> None:
    """What may pass is tried again: the poll is complete, one request more, every row there."""
    poll, faulty, rows = poll_once(home, {2: kind}, **limit_time(kind))
    assert (poll.outcome, poll.end_reason, poll.error_message) == (
        "complete",
        "has_more_false",
        None,
    )
    assert (poll.requests, poll.retries, faulty.requests) == (PAGES + 1, 1, PAGES + 1)
    assert (poll.pages, poll.threads_listed, rows) == (PAGES, THREADS, THREADS)
    waits = {"429-seconds": 1, "429-reset": 1, "429-ms": 0.2, "429-date": 0.001}
    assert poll.wait_seconds >= waits.get(kind, 0)


@pytest.mark.parametrize("kind", [kind for kind in PASSING if kind != "429-seconds"])
def test_lasting_faults(home: Path, kind: str) -> None:
    """What does not pass ends the poll after max_attempts; the pages before it are loaded."""
    plan = dict.fromkeys(range(2, 20), kind)
    keys = {"max_attempts": 3, "retry_budget_s": 5}
    poll, faulty, rows = poll_once(home, plan, **keys, **limit_time(kind))
    assert (poll.outcome, poll.end_reason, poll.pages) == ("incomplete", "error", 1)
    assert 2 <= poll.retries + 1 <= 3
    assert poll.requests == faulty.requests == poll.retries + 2
    assert PASSING[kind] in (poll.error_message or "")
    assert poll.error_message is not None
    assert poll.error_message.startswith("source qoder: 127.0.0.1:")
    assert (poll.threads_listed, rows) == (100, 100)


@pytest.mark.parametrize("kind", REFUSING)
def test_refusing_faults(home: Path, kind: str) -> None:
    """What a retry cannot fix ends the poll at once, with the server's message."""
    outcome, error_type, message = REFUSING[kind]
    poll, faulty, rows = poll_once(home, {1: kind})
    assert (poll.outcome, poll.end_reason, poll.error_type) == (outcome, "error", error_type)
    assert (poll.requests, poll.retries, faulty.requests, rows) == (1, 0, 1, 0)
    assert message in (poll.error_message or "")
    assert CANARY not in f"{poll}"


@pytest.mark.parametrize("kind", REFUSING)
def test_refusing_in_the_middle(home: Path, kind: str) -> None:
    """Rejected in the middle, the poll keeps the pages before it, and claims no completeness."""
    poll, _, rows = poll_once(home, {2: kind})
    outcome = REFUSING[kind][0]
    assert poll.outcome == ("incomplete" if outcome == "failed" else outcome)
    assert (poll.pages, poll.threads_listed, rows) == (1, 100, 100)


@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless_faults(home: Path, kind: str) -> None:
    """What is odd but legal loses nothing and doubles nothing."""
    requests, duplicates = HARMLESS[kind]
    poll, _, rows = poll_once(home, {2: kind})
    assert (poll.outcome, poll.requests, poll.duplicates) == ("complete", requests, duplicates)
    assert (poll.threads_listed, rows) == (THREADS, THREADS)
    named = read_table(home / "warehouse.duckdb", "FROM threads WHERE name LIKE '%[token]'")
    assert len(named) == (kind == "echo-body")


@pytest.mark.parametrize("kind", MISLEADING)
def test_misleading_faults(home: Path, kind: str) -> None:
    """Cursors that lead nowhere end the poll as incomplete, and the message names the cursor."""
    requests, end_reason, named, listed = MISLEADING[kind]
    poll, faulty, rows = poll_once(home, dict.fromkeys(range(1, 9), kind))
    assert (poll.outcome, poll.end_reason, poll.error_type) == (
        "incomplete",
        end_reason,
        end_reason,
    )
    assert (poll.requests, faulty.requests) == (requests, requests)
    assert named in (poll.error_message or "")
    assert rows == poll.threads_listed == listed

"""The server that everyone is measured against: the sandbox's world, its pages encoded once.

    python -m benchmarks.server THREADS SESSIONS

Prints its base URL and serves until its standard input ends. Below the base URL lies one API for
each state of the fleet, so that a contestant polls another state by another base URL:

    /first      as it was
    /changed    as it is when one thread in a hundred has changed
    /grown      as it is then a quarter of an hour later: only durations of open threads have grown
    /facts      what a right copy of each state holds, as JSON
    /times      how long pages were asked for since the last such question, and how long ago that
                ended, as JSON

An answer costs a look-up and LATENCY_S: what is measured is who asks.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from pipelines.sandbox.dialect import encode_cursor
from pipelines.sandbox.server import serve
from pipelines.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

LATENCY_S = 0.020
PAGE = 100
CHANGED_SHARE = 100  # one in so many
LATER_S = 3600.0
SPARE = 1.4  # plans drawn for each thread listed, for some are born later

GROWTH_S = 900.0

FIRST, CHANGED, GROWN = "first", "changed", "grown"
Bodies = dict[str, list[bytes]]


class State(msgspec.Struct, frozen=True):
    """What a right copy of the fleet holds; `pages` and `bytes` are what listing it takes."""

    threads: int
    pages: int
    bytes: int
    statuses: dict[str, int]


class Times(msgspec.Struct, frozen=True):
    """Seconds from the first request to the last page, and from that until somebody asked."""

    fetch_s: float = 0.0
    after_s: float = 0.0


class Facts(msgspec.Struct, frozen=True):
    """The fleet: its sessions, and its states by name."""

    sessions: list[str]
    states: dict[str, State]


def render_states(threads: int, sessions: int) -> dict[str, Bodies]:
    """Return state -> session -> the threads it lists, encoded; sessions are equally large."""
    sizes = [threads // sessions + (index < threads % sessions) for index in range(sessions)]
    drawn = [int(size * SPARE) + 10 for size in sizes]
    present = datetime.now(UTC) - timedelta(seconds=LATER_S)
    world = World(drawn, revision="b", clock=lambda: present)
    first = render_sessions(world, sizes)
    world.advance(LATER_S)
    changed = mix_changes(first, render_sessions(world, sizes))
    grown = {session: list(map(grow, bodies)) for session, bodies in changed.items()}
    return {FIRST: first, CHANGED: changed, GROWN: grown}


def grow(body: bytes) -> bytes:
    """Return a thread as it is later, though nothing has happened to it."""
    thread = msgspec.json.decode(body)
    stats = thread.get("stats") or {}
    if thread.get("archived_at") or "duration_seconds" not in stats:
        return body
    return msgspec.json.encode(
        thread | {"stats": stats | {"duration_seconds": stats["duration_seconds"] + GROWTH_S}}
    )


def render_sessions(world: World, sizes: list[int]) -> Bodies:
    """Return the oldest threads of each session as the API shows them now."""
    return {
        session.id: [
            msgspec.json.encode(world.render(session.id, plan)) for plan in session.threads[:size]
        ]
        for session, size in zip(world.sessions.values(), sizes, strict=True)
    }


def mix_changes(first: Bodies, later: Bodies) -> Bodies:
    """Return the first state with one thread in CHANGED_SHARE as it is later, spread evenly."""
    wanted = max(1, sum(map(len, first.values())) // CHANGED_SHARE)
    different = [
        (session, index)
        for session, bodies in first.items()
        for index, body in enumerate(bodies)
        if body != later[session][index]
    ]
    mixed = {session: list(bodies) for session, bodies in first.items()}
    for session, index in different[:: max(1, len(different) // wanted)][:wanted]:
        mixed[session][index] = later[session][index]
    return mixed


def encode_pages(bodies: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield (cursor that asks for it, page) of a session; the first page's cursor is empty."""
    cursor = ""
    for begin in range(0, len(bodies), PAGE):
        shown = bodies[begin : begin + PAGE]
        first, last = (msgspec.json.decode(body)["id"] for body in (shown[0], shown[-1]))
        has_more = begin + PAGE < len(bodies)
        following = encode_cursor(last) if has_more else None
        rest = {"first_id": first, "last_id": last, "has_more": has_more, "next_page": following}
        yield cursor, b'{"data":[' + b",".join(shown) + b"]," + msgspec.json.encode(rest)[1:]
        cursor = following or ""


class Fleet:
    """An ASGI application that answers every page of every state from memory."""

    def __init__(self, threads: int, sessions: int, latency_s: float = LATENCY_S) -> None:
        self.latency_s = latency_s
        self._answers: dict[tuple[str, str], bytes] = {}
        states = render_states(threads, sessions)
        known = {name: self._add(name, bodies) for name, bodies in states.items()}
        self.facts = Facts(list(states[FIRST]), known)
        self._answers["facts", ""] = msgspec.json.encode(self.facts)
        self._first = self._last = 0.0

    def _add(self, state: str, sessions: Bodies) -> State:
        """Encode a state's pages; return what they hold."""
        sizes = []
        for session, bodies in sessions.items():
            for cursor, page in encode_pages(bodies):
                self._answers[f"{state}/sessions/{session}/threads", cursor] = page
                sizes.append(len(page))
        listed = [body for bodies in sessions.values() for body in bodies]
        statuses = Counter(msgspec.json.decode(body)["status"] for body in listed)
        return State(len(listed), len(sizes), sum(sizes), dict(statuses))

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one request."""
        query = parse_qs(scope["query_string"].decode())
        path = scope["path"].partition("/cloud/")[2]
        if path == "times":
            body: bytes | None = msgspec.json.encode(self._take_times())
        else:
            self._first = self._first or time.monotonic()
            body = self._answers.get((path, query.get("page", [""])[0]))
            await asyncio.sleep(self.latency_s)
            self._last = time.monotonic()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body or b"")).encode()),
        ]
        status = 404 if body is None else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body or b""})

    def _take_times(self) -> Times:
        times = Times(self._last - self._first, time.monotonic() - self._last)
        self._first = 0.0
        return times


def main(threads: int, sessions: int) -> None:
    """Serve until standard input ends, which it does with the process that started this one."""
    with serve(Fleet(threads, sessions)) as base_url:
        print(base_url, flush=True)  # noqa: T201 - to the process that asked
        sys.stdin.read()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

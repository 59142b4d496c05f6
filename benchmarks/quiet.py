"""A fleet most of whose sessions are quiet: the server of benchmarks/planned.py.

    python -m benchmarks.quiet THREADS SESSIONS

Prints its base URL and serves until its standard input ends. Its clock stands still until it is
moved by `/move`, of which so many sessions change, and say so: a thread in every hundred of theirs
runs, or idles again. `/truth` is what a right copy holds, and what was asked since the last such
question.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from benchmarks.server import LATENCY_S, PAGE, SPARE, encode_pages, render_sessions
from pipelines.sandbox.server import serve
from pipelines.sandbox.world import World

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class Truth(msgspec.Struct, frozen=True):
    """What a right copy holds, how many requests came, and how long ago the last one was over."""

    statuses: dict[str, int]
    requests: int
    fetch_s: float
    after_s: float


class QuietFleet:
    """An ASGI application: a list of sessions, and the threads of each, so far before `present`."""

    def __init__(self, threads: int, sessions: int, before: timedelta) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0) - before
        sizes = [threads // sessions] * sessions
        drawn = [int(size * SPARE) + 10 for size in sizes]
        rendered = render_sessions(World(drawn, revision="b", clock=lambda: self.now), sizes)
        self._pages = {id_: dict(encode_pages(bodies)) for id_, bodies in rendered.items()}
        said = {"type": "session", "status": "idle", "updated_at": self.stamp(-timedelta(hours=1))}
        self._sessions = {id_: {"id": id_} | said for id_ in rendered}
        bodies = (msgspec.json.decode(body) for each in rendered.values() for body in each)
        self._statuses = Counter(body["status"] for body in bodies)
        self._times: list[float] = []

    def stamp(self, later: timedelta = timedelta()) -> str:
        """Return an instant of the server's clock."""
        return (self.now + later).isoformat().replace("+00:00", "Z")

    def move(self, minutes: float, first: int, count: int) -> None:
        """Move the clock; let `count` sessions from the `first` on change half a minute later."""
        for id_ in islice(self._sessions, first, first + count):
            self._sessions[id_]["updated_at"] = self.stamp(timedelta(seconds=30))
            self._pages[id_] = {key: self._change(page) for key, page in self._pages[id_].items()}
        self.now += timedelta(minutes=minutes)

    def _change(self, page: bytes) -> bytes:
        listed: dict[str, Any] = msgspec.json.decode(page)
        thread = listed["data"][0]
        self._statuses[thread["status"]] -= 1
        thread["status"] = "idle" if thread["status"] == "running" else "running"
        thread["updated_at"] = self.stamp(timedelta(seconds=30))
        self._statuses[thread["status"]] += 1
        return msgspec.json.encode(listed)

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one request."""
        query = {key: values[0] for key, values in parse_qs(scope["query_string"].decode()).items()}
        *_, name, last = scope["path"].split("/")
        body = self._answer(name, last, query)
        if last not in ("move", "truth"):
            self._times.append(time.monotonic())
            await asyncio.sleep(LATENCY_S)
        date = format_datetime(self.now, usegmt=True).encode()
        headers = [(b"content-type", b"application/json"), (b"date", date)]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, name: str, last: str, query: dict[str, str]) -> bytes:
        if last == "move":
            self.move(float(query["minutes"]), int(query["first"]), int(query["count"]))
            return b"{}"
        if last == "truth":
            return msgspec.json.encode(self.take_truth())
        if last == "threads":
            return self._pages[name][query.get("page", "")]
        first = int(query.get("page", 0))
        following = str(first + PAGE) if first + PAGE < len(self._sessions) else None
        data = list(islice(self._sessions.values(), first, first + PAGE))
        rest = {"has_more": following is not None, "next_page": following}
        return msgspec.json.encode({"data": data} | rest)

    def take_truth(self) -> Truth:
        """Return what a right copy holds, and what was asked since the last question."""
        now = time.monotonic()
        times, self._times = self._times, []
        first, last = (times[0], times[-1]) if times else (now, now)
        statuses = {status: count for status, count in self._statuses.items() if count}
        return Truth(statuses, len(times), last - first, now - last)


def main(threads: int, sessions: int, hours: float) -> None:
    """Serve until standard input ends, which it does with the process that started this one."""
    with serve(QuietFleet(threads, sessions, timedelta(hours=hours)), is_dated=False) as base_url:
        print(base_url, flush=True)  # noqa: T201 - to the process that asked
        sys.stdin.read()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

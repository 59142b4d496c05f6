"""Whether a source is slower beside others than alone: eight sources, two of which are in trouble.

    python -m benchmarks.sources [REQUESTS_PER_SECOND [SESSIONS]]

Each discovers its sessions; one has a wrong token, one's server allows a tenth of the pace. Prints
how long each of the others takes alone, and in one run with all. The servers are another process.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from benchmarks.report import print_rows
from pipelines.config.loader import complete_source
from pipelines.config.settings import Settings
from pipelines.extract.discover import discover_sessions, follow
from pipelines.extract.history import History
from pipelines.extract.plan import plan_polls
from pipelines.extract.poll import poll_sessions
from pipelines.landing.store import Directory
from pipelines.landing.writer import land_polls
from pipelines.providers.registry import PROVIDERS
from pipelines.records import Progress, Selection
from pipelines.sandbox.dialect import Dialect
from pipelines.sandbox.server import TOKEN, Sandbox, serve
from pipelines.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from starlette.types import ASGIApp, Receive, Scope, Send

    from pipelines.config.settings import Source
    from pipelines.records import Poll

# Name -> provider; the last two are in trouble.
SOURCES = {
    **{name: name for name in ("qoder", "qoder-cn", "qoder-forward", "claude", "zhipu", "baidu")},
    "wrong token": "custom",
    "throttled": "custom",
}
HEALTHY = [*SOURCES][:-2]
LATENCY_S = 0.02


class Throttling:
    """An app that answers so many requests a second, and 429 to all others."""

    def __init__(self, app: ASGIApp, per_second: float) -> None:
        self._app = app
        self._interval_s = 1 / per_second
        self._next = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or reject it."""
        now = time.monotonic()
        if now >= self._next:
            self._next = max(self._next, now - 1) + self._interval_s
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"retry-after-ms", b"500")]
        await send({"type": "http.response.start", "status": 429, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


def serve_all(connection: Connection, per_second: float, sessions: int) -> None:
    """Serve each source's sandbox until the other end closes; send its base URL by its name."""
    urls = {}
    with ExitStack() as stack:
        for number, (name, provider) in enumerate(SOURCES.items()):
            preset = PROVIDERS[provider]
            dialect = Dialect(auth=preset.auth, page_limit=preset.page_limit)  # type: ignore[arg-type]
            world = World([1] * sessions, seed=number)
            app: ASGIApp = Sandbox(world, latency_s=LATENCY_S, dialect=dialect).app
            app = Throttling(app, per_second / 10) if name == "throttled" else app
            urls[name] = stack.enter_context(serve(app))
        connection.send(urls)
        connection.poll(None)


def make_source(name: str, base_url: str, per_second: float) -> Source:
    """Return a source that discovers."""
    keys: dict[str, Any] = {
        "name": name.replace(" ", "-"),
        "provider": SOURCES[name],
        "base_url": base_url,
        "discover": True,
        "token_env": "ANY",
        "max_requests_per_second": per_second,
    }
    complete_source(keys, PROVIDERS[SOURCES[name]])
    source = Settings.model_validate({"sources": [keys]}).sources[0]
    token = "wrong" if name == "wrong token" else TOKEN
    source._token = SecretStr(token)  # noqa: SLF001 - as load_settings does
    return source


async def poll(sources: Sequence[Source], directory: Path) -> list[Poll]:
    """Find, poll and land the sessions of some sources; return how each poll has ended."""
    history, selection = History(), Selection()
    found = await discover_sessions(Settings(sources=tuple(sources)), history, selection)
    planned = plan_polls(found.sources, selection, history)
    items = follow(found.fetched, poll_sessions(planned, selection, Progress()))
    return (await land_polls(items, Directory(directory), f"run-{time.monotonic_ns()}"))[1]


def time_sources(sources: Sequence[Source]) -> dict[str, tuple[float, int, int]]:
    """Return name -> its seconds, polls, and complete ones among them, of one run of all."""
    begun = time.time()
    with tempfile.TemporaryDirectory() as directory:
        polls = asyncio.run(poll(sources, Path(directory)))
    return {
        source.name: (
            max(each.finished_at.timestamp() for each in mine) - begun,
            len(mine),
            sum(each.outcome == "complete" for each in mine),
        )
        for source in sources
        if (mine := [each for each in polls if each.source == source.name])
    }


def main(per_second: float = 40, sessions: int = 100) -> None:
    """Print a row for each source. Raises SystemExit if a healthy one was not complete."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    arguments = (theirs, per_second, sessions)
    server = multiprocessing.get_context("spawn").Process(target=serve_all, args=arguments)
    server.start()
    urls = ours.recv()
    sources = [make_source(name, urls[name], per_second) for name in SOURCES]
    alone: dict[str, tuple[float, int, int]] = {}
    for source in sources[: len(HEALTHY)]:
        alone |= time_sources([source])
    together = time_sources(sources)
    ours.send(None)
    server.join()
    print_rows(
        [
            {
                "source": name,
                "polls": polls,
                "complete": complete,
                "alone_s": round(alone[name][0], 2) if name in alone else None,
                "together_s": round(seconds, 2),
                "ratio": round(seconds / alone[name][0], 2) if name in alone else None,
            }
            for name, (seconds, polls, complete) in together.items()
        ]
    )
    if any(together[name][1] != together[name][2] for name in HEALTHY):
        raise SystemExit("a healthy source was not complete")


if __name__ == "__main__":
    main(*(float(sys.argv[1]),) if len(sys.argv) > 1 else (), *map(int, sys.argv[2:]))

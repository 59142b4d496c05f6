"""The rate of a source is that of one process, wherever the tables are and whatever dies."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pipelines.config.loader import load_settings
from pipelines.providers.registry import PROVIDERS
from pipelines.sandbox.server import Sandbox, serve
from pipelines.sandbox.world import World
from pipelines.warehouse.place import open_warehouse
from tests.lake.postgres import connect
from tests.support import CANARY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipelines.config.lake import Lake

pytestmark = pytest.mark.slow  # processes that poll for seconds

# What a run does before its load.
ASK = """
from pipelines import steps
from pipelines.config.loader import load_settings
from pipelines.providers.registry import PROVIDERS
from pipelines.records import Progress, Selection
from pipelines.warehouse.place import open_warehouse
settings = load_settings(PROVIDERS)
warehouse = open_warehouse(settings.home, settings.lake)
run_id = steps.uuid.uuid4().hex
asked = steps.ask(settings, warehouse, Selection(), Progress(), run_id, "command")
print(*(poll.outcome for poll in asked.landed.polls))
"""
COMMAND = (sys.executable, "-c", ASK)
RATE, PAGES = 10, 20


class Watched:
    """An application that notes when each request came."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.came: list[float] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Note a request and hand it on."""
        if scope["type"] == "http":
            self.came.append(time.monotonic())
        await self._app(scope, receive, send)

    def most_in_a_second(self) -> int:
        """Return how many requests came in the second that had the most."""
        return max(sum(0 <= at - begun < 1 for at in self.came) for begun in self.came)

    def wait_for(self, number: int) -> None:
        """Return when so many requests have come."""
        for _ in range(600):
            if len(self.came) >= number:
                return
            time.sleep(0.05)
        raise TimeoutError


@contextmanager
def serve_slowly(
    home: Path, place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watched]:
    """Serve a session of many pages to processes whose tables are in the place."""
    world = World([2 * PAGES])
    watched = Watched(Sandbox(world, token=CANARY).app)
    with serve(watched) as base_url:
        source = {
            "base_url": base_url,
            "sessions": list(world.sessions),
            "page_limit": 2,
            "min_page_interval_ms": 0,
            "max_requests_per_second": RATE,
        }
        file = home.parent / "sessions.yaml"
        file.write_bytes(msgspec.json.encode({"sources": [source], **place}))
        file.chmod(0o600)
        monkeypatch.setenv("SESSION_THREADS_CONFIG", str(file))
        monkeypatch.setenv("QODER_PAT", CANARY)
        monkeypatch.setenv("LAKE_PASSWORD", CANARY)
        yield watched


@pytest.fixture(params=["file", "lake"])
def server(
    request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Watched]:
    """Serve to processes whose tables are in a file, or in a lake."""
    place: dict[str, Any] = {}
    if request.param == "lake":
        lake: Lake = request.getfixturevalue("lake")
        catalog = lake.catalog.model_dump(by_alias=True)
        place = {"warehouse": {"lake": {"catalog": catalog, "data": lake.data}}}
    with serve_slowly(home, place, monkeypatch) as watched:
        yield watched


def test_rate_of_two_processes(server: Watched) -> None:
    """Two runs at the same time ask no more in any second than one may, and both are whole.

    One that is killed while it polls keeps nobody waiting: the source is free within a second.
    """
    settings = load_settings(PROVIDERS)
    warehouse = open_warehouse(settings.home, settings.lake)
    with subprocess.Popen(COMMAND, stderr=subprocess.DEVNULL) as killed:
        server.wait_for(3)
        killed.kill()
    started = time.monotonic()
    with warehouse.hold_sources(settings.sources, wait_s=5):
        assert time.monotonic() - started < 1
    asked = len(server.came)

    runs = [
        subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed, said = zip(*(run.communicate(timeout=120) for run in runs), strict=True)
    assert printed == ("complete\n", "complete\n"), said
    assert sum("source qoder: waiting for " in text for text in said) == 1
    # A holder writes its name a moment after it has the lock; that of one that was killed stays.
    assert not any(f"process {run.pid}" in text for run, text in zip(runs, said, strict=True))
    pages, left = divmod(len(server.came) - asked, 2)
    assert (pages > RATE, left) == (True, 0)
    # Two at once would ask twice as much; on a busy machine some requests arrive late.
    assert server.most_in_a_second() <= 1.5 * RATE
    assert CANARY not in "".join(said)


def test_lock_that_is_lost(
    lake: Lake, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A poll whose lock went with the database's connection ends well, and says so."""
    with serve_slowly(home, {}, monkeypatch):
        sources = load_settings(PROVIDERS).sources
    with open_warehouse(home, lake).hold_sources(sources), connect(lake.catalog.port) as server:
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    assert "others may have asked the same sources meanwhile" in caplog.text

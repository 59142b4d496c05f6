"""A server whose sessions and threads a test sets by hand, and runs against it."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from pipelines import steps
from pipelines.config.polling import Polling
from pipelines.config.settings import Settings
from pipelines.landing.directory import RAW
from pipelines.landing.store import Directory
from pipelines.records import Progress, Selection
from pipelines.sandbox.faults import Faulty
from pipelines.sandbox.server import serve
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.history import read_history
from pipelines.warehouse.load import load_landed
from tests.support import make_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from pipelines.config.settings import Source
    from pipelines.extract.plan import PlannedSource

START = datetime(2026, 10, 1, tzinfo=UTC)


class Fleet:
    """Sessions with their threads, at a `minute` of the server's clock; it counts its requests.

    What is in `late` the objects of sessions say from their next listing of threads on; if
    `is_busy`, a thread of each changes whenever they are listed.
    """

    def __init__(self, count: int = 1) -> None:
        self.minute = 0.0
        self.requests: list[str] = []
        self.sessions: dict[str, dict[str, Any]] = {}
        self.threads: dict[str, dict[str, dict[str, Any]]] = {}
        self.late: dict[str, str] = {}
        self.is_busy = False
        self.base_url = ""
        for number in range(count):
            self.add(f"s{number:04}")

    def add(self, session_id: str) -> None:
        """Add a session that is idle, as is its only thread."""
        said = {"id": session_id, "type": "session", "status": "idle", "usage": {}}
        self.sessions[session_id] = said | {"updated_at": self.stamp(self.minute - 60)}
        self.threads[session_id] = {}
        self.change(session_id, "t0", announce=False, status="idle")

    def stamp(self, minute: float) -> str:
        """Return an instant of the server's clock."""
        return (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")

    def change(
        self, session_id: str, thread_id: str = "t0", *, announce: bool = True, **fields: Any
    ) -> None:
        """Change a thread, or add it; its session says so if it is to be announced."""
        thread = self.threads[session_id].setdefault(
            thread_id, {"id": thread_id, "status": "idle", "created_at": self.stamp(-60)}
        )
        self.threads[session_id][thread_id] = thread | fields
        if announce:
            self.say(session_id, updated_at=self.stamp(self.minute))

    def say(self, session_id: str, **fields: Any) -> None:
        """Let a session's object say something else."""
        self.sessions[session_id] |= fields

    async def answer(self, request: Request) -> JSONResponse:
        """Answer the list of sessions, a session, or its threads; one page each of a hundred."""
        *_, name, last = ["", *request.url.path.split("/")]
        self.requests.append(last)
        date = format_datetime(START + timedelta(minutes=self.minute), usegmt=True)
        if last in self.sessions:
            return JSONResponse(self.sessions[last], headers={"date": date})
        items = list(self.sessions.values())
        if last == "threads":
            if self.is_busy:
                self.change(name, status=f"at {self.minute}")
            if name in self.late:
                self.say(name, updated_at=self.late.pop(name))
            items = list(self.threads[name].values())
        first = int(request.query_params.get("page", 0))
        rest = len(items) - first > 100
        page = {"data": items[first : first + 100], "has_more": rest}
        page |= {"next_page": str(first + 100)} if rest else {}
        return JSONResponse(page, headers={"date": date})

    @contextmanager
    def serve(self, rate: float = 0, seed: int = 0) -> Iterator[None]:
        """Answer on loopback; that share of the requests goes wrong."""
        app: ASGIApp = Starlette(routes=[Route("/{path:path}", self.answer)])
        for objects in ("threads", "sessions") if rate else ():
            app = Faulty(app, objects=objects, rate=rate, seed=seed)
        with serve(app, is_dated=False) as base_url:
            self.base_url = base_url
            yield

    def source(self, **keys: Any) -> Source:
        """Return the source that discovers all of it."""
        keys = {"sessions": [], "discover": True, "page_limit": 100} | keys
        return make_source(self.base_url, **keys)

    def land(
        self,
        home: Path,
        polling: Polling | None = None,
        selection: Selection | None = None,
        progress: Progress | None = None,
        **keys: Any,
    ) -> PlannedSource:
        """Take the steps of a run until its pages have landed; return what it asked."""
        selection, warehouse = selection or Selection(), DuckdbFile(home)
        settings = Settings(sources=(self.source(**keys),), polling=polling or Polling())
        settings._home = home  # noqa: SLF001 - as load_settings does
        begun = steps.RunStart(f"run-{self.minute:010.3f}", warehouse.newest_sequence(), "command")
        history = read_history(warehouse)
        found = steps.discover(settings, history, selection)
        (planned,) = steps.plan(settings, found.sources, selection, history)
        progress = progress or Progress()
        steps.poll(settings, [planned], selection, progress, begun, history.known, found)
        return planned

    def run(
        self,
        home: Path,
        polling: Polling | None = None,
        selection: Selection | None = None,
        **keys: Any,
    ) -> PlannedSource:
        """Take the steps of a run but for the analyses; return what it asked."""
        planned = self.land(home, polling, selection, **keys)
        warehouse = DuckdbFile(home)
        with warehouse.write() as tables:
            load_landed(tables, Directory(home / RAW))
            warehouse.publish(tables)
        return planned

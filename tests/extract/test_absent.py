"""Sessions that are gone or forbidden are asked again now and then; whose source is gone, never."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from pipelines import clock
from pipelines.cli.exit_status import exit_of_run
from pipelines.config.settings import Settings
from pipelines.extract.absent import is_due
from pipelines.extract.history import Registered
from pipelines.records import Selection
from pipelines.sandbox.server import serve
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.ledger import read_ledger
from tests.builders import poll_once, replay_all
from tests.support import make_source, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

HOUR = 3600 * 10**6
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


class Server:
    """Answers each session as `statuses` say, by its clock, and notes which were asked."""

    def __init__(self, **statuses: int) -> None:
        self.statuses = statuses
        self.now = NOON
        self.asked: list[str] = []
        self.app = Starlette(routes=[Route("/{path:path}", self.answer)])

    async def answer(self, request: Request) -> JSONResponse:
        """Answer the list of all sessions, or the threads of one."""
        headers = {"date": format_datetime(self.now, usegmt=True)}
        *_, name, last = request.url.path.split("/")
        if last == "sessions":
            page = {"data": [{"id": id_} for id_ in self.statuses], "has_more": False}
            return JSONResponse(page, headers=headers)
        self.asked.append(name)
        return JSONResponse({"data": [], "has_more": False}, self.statuses[name], headers=headers)

    def take_asked(self) -> str:
        """Return which sessions were asked since the last time."""
        asked, self.asked = "".join(sorted(self.asked)), []
        return asked


def find_status(home: Path, run_id: str) -> int:
    """Return the exit status of a run by its rows of the ledger."""
    with DuckdbFile(home).read() as tables:
        return exit_of_run(read_ledger(tables, [run_id]), []).exit_status


@pytest.mark.parametrize(("row", "now", "expected"), [
    (Registered(None, "configured", "polled", 0), HOUR, True),
    (Registered(None, "configured", "gone", 0), 7 * HOUR, False),
    (Registered(None, "discovered", "forbidden", 0), 7 * HOUR, False),
    (Registered(None, "configured", "gone", 0), 8 * HOUR, True),
    (Registered(None, "configured", "gone", 9 * HOUR), 8 * HOUR, True),
    (Registered(None, "configured", "gone"), 8 * HOUR, True),
])  # fmt: skip
def test_when_it_is_asked_again(row: Registered, now: int, expected: bool) -> None:  # noqa: FBT001
    """After a period, and if the time of its last poll is not known, or lies in the future."""
    assert is_due(row, now, 8 * HOUR) is expected


@pytest.mark.slow
@pytest.mark.parametrize("keys", [{"sessions": ["a", "b", "c"]}, {"discover": True}])
@pytest.mark.parametrize("ahead", [timedelta(), timedelta(days=900)])
def test_absent_sessions_are_asked_once_in_a_while(
    keys: dict[str, Any], ahead: timedelta, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every eight hours by the server's clock, whatever ours says; and they fail one run alone."""
    server = Server(a=200, b=404, c=403)
    monkeypatch.setattr(clock, "now", lambda: server.now + ahead)
    asked = []
    with serve(server.app, is_dated=False) as base_url:
        settings = Settings(sources=(make_source(base_url, **{"sessions": [], **keys}),))
        for minutes in (0, 15, 480, 495, 510):
            server.now = NOON + timedelta(minutes=minutes)
            chosen = Selection()
            if minutes == 495:
                server.statuses["b"], chosen = 200, Selection(sessions=("b",))
            poll_once(home, settings, f"run-{minutes}", chosen)
            asked.append(server.take_asked())
    failing = {minutes: find_status(home, f"run-{minutes}") for minutes in (0, 480)}
    assert failing == {0: 1, 480: 0}
    assert asked == ["abc", "a", "abc", "b", "ab"]


@pytest.mark.slow
def test_clock_that_goes_back_is_no_reason_to_wait(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that seems to have been asked in the future is asked; so are those of --full."""
    server = Server(a=200, b=404)
    with serve(server.app, is_dated=False) as base_url:
        settings = Settings(sources=(make_source(base_url, sessions=["a", "b"]),))
        monkeypatch.setattr(clock, "now", lambda: NOON)
        poll_once(home, settings, "run-1")
        monkeypatch.setattr(clock, "now", lambda: NOON - timedelta(days=2))
        poll_once(home, settings, "run-2")
        assert server.take_asked() == "aabb"
        poll_once(home, settings, "run-3")
        assert server.take_asked() == "a"
        poll_once(home, settings, "run-4", Selection(is_full=True))
        assert server.take_asked() == "ab"


@pytest.mark.slow
def test_source_of_absent_sessions_is_asked_in_every_run(home: Path) -> None:
    """Who has corrected a base URL, or a token, need not wait until it is time to ask again."""
    server = Server(a=404, b=403)
    with serve(server.app, is_dated=False) as base_url:
        settings = Settings(sources=(make_source(base_url, sessions=["a", "b"]),))
        for number in range(3):
            poll_once(home, settings, f"run-{number}")
    assert server.take_asked() == "aaabbb"


@pytest.mark.slow
def test_source_that_is_configured_no_more(home: Path) -> None:
    """Its sessions are out of scope from the next run on, but not by one of certain sessions.

    They are back when the source is. A replay gives the same registry.
    """
    server = Server(a=200, b=200, c=404)
    query = "SELECT source, session_id, state, state_reason FROM sessions ORDER BY ALL"

    def read() -> dict[str, str]:
        rows = read_table(home / "warehouse.duckdb", query)
        return {f"{row['source']} {row['session_id']}": row["state"] for row in rows}

    with serve(server.app) as base_url:
        kept = make_source(base_url, name="kept", sessions=["a"])
        removed = make_source(base_url, name="removed", sessions=["a", "b", "c"])
        poll_once(home, Settings(sources=(kept, removed)), "run-1")
        before = read()
        poll_once(home, Settings(sources=(kept,)), "run-a", Selection(sessions=("a",)))
        assert read() == before
        poll_once(home, Settings(sources=(kept,)), "run-2")
        out = {"removed a": "out_of_scope", "removed b": "out_of_scope", "removed c": "gone"}
        assert read() == {"kept a": "polled", **out}
        unwatched = "SELECT session_id, reason FROM unwatched_sessions ORDER BY ALL"
        assert read_table(home / "warehouse.duckdb", unwatched) == [
            {"session_id": id_, "reason": reason}
            for id_, reason in (("a", "out_of_scope"), ("b", "out_of_scope"), ("c", "gone"))
        ]
        before_replay = read_table(home / "warehouse.duckdb", query)
        poll_once(home, Settings(sources=(kept,)), "run-3")
        assert read_table(home / "warehouse.duckdb", query) == before_replay
        rows = "SELECT run_id FROM source_polls WHERE source = 'removed' ORDER BY sequence"
        assert [row["run_id"] for row in read_table(home / "warehouse.duckdb", rows)] == [
            "run-1",
            "run-2",
        ]
        replay_all(home)
        assert read_table(home / "warehouse.duckdb", query) == before_replay
        poll_once(home, Settings(sources=(kept, removed)), "run-4")
        assert read() == before

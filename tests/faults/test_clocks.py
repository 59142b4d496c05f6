"""Clocks that are wrong: every poll has effect, and is where its number puts it.

The server is real and says what time it is, or does not; this machine's clock is turned at the one
place that reads it.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import cycle, product
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from pipelines import clock, steps
from pipelines.config.loader import load_settings
from pipelines.providers.registry import PROVIDERS
from pipelines.records import Progress, Selection
from pipelines.sandbox.server import serve
from pipelines.warehouse.analyses import choose_analyses, list_analyses
from pipelines.warehouse.build import build_all
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.history import read_history
from tests.builders import read, replay_all
from tests.support import CANARY, invoke

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request

    from pipelines.reporting.loads import Loaded

pytestmark = pytest.mark.slow  # together they take long

HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
START = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
STEP = timedelta(minutes=15)
UNSET = START - datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
# What each of three polls finds: a thread that moves, one that comes and goes.
LISTED = [
    {"moving": "idle", "going": "running"},
    {"moving": "running"},
    {"moving": "blocked", "coming": "idle"},
]
# How wrong this machine's clock is at each of them.
ERRORS: dict[str, list[timedelta]] = {
    "right": [timedelta()] * 3,
    "an hour ahead once": [timedelta(), HOUR, timedelta()],
    "a year ahead once": [timedelta(), YEAR, timedelta()],
    "1970 at first": [-UNSET, timedelta(), timedelta()],
    "a day back": [timedelta(), timedelta(), -DAY],
    "a year ahead for ever": [timedelta(), YEAR, YEAR],
    "back and forth": [YEAR, -YEAR, YEAR],
}


def dated(now: datetime) -> dict[str, str]:
    """Return the header that says what time it is."""
    return {"date": format_datetime(now, usegmt=True)}


# What servers say of the time, and whether it can be believed.
SERVERS: dict[str, tuple[Callable[[datetime], dict[str, str]], bool]] = {
    "a Date": (dated, True),
    "no Date": (lambda _: {}, False),
    "garbage": (lambda _: {"date": "yesterday"}, False),
    "a Date of Go": (lambda _: {"date": "Mon, 01 Jan 0001 00:00:00 GMT"}, False),
    "a cached Date": (lambda now: dated(now - 30 * DAY) | {"age": "2592000"}, False),
}


class Server:
    """A server with a clock that is right, and this machine's, which is not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = START
        self.error = timedelta()
        self.poll = 0
        self.headers: Callable[[datetime], dict[str, str]] = dated
        self.app = Starlette(routes=[Route("/{path:path}", self.answer)])
        monkeypatch.setattr(clock, "now", self.tell)

    def tell(self) -> datetime:
        """Return the time by this machine's clock, which goes on whenever it is asked."""
        self.now += timedelta(milliseconds=10)
        return self.now + self.error

    async def answer(self, request: Request) -> Response:
        """List the threads, one a page, or return one of them."""
        updated = (self.now - timedelta(seconds=5)).isoformat()
        times = {"created_at": "2026-11-20T11:59:00Z", "updated_at": updated}
        listed = LISTED[self.poll].items()
        threads = [{"id": id_, "status": status} | times for id_, status in listed]
        *_, last = request.url.path.split("/")
        if last != "threads":
            found = [thread for thread in threads if thread["id"] == last]
            body = json.dumps(found[0] if found else {"error": {"type": "not_found_error"}})
            return Response(body, 200 if found else 404, self.headers(self.now))
        number = int(request.query_params.get("page", 0))
        is_more = number + 1 < len(threads)
        page: dict[str, Any] = {"data": threads[number : number + 1], "has_more": is_more}
        page |= {"next_page": str(number + 1) if is_more else None}
        return Response(json.dumps(page), headers=self.headers(self.now))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Give a server whose one session is configured."""
    server = Server(monkeypatch)
    with serve(server.app, is_dated=False) as base_url:
        monkeypatch.setenv("QODER_BASE_URL", base_url)
        monkeypatch.setenv("QODER_PAT", CANARY)
        monkeypatch.setenv("QODER_SESSION_IDS", "sess_1")
        yield server


def poll(server: Server, number: int, error: timedelta) -> Loaded:
    """Load the poll of this number, a step after the one before, with a clock that is so wrong."""
    server.poll, server.error = number, error
    server.now = START + number * STEP
    settings, selection = load_settings(PROVIDERS), Selection()
    warehouse = DuckdbFile(settings.home)
    history = read_history(warehouse)
    begun = steps.RunStart(f"run-{number}-{error}", warehouse.newest_sequence(), "command")
    found = steps.discover(settings, history, selection)
    planned = steps.plan(settings, found.sources, selection, history)
    steps.poll(settings, planned, selection, Progress(), begun, history.known, found)
    with warehouse.write() as tables:
        loaded = steps.load(settings, tables)
        warehouse.publish(tables)
        return loaded


def publish(home: Path, *names: str) -> None:
    """Publish these analyses, with those that they read: every check holds."""
    warehouse = DuckdbFile(home)
    chosen = {
        key: each for name in names for key, each in choose_analyses(list_analyses(), name).items()
    }
    with warehouse.write() as tables:
        assert [outcome.failures for outcome in build_all(tables, chosen)] == [{}] * len(chosen)
        warehouse.publish(tables)


def statuses(home: Path) -> dict[str, str]:
    """Return thread -> status of those that are listed."""
    query = "SELECT thread_id, status FROM threads WHERE missing_since IS NULL"
    rows = read(home, query)
    return {row["thread_id"]: row["status"] for row in rows}


def read_tables(home: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the tables that a replay must make again."""
    names = ("threads", "thread_status_history", "session_polls", "runs", "schema_drift")
    return {name: read(home, f"FROM {name} ORDER BY ALL") for name in names}


QUICK = {
    ("a year ahead once", "a Date"),
    ("1970 at first", "no Date"),
}
HOURLY = ("status_over_time", "concurrency")
# `make soak` takes each error with each server, the slow tests each at least once.
IS_SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
PAIRS = set(zip(ERRORS, cycle(SERVERS), strict=False)) | set(product(ERRORS, ["no Date"]))
CASES = [
    pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
    for case in product(ERRORS, SERVERS)
    if IS_SOAK or case in PAIRS | QUICK
]


@pytest.mark.parametrize(("errors", "said"), CASES)
def test_every_poll_has_effect(home: Path, server: Server, errors: str, said: str) -> None:
    """After each of three polls the tables hold what the server lists, whatever clocks say.

    By a server's Date the times are right, too. The load's own checks, and those of all analyses,
    hold, no analysis has more hours than the polls can speak of, and a replay gives the same.
    """
    server.headers, is_believed = SERVERS[said]
    for number, error in enumerate(ERRORS[errors]):
        result = poll(server, number, error)
        assert [row["outcome"] for row in result.ledger] == ["complete"]
        assert statuses(home) == LISTED[number]
    ledger = read(home, "FROM session_polls ORDER BY sequence")
    skews = [row["clock_skew_seconds"] for row in ledger]
    if is_believed:
        assert skews == pytest.approx([e.total_seconds() for e in ERRORS[errors]], abs=2)
        for number, row in enumerate(ledger):
            assert abs(row["started_at"] - START - number * STEP) < timedelta(seconds=2)
            assert row["started_at"] <= row["finished_at"]
        spells = read(home, "FROM thread_spells WHERE thread_id = 'moving' ORDER BY spell")
        for number, spell in enumerate(spells):
            assert abs(spell["observed_from"] - START - number * STEP) < timedelta(seconds=3)
    else:
        assert skews == [None] * 3
    (missing,) = read(home, "FROM threads WHERE thread_id = 'going'")
    assert missing["missing_since"] == ledger[1]["started_at"]
    assert missing["missing_sequence"] == ledger[1]["sequence"]
    names = HOURLY if (errors, said) in QUICK else list_analyses()
    publish(home, *names)
    for name in names:
        (counted,) = read(home, f"SELECT count(*) n FROM analytics.{name}")
        assert counted["n"] < (300 if is_believed else 100_000), name
    before = read_tables(home)
    replay_all(home)
    assert {name: read(home, f"FROM {name} ORDER BY ALL") for name in before} == before


def test_wrong_clocks_are_said(home: Path, server: Server) -> None:
    """`run` and `status` say how wrong the clock is, or that two runs contradict each other."""
    assert poll(server, 0, timedelta()).warnings == []
    (line,) = poll(server, 1, YEAR).warnings
    assert line.startswith("source qoder: this machine's clock is 365d 00h ahead of the server's")
    publish(home, "data_quality", "ingestion_health")
    (row,) = read(home, "FROM analytics.data_quality WHERE \"check\" = 'wrong_clock'")
    assert (row["rows"], row["example"]) == (1, "sess_1")
    shown = invoke("status")
    assert shown.returncode == 1
    assert "365d 00h ahead of the server's" in shown.stdout
    (line,) = poll(server, 2, -2 * HOUR).warnings
    assert "2h 00m behind the server's" in line
    publish(home, "ingestion_health")
    shown = invoke("status")
    assert shown.returncode == 1
    assert "sess_1 is failing: its last complete poll lies 2h 00m in the future" in shown.stderr
    assert "docs/operating.md, A wrong date" in shown.stderr
    server.headers = SERVERS["no Date"][0]
    (line,) = poll(server, 2, YEAR).warnings
    assert "the server sends no Date: is the clock right?" in line
    (line,) = poll(server, 2, HOUR).warnings
    assert "this run began at 2026-11-20 14:00, the one before at 2027-11-20 13:00 (UTC)" in line
    assert poll(server, 2, HOUR).warnings == []


def test_out_of_a_wrong_date(home: Path, server: Server) -> None:
    """After a poll that is dated a year ahead, `status` fails until the next one is not.

    What else it dated goes with its landed file: that is the way out that operating.md describes.
    """
    server.headers = SERVERS["no Date"][0]
    poll(server, 0, timedelta())
    poll(server, 1, YEAR)
    publish(home, "ingestion_health")
    server.error = timedelta()
    shown = invoke("status")
    assert shown.returncode == 1
    assert "365d 00h in the future: the clock is wrong, or was then" in shown.stderr
    assert "in 365d 00h" in shown.stdout
    poll(server, 2, timedelta())
    publish(home, "ingestion_health")
    assert invoke("status").returncode == 0
    query = "SELECT max(observed_from) AS newest FROM thread_status_history"
    assert read(home, query)[0]["newest"] > START + DAY
    assert statuses(home) == LISTED[2]
    (wrong,) = (home / "raw").glob("s0000000002-2027*.parquet")
    wrong.rename(home / "set-aside.parquet")
    replay_all(home, partial=True)
    assert read(home, query)[0]["newest"] < START + HOUR
    assert statuses(home).items() >= LISTED[2].items()

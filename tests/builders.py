"""What tests make: threads as a server sends them, polls, landed runs, and analyses built."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from pipelines import steps
from pipelines.landing.directory import RAW, find_stem
from pipelines.landing.footer import Footer, page_row
from pipelines.landing.format import read_run, write_pages, write_run
from pipelines.landing.store import Directory, LandedFile
from pipelines.providers.registry import find_endpoint
from pipelines.records import FetchedPage, Page, PageFetch, Poll, Progress, Run, Selection
from pipelines.warehouse.analyses import choose_analyses, list_analyses
from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.history import read_history
from pipelines.warehouse.load import load_landed
from pipelines.warehouse.publication import publish
from pipelines.warehouse.replay import Replayed, replay
from pipelines.warehouse.sql import fetch_records
from tests.empty import LAKES, open_tables
from tests.support import read_table

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from pipelines.config.settings import Settings
    from pipelines.warehouse.analysis import Analysis

DAY = datetime(2026, 10, 1, tzinfo=UTC)
SESSION = "sess_1"
NEEDED = ("thread_durations", "attention", "ingestion_health")
HEADER = """\
-- answers: What is it?
-- grain: one row
-- columns:
--   x: a number
"""
OWN = {
    "good.sql": HEADER + "SELECT 1 AS x FROM analytics.status_distribution LIMIT 1",
    "order.sql": "\n" + HEADER + "SELECT 1 AS x",
    "malformed.sql": "SELECT 1",
    "Bad-Name.sql": HEADER + "SELECT 1 AS x",
    "größe.sql": HEADER + "SELECT 1 AS x",
    "1a.sql": HEADER + "SELECT 1 AS x",
    "threads.sql": HEADER + "SELECT 1 AS x",
    "survival.sql": HEADER + "SELECT 1 AS x",
    "class.sql": HEADER + "SELECT 1 AS x",
    "type.sql": HEADER + "SELECT 1 AS x",
    "good_is_built.sql": HEADER + "SELECT 1 AS x",
    "check_name.sql": HEADER + "-- checks: {is_built: SELECT 1}\nSELECT 1 AS x",
    "check_drops.sql": HEADER
    + "-- checks: {c: 'SELECT 1); DROP TABLE threads; FROM (SELECT 1'}\nSELECT 1 AS x",
    "deep.sql": HEADER + f"SELECT {'||'.join(['1'] * 2000)} AS x",
    "nested.sql": f"-- answers: {'[' * 3000}\nSELECT 1 AS x",
    "date.sql": HEADER.replace("What is it?", "2024-02-31") + "SELECT 1 AS x",
    "a.sql": HEADER + "FROM analytics.b",
    "b.sql": HEADER + "FROM analytics.a",
}
Pages = list[list[dict[str, Any]]]


def at(minute: float) -> datetime:
    """Return an instant of the day, to the microsecond."""
    return DAY + timedelta(microseconds=round(minute * 60_000_000))


def thread(
    id_: str, status: str = "running", *, updated: float = 0, **fields: Any
) -> dict[str, Any]:
    """Return a thread as the server sends it."""
    moment = at(updated).isoformat().replace("+00:00", "Z")
    return {"id": id_, "status": status, "updated_at": moment, **fields}


def make_page(body: bytes, observed_at: datetime) -> Page:
    """Return a page of threads that came so."""
    return Page(200, observed_at, body, find_endpoint("threads").read_page(body))


def land(
    home: Path, minute: float, *threads: dict[str, Any], outcome: str = "complete", **fields: Any
) -> None:
    """Land a run of one session's poll, begun at the minute, whose page came 30 s later."""
    body = msgspec.json.encode({"data": threads, "next_page": fields.pop("next_page", None)})
    page = make_page(body, at(minute + 0.5))
    poll = Poll(
        source="qoder",
        session_id=fields.pop("session_id", SESSION),
        label=fields.pop("label", None),
        started_at=at(minute),
        finished_at=at(minute + 1),
        outcome=outcome,
        end_reason="has_more_false" if outcome == "complete" else "error",
        status_filter=fields.pop("status_filter", None),
        pages=fields.pop("pages", 1),
        requests=1,
        retries=0,
        wait_seconds=0.0,
        bytes=len(body),
        threads_listed=len(threads),
        duplicates=fields.pop("duplicates", 0),
    )
    run_id = fields.pop("run_id", f"run-{minute:g}")
    run = Run(
        id=run_id,
        sequence=fields.pop("sequence", sequence_of(minute)),
        started_at=at(minute),
        finished_at=at(minute + 1),
        version="1",
    )
    write_run(
        Directory(home / RAW), Footer(run, [poll]), [page_row(poll, PageFetch(1, None, page))]
    )


def replace_body(file: LandedFile, body: bytes = b"[1]") -> None:
    """Replace a run by one whose page, in a shard and in the last file, is none."""
    landed = read_run(file)
    rows = landed.pages.with_columns(body=pl.lit(body)).rows()
    file.delete()
    shard = write_pages(file.store, f"{find_stem(file.name)}.s1", rows, {})
    write_run(file.store, Footer(landed.run, landed.polls, [shard.name]), rows)


def as_file(path: Path) -> LandedFile:
    """Return a landed file of a directory as the program knows it."""
    return LandedFile(Directory(path.parent), path.name)


def as_path(file: LandedFile) -> Path:
    """Return where a landed file of a directory is."""
    return Path(str(file))


def sequence_of(minute: float) -> int:
    """Return the number of the run that began at the minute, if clocks were right."""
    return 1 + round(60 * minute)


def load_all(home: Path, keep_days: int | None = None) -> list[str]:
    """Load what has landed in a data directory; return the runs' ids."""
    with open_tables(home).write() as tables:
        return load_landed(tables, Directory(home / RAW), keep_days)


def poll_once(
    home: Path, settings: Settings, run_id: str, selection: Selection | None = None
) -> list[Poll]:
    """Take the steps of a run but for the analyses; return its polls, that of a list has no id."""
    warehouse, selection = open_tables(home), selection or Selection()
    history = read_history(warehouse)
    found = steps.discover(settings, history, selection)
    planned = steps.plan(settings, found.sources, selection, history)
    begun = steps.RunStart(run_id, warehouse.newest_sequence(), "command", warehouse)
    landed = steps.poll(settings, planned, selection, Progress(), begun, history.known, found)
    with warehouse.write() as tables:
        steps.load(settings, tables, landed)
        publish(warehouse, tables, {})
    return landed.polls


def publish_all(home: Path, analyses: Mapping[str, Analysis]) -> Path:
    """Publish what a data directory holds; return the copy, if it is a file."""
    warehouse = open_tables(home)
    with warehouse.write() as tables:
        return Path(publish(warehouse, tables, analyses))


def replay_all(home: Path, *, partial: bool = False, skip_damaged: bool = False) -> Replayed:
    """Rebuild the tables of a data directory."""
    warehouse = open_tables(home)
    return replay(warehouse, Directory(home / RAW), partial=partial, skip_damaged=skip_damaged)


def load(home: Path, minute: float, *threads: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Land and load a run; return its row of the ledger."""
    land(home, minute, *threads, **fields)
    (run_id,) = load_all(home)
    (row,) = read(home, f"FROM session_polls WHERE run_id = '{run_id}'")
    return row


def read(home: Path, query: str) -> list[dict[str, Any]]:
    """Query the tables; a file of any version."""
    if home not in LAKES:
        return read_table(home / "warehouse.duckdb", query)
    with open_tables(home).write() as tables:
        return fetch_records(tables, query)


def see(home: Path, minute: float, *threads: dict[str, Any], **fields: Any) -> None:
    """Load and publish a poll that began at the minute."""
    load(home, minute, *threads, **fields)
    publish_all(home, {name: list_analyses()[name] for name in NEEDED})


def instant(minute: float) -> str:
    """Return an instant of the day as the server writes it."""
    return at(minute).isoformat().replace("+00:00", "Z")


def born(id_: str, created: float, updated: float = 0, **fields: Any) -> dict[str, Any]:
    """Return a thread with a lifetime, in minutes of the day."""
    return thread(id_, updated=updated, created_at=instant(created), **fields)


def build(home: Path, name: str) -> list[dict[str, Any]]:
    """Build an analysis, and first those it reads; return its rows in order."""
    with open_tables(home).write() as connection:
        for analysis in choose_analyses(list_analyses(), name).values():
            build_analysis(connection, analysis)
        return fetch_records(connection, f"FROM analytics.{name}")


def crowd(status: str, count: int = 6) -> Pages:
    """Return pages of two threads each."""
    ids = [f"t{number}" for number in range(count)]
    return [[{"id": id_, "status": status} for id_ in ids[i : i + 2]] for i in range(0, count, 2)]


async def poll(pages: Pages, *, fails: bool = False) -> AsyncGenerator[FetchedPage | Poll]:
    """Yield the pages of one session, and its poll or a failure."""
    begun = datetime.now(UTC)
    for number, threads in enumerate(pages, 1):
        body = msgspec.json.encode({"data": threads})
        page = make_page(body, datetime.now(UTC))
        yield FetchedPage("qoder", "sess_1", PageFetch(number, None, page))
    if fails:
        raise LookupError
    listed = [thread["id"] for threads in pages for thread in threads]
    yield Poll(
        source="qoder",
        session_id="sess_1",
        label=None,
        started_at=begun,
        finished_at=datetime.now(UTC),
        outcome="complete",
        end_reason="has_more_false",
        status_filter=None,
        pages=len(pages),
        requests=len(pages),
        retries=0,
        wait_seconds=0.0,
        bytes=0,
        threads_listed=len(set(listed)),
        duplicates=len(listed) - len(set(listed)),
    )

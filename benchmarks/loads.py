"""What a load and a publication cost: first poll, unchanged poll, one thread in a hundred changed.

    python benchmarks/loads.py [THREADS] [SESSIONS]

Everything runs in one process, in turn; the ratio to the first poll is what counts, for machines
differ. Pages are made up and landed on disk; what is timed begins with reading them back.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table

from pipelines.landing.directory import RAW
from pipelines.landing.footer import Footer, page_row
from pipelines.landing.format import write_run
from pipelines.landing.store import Directory
from pipelines.providers.registry import find_endpoint
from pipelines.records import Page, PageFetch, Poll, Run
from pipelines.warehouse.analyses import list_analyses
from pipelines.warehouse.build import build_analysis
from pipelines.warehouse.duckdb_file import DuckdbFile
from pipelines.warehouse.load import load_landed
from pipelines.warehouse.publication import publish

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 10, 1, tzinfo=UTC)
PAGE = 100
ROUNDS = 3


def make_thread(number: int, version: int) -> dict[str, Any]:
    """Return a thread of revision B whose state depends on its version."""
    born = START - timedelta(seconds=number)
    return {
        "id": f"sthr_{number:012d}",
        "type": "session_thread",
        "parent_thread_id": "sthr_000000000000" if number else None,
        "agent": {"id": f"agent_{number % 7}", "type": "agent", "version": number % 3},
        "status": "running" if version % 2 else "idle",
        "stats": {"active_seconds": number % 100 + 0.5, "startup_seconds": 0.5},
        "usage": {"input_tokens": number, "output_tokens": version},
        "created_at": born.isoformat(),
        "updated_at": (START + timedelta(seconds=version)).isoformat(),
    }


def land(home: Path, minute: int, sessions: list[list[dict[str, Any]]]) -> None:
    """Land one run that lists every session to its end."""
    pages = {
        f"sess_{index:04d}": [
            msgspec.json.encode({"data": threads[begin : begin + PAGE], "has_more": False})
            for begin in range(0, len(threads), PAGE)
        ]
        for index, threads in enumerate(sessions)
    }
    listed = {f"sess_{index:04d}": len(threads) for index, threads in enumerate(sessions)}
    land_pages(home, START + timedelta(minutes=minute), pages, listed)


def land_pages(
    home: Path, started: datetime, pages: dict[str, list[bytes]], listed: dict[str, int]
) -> None:
    """Land one run that listed so many threads of each session on these pages."""
    polls, rows = [], []
    read_page = find_endpoint("threads").read_page
    for session, bodies in pages.items():
        poll = Poll(
            source="bench",
            session_id=session,
            label=None,
            started_at=started,
            finished_at=started + timedelta(seconds=30),
            outcome="complete",
            end_reason="has_more_false",
            status_filter=None,
            pages=len(bodies),
            requests=len(bodies),
            retries=0,
            wait_seconds=0.0,
            bytes=sum(map(len, bodies)),
            threads_listed=listed[session],
            duplicates=0,
        )
        polls.append(poll)
        for number, body in enumerate(bodies, 1):
            page = Page(200, started + timedelta(seconds=1), body, read_page(body))
            rows.append(page_row(poll, PageFetch(number, None, page)))
    run = Run(
        id=f"run-{started:%Y%m%d%H%M}", started_at=started, finished_at=started, version="bench"
    )
    write_run(Directory(home / RAW), Footer(run, polls), rows)


def measure(step: Callable[[], object]) -> float:
    """Return how many seconds a step takes."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def build_all(home: Path) -> None:
    """Build every analysis."""
    with DuckdbFile(home).write() as connection:
        for analysis in list_analyses().values():
            build_analysis(connection, analysis)


def measure_round(count: int, sessions: int) -> dict[str, tuple[float, float]]:
    """Return poll -> seconds of load and of publication, in a separate warehouse."""
    versions = [0] * count
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        for minute, (poll, step) in enumerate(
            {"first": 0, "unchanged": 0, "1 % changed": 101, "unchanged again": 0}.items()
        ):
            for number in range(0, count if step else 0, step or 1):
                versions[number] += 1
            threads = [make_thread(number, version) for number, version in enumerate(versions)]
            land(home, minute, [threads[index::sessions] for index in range(sessions)])
            load = measure(partial(load_home, home))
            build_all(home)
            results[poll] = (load, measure(partial(publish_home, home)))
    return results


def load_home(home: Path) -> None:
    """Load what has landed in a data directory."""
    with DuckdbFile(home).write() as tables:
        load_landed(tables, Directory(home / RAW))


def publish_home(home: Path) -> None:
    """Publish a data directory, analyses that are older than the newest load built before."""
    warehouse = DuckdbFile(home)
    with warehouse.write() as tables:
        publish(warehouse, tables, list_analyses())


def main(count: int = 100_000, sessions: int = 200) -> None:
    """Measure some rounds and print medians and ratios."""
    rounds = [measure_round(count, sessions) for _ in range(ROUNDS)]
    table = Table("poll", "load s", "ratio", "publication s", "ratio")
    first: tuple[float, ...] = ()
    for poll in rounds[0]:
        medians = tuple(statistics.median(r[poll][i] for r in rounds) for i in range(2))
        first = first or medians
        cells = [
            text
            for m, f in zip(medians, first, strict=True)
            for text in (f"{m:.2f}", f"{m / f:.2f}")
        ]
        table.add_row(poll, *cells)
    console = Console()
    console.print(f"{count} threads in {sessions} sessions, medians of {ROUNDS} rounds")
    console.print(table)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

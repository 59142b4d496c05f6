"""The benchmarks do not rot: server, contestant, check, report and guard, on 200 threads."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import duckdb
import httpx
import msgspec
import pytest

from benchmarks.compare import Case, start_row, summarise
from benchmarks.contestants import CONTESTANTS, DOWNLOADED, FETCH, FLOORS, PRODUCT, find_fault, run
from benchmarks.guard import find_excesses, find_written
from benchmarks.report import SECTIONS, describe_machine, draw_comparison
from benchmarks.server import CHANGED, FIRST, Fleet, grow
from docs.generate import render
from docs.performance import gather_performance
from pipelines.sandbox.server import serve

if TYPE_CHECKING:
    from pathlib import Path

THREADS, SESSIONS = 230, 2


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """Return a small fleet, whose server answers at once."""
    return Fleet(THREADS, SESSIONS, latency_s=0)


@pytest.mark.slow
def test_contestant_is_measured_and_reported(fleet: Fleet, tmp_path: Path) -> None:
    """The product polls in a separate process, is found right, and stands in the report."""
    with serve(fleet) as base_url:
        assert run(FETCH, tmp_path / "fetch", base_url, fleet.facts, FIRST)[-1] == ""
        cost, times, fault = run(PRODUCT, tmp_path, base_url, fleet.facts, FIRST)
    assert (cost.exit_code, fault) == (0, "")
    assert 0 < times.fetch_s < times.fetch_s + times.after_s < cost.wall_s + 0.5
    assert cost.wall_s > 0 < cost.cpu_s
    assert 20 < cost.peak_mb < 2000
    row = start_row(Case(THREADS, SESSIONS, 1, [PRODUCT]), "first", PRODUCT)
    for name, value in (cost._asdict() | msgspec.structs.asdict(times)).items():
        row.setdefault(name, []).append(value)
    slower = row | {"contestant": "other", "wall_s": [2 * cost.wall_s], "fault": ""}
    rows = summarise([row, slower])
    assert [row["ratio_wall"] for row in rows] == [1.0, 2.0]
    assert PRODUCT in draw_comparison(rows)
    kept = {"machine": describe_machine(), "rows": rows}
    values = gather_performance(dict.fromkeys(SECTIONS) | {"comparison": kept})
    page = render("performance.md.j2", trim_blocks=True, **values)
    assert f"| first | other | {2 * cost.wall_s:.1f} | 2.0 |" in page


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("DELETE FROM threads WHERE rowid = 7", "229 rows of 229 threads instead of 230"),
        ("INSERT INTO threads FROM threads WHERE rowid = 7", "231 rows of 230 threads"),
        ("UPDATE threads SET status = 'lost' WHERE rowid = 7", "'lost': 1"),
    ],
)
def test_wrong_copy_is_disqualified(
    fleet: Fleet, tmp_path: Path, damage: str, problem: str
) -> None:
    """A copy that lacks a thread, has one twice, or another status, is found."""
    contestant = CONTESTANTS["script: httpx and polars"]
    assert contestant.database
    with duckdb.connect(str(tmp_path / contestant.database)) as connection:
        connection.execute("CREATE TABLE threads (session_id VARCHAR, id VARCHAR, status VARCHAR)")
        connection.executemany("INSERT INTO threads VALUES (?, ?, ?)", list_threads(fleet, FIRST))
    assert find_fault(contestant, tmp_path, fleet.facts.states[FIRST]) == ""
    with duckdb.connect(str(tmp_path / contestant.database)) as connection:
        connection.execute(damage)
    assert problem in find_fault(contestant, tmp_path, fleet.facts.states[FIRST])


def list_threads(fleet: Fleet, state: str) -> list[tuple[str, str, str]]:
    """Return (session, id, status) of what the server lists."""
    rows = []
    with serve(fleet) as base_url, httpx.Client() as client:
        for session in fleet.facts.sessions:
            params: dict[str, str] = {}
            while params.get("page", "first"):
                url = f"{base_url}/{state}/sessions/{session}/threads"
                page = client.get(url, params=params).json()
                rows += [(session, thread["id"], thread["status"]) for thread in page["data"]]
                params = {"page": page["next_page"] or ""}
    return rows


def test_floor_that_missed_a_page_is_disqualified(fleet: Fleet, tmp_path: Path) -> None:
    """Who only downloads is held against pages and bytes."""
    (tmp_path / DOWNLOADED).write_text('{"pages": 1, "bytes": 2}', encoding="utf-8")
    fault = find_fault(CONTESTANTS[FLOORS[0]], tmp_path, fleet.facts.states[FIRST])
    assert fault.startswith("downloaded {'pages': 1, 'bytes': 2} instead of")


def test_one_thread_in_a_hundred_changes(fleet: Fleet) -> None:
    """The second state lists the same threads, two of 230 in another state."""
    first, changed = (list_threads(fleet, state) for state in (FIRST, CHANGED))
    assert [row[:2] for row in first] == [row[:2] for row in changed]
    assert len(first) == len({row[:2] for row in first}) == THREADS
    assert fleet.facts.states[FIRST].pages == 4


def test_only_durations_of_open_threads_grow() -> None:
    """Between the last two states nothing happens: an archived thread stays as it is."""
    thread = {"id": "t", "archived_at": None, "stats": {"duration_seconds": 1.5, "x": 2}}
    later = thread | {"stats": {"duration_seconds": 901.5, "x": 2}}
    assert msgspec.json.decode(grow(msgspec.json.encode(thread))) == later
    for still in (thread | {"archived_at": "2026-10-01"}, {"id": "t"}, {"id": "t", "stats": None}):
        assert msgspec.json.decode(grow(msgspec.json.encode(still))) == still


def test_guard_names_what_is_above_its_limit() -> None:
    """A count above its limit is named, and so is one that nobody counted."""
    limits = {"requests": 3, "rows": 0, "files": 1}
    assert find_excesses({"requests": 3, "rows": 2}, limits) == [
        "files: not counted",
        "rows: 2, at most 0 allowed",
    ]


def test_guard_sees_a_row_that_was_written_again(tmp_path: Path) -> None:
    """A row that is deleted and inserted unchanged counts as written."""
    before, after = tmp_path / "before.duckdb", tmp_path / "after.duckdb"
    with duckdb.connect(str(before)) as connection:
        connection.execute("CREATE TABLE still AS FROM range(5) t(i)")
        connection.execute("CREATE TABLE moved AS FROM range(5) t(i)")
    shutil.copy(before, after)
    with duckdb.connect(str(after)) as connection:
        connection.execute("DELETE FROM moved WHERE i = 2")
        connection.execute("INSERT INTO moved VALUES (2)")
    written = find_written(before, after)
    assert (written["still"], written["moved"] > 0) == (0, True)

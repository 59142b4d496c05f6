"""Files that earlier versions landed, kept as they wrote them: read, loaded and replayed alike.

`fixtures/` holds three runs: one of a single file without any digest, one of a single file
(format 1), one with shards (format 2); tables.json is what their version made of them.
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.landing.directory import RAW, list_runs
from pipelines.landing.format import PAGES, read_run
from pipelines.landing.store import Directory
from tests.builders import land, load_all, read, replay_all, thread
from tests.support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FIXTURES = ROOT / "tests" / "landing" / "fixtures"
RUNS = ["run-0", "run-1", "run-2"]
# Columns that these versions did not have.
ADDED = {
    "runs": ("sequence", "door"),
    "session_polls": ("sequence", "threads_unlisted", "lookups", "threads_unconfirmed"),
    "threads": ("last_changed_sequence", "missing_sequence", "digest", "grows"),
}


@pytest.fixture
def older(home: Path) -> Path:
    """Return a data directory that holds the landed files alone."""
    shutil.copytree(FIXTURES, home / RAW, ignore=shutil.ignore_patterns("*.json"))
    return home


def read_tables(home: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the tables as tables.json holds them."""
    return {
        table: [
            {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in row.items()
                if value is not None and name not in ADDED.get(table, ())
            }
            for row in read(home, f"FROM {table} ORDER BY ALL")
        ]
        for table in read_expected()
    }


def read_expected() -> dict[str, list[dict[str, Any]]]:
    """Return tables.json."""
    kept: dict[str, list[dict[str, Any]]] = json.loads(
        (FIXTURES / "tables.json").read_text(encoding="utf-8")
    )
    return kept


def test_older_files_are_read(older: Path) -> None:
    """Their pages are pages of threads, their runs have no number and an unknown door."""
    landed = [read_run(path) for path in list_runs(Directory(older / RAW)).values()]
    assert [run.run.id for run in landed] == RUNS
    assert [len(run.shards) for run in landed] == [0, 0, 4]
    places = [run.run.place for run in landed]
    assert places == sorted(places)
    assert places[-1] < 0
    for run in landed:
        assert (run.run.sequence, run.run.door) == (None, "unknown")
        assert {poll.endpoint for poll in run.polls} == {"threads"}
        assert [poll.end_reason for poll in run.polls] == ["has_more_false"] * 2 + ["error"]
        for batch in run.read_batches():
            assert batch.schema == PAGES
            assert set(batch["endpoint"]) <= {"threads"}


def test_older_files_are_loaded(older: Path) -> None:
    """They become the tables that their own version made of them, loaded or replayed."""
    assert load_all(older) == RUNS
    assert read_tables(older) == read_expected()
    assert replay_all(older).runs == RUNS
    assert read_tables(older) == read_expected()


@pytest.mark.slow
def test_newer_runs_come_after_older_files(older: Path) -> None:
    """A run with a number comes after them, also if its clock says that it began before."""
    land(older, 0, thread("t1"), sequence=1, run_id="newer")
    assert load_all(older) == [*RUNS, "newer"]
    assert read(older, "SELECT run_id FROM runs ORDER BY sequence DESC LIMIT 1") == [
        {"run_id": "newer"}
    ]
    assert replay_all(older).runs == [*RUNS, "newer"]

"""Replay: the landed pages alone give the same tables again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl
import pytest

from pipelines.errors import LandingError, WarehouseError, WarehouseNewer
from pipelines.landing.directory import RAW, list_files, list_runs
from pipelines.landing.footer import Footer
from pipelines.landing.format import read_run, write_run
from pipelines.landing.store import Directory
from pipelines.records import Run
from pipelines.warehouse.duckdb_file import DuckdbFile
from tests.builders import at, land, load, load_all, read, replay_all, thread

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow  # together they take long

TABLES = (
    "threads",
    "thread_status_history",
    "spells_unseen",
    "session_polls",
    "runs",
    "schema_drift",
    "session_digests",
)

# Deeper than any page that is let in.
DEEP = b'{"data": [{"id": "a", "deep": %s1%s}]}' % (b'{"k":' * 960, b"}" * 960)


def tables(home: Path) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table."""
    return {table: read(home, f"FROM {table} ORDER BY ALL") for table in TABLES}


@pytest.fixture(scope="module")
def past_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data directory into which runs of every kind were loaded, one of them overtaken."""
    home = tmp_path_factory.mktemp("past") / "home"
    load(home, 0, thread("a", "idle"), thread("b", colour="red"), thread("c"))
    load(home, 20, thread("a", "running", updated=19), thread("b", colour="red"))
    load(home, 10, thread("z"))
    load(home, 30, thread("a", "idle", updated=29), outcome="incomplete")
    load(home, 40, thread("a", "idle", updated=18), thread("c"))
    return home


@pytest.fixture
def past(past_once: Path, home: Path) -> Path:
    """Return the data directory, a copy of that one."""
    return shutil.copytree(past_once, home)


def test_replay_gives_the_same_tables(past: Path) -> None:
    """Every table comes out equal, row for row, overtaken polls included, in a new file."""
    before, inode = tables(past), (past / "warehouse.duckdb").stat().st_ino
    replayed = replay_all(past)
    assert replayed.runs == ["run-0", "run-20", "run-10", "run-30", "run-40"]
    assert tables(past) == before
    assert (past / "warehouse.duckdb").stat().st_ino != inode
    assert not list(past.glob("replay*"))
    assert counts_of_spells(before) > 3


def counts_of_spells(found: dict[str, list[dict[str, Any]]]) -> int:
    """Return how many spells there are."""
    return len(found["thread_status_history"])


def test_without_a_warehouse(past: Path) -> None:
    """Where the warehouse is lost, its runs are replayed as they began, pending ones too."""
    land(past, 50, thread("a"))
    (past / "warehouse.duckdb").unlink()
    assert replay_all(past).runs == [f"run-{minute}" for minute in (0, 10, 20, 30, 40, 50)]
    assert load_all(past) == []


def test_gaps_are_rejected(past: Path) -> None:
    """If landed pages do not reach back, nothing is replaced unless asked to."""
    before = tables(past)
    list_runs(Directory(past / RAW))["run-0"].delete()
    with pytest.raises(WarehouseError, match=r"1 of 5 loaded runs .* first is run-0.*--partial"):
        replay_all(past)
    assert tables(past) == before
    assert replay_all(past, partial=True).runs == ["run-20", "run-10", "run-30", "run-40"]
    assert tables(past) != before


def test_damaged_files(past: Path) -> None:
    """Damaged and foreign files are named, and skipped only if asked to."""
    before = tables(past)
    foreign = past / RAW / "foreign.parquet"
    foreign.write_bytes(b"PAR1")
    with pytest.raises(LandingError, match=r"foreign\.parquet: not a landed run.*--skip-damaged"):
        replay_all(past)
    assert not list(past.glob("replay*"))
    assert replay_all(past, skip_damaged=True).skipped == [str(foreign)]
    assert tables(past) == before


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"data": 1}', DEEP])
def test_bodies_that_are_no_pages(past: Path, body: bytes) -> None:
    """A body that no page has, from a previous file, is named by its file, and can be skipped."""
    before = tables(past)
    started = at(60)
    landed = read_run(list_runs(Directory(past / RAW))["run-0"])
    rows = landed.pages.with_columns(body=pl.lit(body)).rows()
    run = Run(id="run-x", sequence=99_999, started_at=started, finished_at=started)
    polls = [msgspec.structs.replace(landed.polls[0], started_at=started)]
    path = write_run(Directory(past / RAW), Footer(run, polls), rows)
    with pytest.raises(LandingError, match=rf"{path}: a page of session sess_1 is none .*Move it"):
        load_all(past)
    assert tables(past) == before
    with pytest.raises(LandingError, match=rf"{path}: .*--skip-damaged"):
        replay_all(past)
    assert replay_all(past, skip_damaged=True).skipped == [str(path)]
    assert tables(past) == before


def test_unreadable_warehouse(past: Path) -> None:
    """A warehouse that cannot be opened is replaced only if asked to."""
    (past / "warehouse.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(WarehouseError, match=r"cannot be opened.*--partial"):
        replay_all(past)
    assert len(replay_all(past, partial=True).runs) == 5


@pytest.mark.parametrize("partial", [False, True])
def test_newer_warehouse(past: Path, *, partial: bool) -> None:
    """A newer version's warehouse is never replaced, and no message says how it could be."""
    with DuckdbFile(past).write() as connection:
        connection.execute("INSERT INTO schema_version (version, name) VALUES (999, '0999_future')")
    before = tables(past)
    with pytest.raises(WarehouseNewer, match=r"Upgrade session-threads$"):
        replay_all(past, partial=partial)
    assert tables(past) == before


def test_nothing_to_replay(home: Path) -> None:
    """Without landed pages nothing is replaced."""
    with pytest.raises(WarehouseError, match="no landed pages"):
        replay_all(home)


def test_retention(home: Path) -> None:
    """Landed files are removed when they are old and were in the tables before a load went well."""
    minutes = (0, 1440, 2880, 2890)
    for minute in minutes:
        land(home, minute, thread("a"))
    damaged = home / RAW / "20260101T000000000000Z-damaged.parquet"
    damaged.write_bytes(b"")
    with pytest.raises(LandingError):
        load_all(home, keep_days=1)
    assert len(list_files(Directory(home / RAW))) == 5
    damaged.unlink()
    for left in (4, 2):  # what is loaded now may be on no disk yet
        load_all(home, keep_days=1)
        assert len(list_files(Directory(home / RAW))) == left
    assert list(list_runs(Directory(home / RAW))) == ["run-2880", "run-2890"]


def test_unfinished_files_are_removed(home: Path) -> None:
    """What a killed run left half written goes when later runs are old, however long pages stay."""
    half = home / RAW / "s0000000000-20200101T000000000000Z-half.tmp"
    young = home / RAW / "s9999999999-20200101T000000000000Z-young.tmp"
    for day in range(4):
        land(home, day * 1440, thread("a"))
        half.touch()
        young.touch()
        load_all(home)
        assert (half.exists(), young.exists()) == (day < 3, True)

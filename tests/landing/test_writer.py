"""Runs of several files: written as pages come, whole with the last one, read shard by shard."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.errors import LandingError
from pipelines.landing import format as form
from pipelines.landing import writer as writing
from pipelines.landing.directory import RAW, SHARD, list_files, list_runs
from pipelines.landing.format import read_run, write_run
from pipelines.landing.retention import RunAge, prune_runs, remove_unfinished
from pipelines.landing.store import Directory, LandedFile
from pipelines.landing.writer import land_polls
from tests.builders import Pages, as_file, as_path, crowd, load_all, poll, replay_all
from tests.support import ROOT, read_table

if TYPE_CHECKING:
    from pathlib import Path

LATER = [RunAge("later", 10, 3 * 86400)]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every page a shard."""
    monkeypatch.setattr(writing, "SHARD_BYTES", 1)


def land(home: Path, run_id: str, pages: Pages, **options: Any) -> Path:
    """Land a run, every page but the last file's in a separate shard; return the run's file."""
    file, _ = asyncio.run(land_polls(poll(pages, **options), Directory(home / RAW), run_id))
    return as_path(file)


def shards(home: Path) -> list[Path]:
    """Return the shards in order."""
    return sorted(path for path in (home / RAW).iterdir() if SHARD.fullmatch(path.name))


def statuses(home: Path) -> dict[str, str]:
    """Return thread -> status of the warehouse."""
    rows = read_table(home / "warehouse.duckdb", "SELECT thread_id, status FROM threads")
    return {row["thread_id"]: row["status"] for row in rows}


def test_round_trip(home: Path) -> None:
    """A run of several files is read back page by page, in order, and loaded as one."""
    path = land(home, "run-1", crowd("idle"))
    landed = read_run(as_file(path))
    assert [shard.name for shard in landed.shards] == [shard.name for shard in shards(home)]
    batches = list(landed.read_batches())
    assert [number for batch in batches for number in batch["page"]] == [1, 2, 3]
    assert [batch.height for batch in batches] == [1, 1, 1, 0]
    assert {path.stat().st_mode & 0o777 for path in (home / RAW).iterdir()} == {0o600}
    assert load_all(home) == ["run-1"]
    assert statuses(home) == dict.fromkeys(("t0", "t1", "t2", "t3", "t4", "t5"), "idle")


def test_duplicates_over_shards(home: Path) -> None:
    """A thread that several shards list is kept as of its newest updated_at; of equal the later."""
    old, new = "2026-10-01T00:00:00Z", "2026-10-01T00:00:00.1Z"
    first = [
        {"id": "t1", "updated_at": new, "status": "idle"},
        {"id": "t2", "updated_at": old, "status": "running"},
        {"id": "t3", "status": "running"},
    ]
    second = [
        {"id": "t1", "updated_at": old, "status": "running"},
        {"id": "t2", "updated_at": old, "status": "idle"},
        {"id": "t3", "updated_at": old, "status": "idle"},
    ]
    land(home, "run-1", [first, second])
    load_all(home)
    assert statuses(home) == {"t1": "idle", "t2": "idle", "t3": "idle"}


def test_unchanged_polls_read_no_page(home: Path) -> None:
    """A poll that brings what the one before brought is loaded without its pages."""
    land(home, "run-1", crowd("idle"))
    load_all(home)
    before = set(shards(home))
    land(home, "run-2", crowd("idle"))
    for shard in set(shards(home)) - before:
        shard.write_bytes(b"nobody reads this")
    assert load_all(home) == ["run-2"]
    query = "SELECT threads_unchanged AS n FROM session_polls WHERE run_id = 'run-2'"
    assert read_table(home / "warehouse.duckdb", query) == [{"n": 6}]


@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_harmed_shards(home: Path, harm: str) -> None:
    """A shard that is damaged or lost is named, the tables stay, and a replay can leave it out."""
    land(home, "run-1", crowd("idle"))
    load_all(home)
    land(home, "run-2", crowd("running"))
    shard = shards(home)[-2]
    if harm == "lost":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(LandingError, match=rf"{shard.name}: not a landed run.* Move it away"):
        load_all(home)
    assert set(statuses(home).values()) == {"idle"}
    with pytest.raises(LandingError, match=r"--skip-damaged"):
        replay_all(home)
    assert replay_all(home, skip_damaged=True).runs == ["run-1"]
    assert set(statuses(home).values()) == {"idle"}


def test_failed_runs_leave_nothing(home: Path) -> None:
    """A run that fails on the way removes the shards that it had written."""
    with pytest.raises(LookupError):
        land(home, "run-1", crowd("idle"), fails=True)
    assert list((home / RAW).iterdir()) == []


def test_interrupted_last_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cancelled while its own file is being written exists all the same, whole."""
    begun, goes_on = threading.Event(), threading.Event()

    def write_slowly(*arguments: Any) -> LandedFile:
        begun.set()
        assert goes_on.wait(60)
        return write_run(*arguments)

    async def cancel() -> None:
        landing = asyncio.create_task(
            land_polls(poll(crowd("idle")), Directory(home / RAW), "run-1")
        )
        assert await asyncio.to_thread(begun.wait, 60)
        landing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await landing
        goes_on.set()

    monkeypatch.setattr(form, "write_run", write_slowly)
    asyncio.run(cancel())
    assert load_all(home) == ["run-1"]
    assert len(statuses(home)) == 6


def test_run_without_room(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose own file cannot be written leaves no shard."""

    def reject(*_: Any) -> LandedFile:
        raise LandingError("no room")

    monkeypatch.setattr(form, "write_run", reject)
    with pytest.raises(LandingError, match="no room"):
        land(home, "run-1", crowd("idle"))
    assert list((home / RAW).iterdir()) == []


def test_shards_of_killed_runs(home: Path) -> None:
    """Shards without their run's file are no run, and go when nobody can be writing there."""
    kept = land(home, "run-1", crowd("idle"))
    land(home, "run-2", crowd("running")).unlink()
    assert load_all(home) == ["run-1"]
    assert len(shards(home)) == 6
    remove_unfinished(Directory(home / RAW), LATER)
    assert [shard.name for shard in shards(home)] == [
        shard.name for shard in read_run(as_file(kept)).shards
    ]


def test_retention(home: Path) -> None:
    """A run's shards are removed with its file."""
    for number, status in enumerate(("idle", "running")):
        land(home, f"run-{number}", crowd(status))
    prune_runs(Directory(home / RAW), [RunAge("run-0", 1, 90000), RunAge("run-1", 2, 80000)], 1)
    assert list(list_runs(Directory(home / RAW))) == ["run-1"]
    assert len(shards(home)) == 3
    prune_runs(Directory(home / RAW), [RunAge("run-1", 2, 90000)], 1)
    assert list((home / RAW).iterdir()) == []


@pytest.mark.slow
def test_replay(home: Path) -> None:
    """Runs of several files are replayed row for row."""
    for number, status in enumerate(("idle", "running", "running")):
        land(home, f"run-{number}", crowd(status))
        load_all(home)
    tables = ("threads", "thread_status_history", "session_polls", "session_digests", "runs")
    before = [read_table(home / "warehouse.duckdb", f"FROM {t} ORDER BY ALL") for t in tables]
    replay_all(home)
    after = [read_table(home / "warehouse.duckdb", f"FROM {t} ORDER BY ALL") for t in tables]
    assert after == before


LANDER = """
import asyncio, sys
from pathlib import Path
from pipelines.landing import writer
from pipelines.landing.store import Directory
from tests.builders import crowd, poll
writer.SHARD_BYTES = 1
raw = Directory(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(1000):
    run = writer.land_polls(poll(crowd("idle", 40)), raw, f"{sys.argv[2]}-{number}")
    asyncio.run(run)
"""


@pytest.mark.slow
def test_killed_while_landing(home: Path) -> None:
    """After kills at any moment every run there is can be read whole, and nothing else is a run."""
    draw = random.Random(5)  # noqa: S311 - moments, not secrets
    for number in range(2):
        command = [sys.executable, "-c", LANDER, str(home / RAW), f"run-{number}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as p:
            assert p.stdout is not None
            p.stdout.readline()
            time.sleep(draw.random())
            p.kill()
    files = list_files(Directory(home / RAW))
    assert files
    for file in files:
        assert sum(batch.height for batch in read_run(file).read_batches()) == 20
    # A run that came after all of them, days ago.
    remove_unfinished(Directory(home / RAW), [RunAge("last", 10**6, 3 * 86400)])
    named = {shard.name for file in files for shard in read_run(file).shards}
    left = {path.name for path in (home / RAW).iterdir()} - {file.name for file in files} - named
    # The highest number is kept, if its run left nothing else.
    assert left <= {max(path.name for path in (home / RAW).glob("*"))}
    assert len(load_all(home)) == len(files)
